"""Texts that rows are held against: those of a split, and foils of their own."""

from collections.abc import Sequence

import numpy as np

from llmimg.errors import UserError
from llmimg.tasks.base import Row, Task
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


def most_foils(task: Task, rows: Sequence[Row]) -> int:
    """How many a row of a split has at most."""
    return max((len(task.foils(row)) for row in rows), default=0)


def foils_of(task: Task, row: Row, count: int) -> list[tuple[Part, ...]]:
    """So many foils of a row: where it has fewer, its own answer fills up."""
    if not count:
        return []
    found = task.foils(row)
    return [*found, *[task.answer(row, None)] * (count - len(found))]
