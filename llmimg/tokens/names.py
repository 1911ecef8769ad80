"""What a token is called where it is shown."""

from collections.abc import Sequence
from typing import Any

from llmimg.tokens.vocabulary import Vocabulary


def token_names(vocabulary: Vocabulary, ids: Sequence[int]) -> list[str]:
    """Each token by its name in the tokenizer's vocabulary (GPT-2's `Ġcat`); of a vocabulary of pieces by its text, and
    a special one by its name."""
    names: Any = vocabulary.tokenizer.convert_ids_to_tokens([int(each) for each in ids])
    if not vocabulary.of_pieces:
        return names
    return [vocabulary.text([each]) or name for each, name in zip(ids, names, strict=True)]
