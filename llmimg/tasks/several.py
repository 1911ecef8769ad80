"""What a task is among the tasks of one model: alone, but for a mixture."""

import abc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from llmimg.tasks.measure import Measure
from llmimg.tasks.prompting import Row

Prediction = Any  # a task's own: a class and its probabilities, boxes with scores, a mask, words


class Asked(abc.ABC):
    """The side of a task that says which tasks rows are asked by, and makes one of what these say."""

    measures: ClassVar[tuple[Measure, ...]]  # the first is the headline

    @classmethod
    def measures_for(cls, settings: Any) -> tuple[Measure, ...]:
        """`measures`, of a task with these settings."""
        return cls.measures

    @classmethod
    def together(cls, settings: Any, asked: Mapping[str, Any]) -> Any:
        """What some tasks (`asked`) are to a run: one is itself."""
        (alone,) = asked.values()
        return alone

    @property
    def asked(self) -> Mapping[str, Any]:
        """The tasks that rows are asked by, by name: itself alone, unnamed."""
        return {"": self}

    def by_part(
        self, predictions: Sequence[Prediction], rows: Sequence[Row]
    ) -> Iterator[tuple[str, Any, Sequence[Prediction], Sequence[Row], np.ndarray]]:
        """Of each of the tasks `asked` its predictions and rows, and where these stand, int64 `[N]`."""
        yield "", self, predictions, rows, np.arange(len(rows))

    def part_of(self, row: Row) -> str:
        """The name of the task that a row is asked by."""
        return ""

    def joined(
        self, found: Mapping[str, tuple[Sequence[Prediction], Sequence[Row]]]
    ) -> tuple[Sequence[Prediction], Sequence[Row]]:
        """The predictions and rows of each of the tasks `asked`, as one's."""
        return found[""]

    def combined(self, metrics: Mapping[str, dict[str, float]]) -> dict[str, float]:
        """The metrics of each of the tasks `asked`, as one."""
        return metrics[""]
