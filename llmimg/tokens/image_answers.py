"""What holds a model to the text of an image, in the tokens that images are read in."""

from collections.abc import Sequence

import numpy as np

from llmimg.errors import UserError
from llmimg.textify import Grammar
from llmimg.tokens.automaton import Automaton
from llmimg.tokens.bpe import MergedPieces
from llmimg.tokens.lookup import TokenTable
from llmimg.tokens.vocabulary import Vocabulary


def image_automaton(vocabulary: Vocabulary, grammar: Grammar, cells: Sequence[int] | np.ndarray | None) -> Automaton:
    """Whatever it lets through that fills `Textifier.budget(height, width)` cells is read back as a whole image.

    Args:
        grammar, cells: the textifier's, and its `piece_cells`.

    Raises:
        UserError: where tokens of images are not looked up piece by piece.
    """
    lookup = vocabulary.lookup
    if not isinstance(lookup, TokenTable | MergedPieces):
        raise UserError(
            "No image can be written in the tokens of this tokenizer, which reads pieces of its text otherwise where "
            "they stand together: take vocabulary=own, or vocabulary=extend."
        )
    return Automaton.of(lookup.ways(grammar, cells), grammar.final, vocabulary.end)
