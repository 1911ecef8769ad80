"""Samples as text: their parts one after the other, or as the turns of a conversation."""

import itertools
from collections.abc import Iterable, Sequence
from typing import TypeVar

from transformers import PreTrainedTokenizerBase

from llmimg.errors import UserError
from llmimg.textify import Lexicon
from llmimg.tokens.sample import ImageSlot, Part, RowText, Sample

Other = TypeVar("Other")

SLOT = "\N{OBJECT REPLACEMENT CHARACTER}"  # stands for an image, or a row's own words, while a conversation is written


def joined(parts: Iterable[Part | Other], apart: bool = False) -> tuple[Part | Other, ...]:
    """The same parts, neighbouring strings as one, as they are read as one; empty ones left out.

    Args:
        apart: whether rows' own words (`RowText`) are read apart from others.
    """
    found: list[Part | Other] = []
    for part in parts:
        last = found[-1] if found else None
        if (
            isinstance(part, str)
            and isinstance(last, str)
            and part
            and not (apart and (_is_own(part) or _is_own(last)))
        ):
            found[-1] = last + part
        elif part != "":
            found.append(part)
    return tuple(found)


def turns(
    shots: Sequence[Sample], prompt: Sequence[Part], lexicon: Lexicon | None = None, open_slots: bool = False
) -> list[dict[str, str]]:
    """A conversation whose last turn asks; `SLOT` stands for the text of each image.

    Args:
        shots: samples that were asked and answered before.
        lexicon: of the pieces in them.
        open_slots: whether it stands for rows' own words too.
    """
    said = [(role, parts) for shot in shots for role, parts in (("user", shot.prompt), ("assistant", shot.answer))]
    return [
        {"role": role, "content": "".join(_written(part, lexicon, open_slots) for part in parts).strip()}
        for role, parts in [*said, ("user", prompt)]
    ]


def conversation(
    shots: Sequence[Sample], prompt: Sequence[Part], tokenizer: PreTrainedTokenizerBase, lexicon: Lexicon | None
) -> tuple[Part, ...]:
    """The same by the tokenizer's chat template, as parts: all that stands in front of the answer, not joined.

    Raises:
        UserError: where it has none.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise UserError("task.chat=true needs a tokenizer with a chat template, and this one has none: leave it out.")
    turned = turns(shots, prompt, lexicon, open_slots=True)
    text = str(tokenizer.apply_chat_template(turned, tokenize=False, add_generation_prompt=True))
    said = [part for shot in shots for part in (*shot.prompt, *shot.answer)]
    slots = [part for part in (*said, *prompt) if isinstance(part, ImageSlot | RowText)]
    between = text.split(SLOT)
    every = itertools.chain.from_iterable(itertools.zip_longest(between, slots, fillvalue=""))
    return tuple(part for part in every if part != "")


def _is_own(part: Part | Other) -> bool:
    return isinstance(part, RowText)


def _written(part: Part, lexicon: Lexicon | None, open_slots: bool) -> str:
    if open_slots and isinstance(part, RowText):
        return SLOT
    if isinstance(part, str):
        return part
    if isinstance(part, ImageSlot):
        return SLOT
    if lexicon is None:
        raise ValueError("Pieces are written by their lexicon.")
    return lexicon.text(part.ids)
