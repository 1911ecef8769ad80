"""Samples as text: their parts one after the other, or as the turns of a conversation."""

import itertools
from collections.abc import Iterable, Sequence
from typing import TypeVar

from transformers import PreTrainedTokenizerBase

from llmimg.errors import UserError
from llmimg.textify import Lexicon
from llmimg.tokens.sample import ImageSlot, Part, Sample

Other = TypeVar("Other")

SLOT = "\N{OBJECT REPLACEMENT CHARACTER}"  # stands for an image while a conversation is written


def joined(parts: Iterable[Part | Other]) -> tuple[Part | Other, ...]:
    """The same parts, neighbouring strings as one, as they are read as one; empty ones left out."""
    found: list[Part | Other] = []
    for part in parts:
        last = found[-1] if found else None
        if isinstance(part, str) and isinstance(last, str):
            found[-1] = last + part
        elif part != "":
            found.append(part)
    return tuple(found)


def turns(shots: Sequence[Sample], prompt: Sequence[Part], lexicon: Lexicon | None = None) -> list[dict[str, str]]:
    """A conversation whose last turn asks; `SLOT` stands for the text of each image.

    Args:
        shots: samples that were asked and answered before.
        lexicon: of the pieces in them.
    """
    said = [(role, parts) for shot in shots for role, parts in (("user", shot.prompt), ("assistant", shot.answer))]
    return [
        {"role": role, "content": "".join(_written(part, lexicon) for part in parts).strip()}
        for role, parts in [*said, ("user", prompt)]
    ]


def conversation(
    shots: Sequence[Sample], prompt: Sequence[Part], tokenizer: PreTrainedTokenizerBase, lexicon: Lexicon | None
) -> tuple[Part, ...]:
    """The same by the tokenizer's chat template, as parts: all that stands in front of the answer.

    Raises:
        UserError: where it has none.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise UserError("task.chat=true needs a tokenizer with a chat template, and this one has none: leave it out.")
    turned = turns(shots, prompt, lexicon)
    text = str(tokenizer.apply_chat_template(turned, tokenize=False, add_generation_prompt=True))
    slots = [part for parts in (*(shot.prompt for shot in shots), prompt) for part in parts if _is_image(part)]
    between = text.split(SLOT)
    return joined(itertools.chain.from_iterable(itertools.zip_longest(between, slots, fillvalue="")))


def _is_image(part: Part) -> bool:
    return isinstance(part, ImageSlot)


def _written(part: Part, lexicon: Lexicon | None) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, ImageSlot):
        return SLOT
    if lexicon is None:
        raise ValueError("Pieces are written by their lexicon.")
    return lexicon.text(part.ids)
