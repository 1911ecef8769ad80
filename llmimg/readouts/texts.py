"""Texts of a split that its rows are held against."""

from collections.abc import Sequence

import numpy as np

from llmimg.errors import UserError
from llmimg.tokens.sample import Part
from llmimg.tokens.script import Script


def check_length(longest: int, room: int) -> None:
    """Refuse texts of which the longest has so many tokens, where there is room for fewer.

    Raises:
        UserError: with the numbers.
    """
    if longest > room:
        raise UserError(
            f"The longest text to be scored has {longest:,} tokens, and the model's context has room for {room:,}: "
            "shorten it, or set tokens.max_length."
        )


def read_texts(script: Script, texts: Sequence[Sequence[Part]], room: int) -> tuple[tuple[int, ...], ...]:
    """The token ids of each, its end among them.

    Raises:
        UserError: one that has more than `room`.
    """
    spans = [script.answer(parts) for parts in texts]
    written = [tuple(np.concatenate([span.ids for span in each]).tolist()) for each in spans]
    check_length(max(map(len, written), default=0), room)
    return tuple(written)
