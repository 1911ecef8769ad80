"""What every task is: the columns it needs, what a batch asks of the model, its output as answers, and their score."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from llmimg.registry import Registry

TASKS = Registry("task", "llmimg.tasks")


class Task(abc.ABC):
    """One thing to ask of images. What it needs to be made again is plain values: `plain`."""

    columns: tuple[str, ...]  # of the data, besides `image` and `id`
    needs_boxes = False  # whether a readout must know which pixels a token speaks of

    @classmethod
    @abc.abstractmethod
    def of(cls, label_names: Sequence[str], **settings: Any) -> "Task":
        """The task for a data set with these class names; `settings` are its entry's in `llmimg.tasks.settings`."""

    @abc.abstractmethod
    def plain(self) -> dict[str, Any]:
        """The keyword arguments that make it again, JSON's types only."""

    @abc.abstractmethod
    def head(self) -> dict[str, Any]:
        """What a model's configuration says of it where the answer comes from a head."""

    @abc.abstractmethod
    def targets(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """What the model is to answer for the examples of a batch, under the names of its arguments.

        A row blended of two images (`augment.mixup`) has a `blend` besides: the other's annotations, and the share of
        the first.
        """

    @abc.abstractmethod
    def metrics(self, output: np.ndarray, references: np.ndarray, intervals: bool = True) -> dict[str, float]:
        """The field's own numbers, flat; their intervals, which take a while, where they are asked for.

        Raises:
            UserError: where there is nothing to score, or the output is not finite.
        """

    @abc.abstractmethod
    def answers(self, output: np.ndarray) -> list[dict[str, Any]]:
        """The answer to each example, in JSON's types."""

    @abc.abstractmethod
    def table(self, output: np.ndarray, references: np.ndarray) -> dict[str, Any]:
        """Columns of predictions.parquet: one row an example."""


def scores(name: str, task: Task, output: np.ndarray, references: np.ndarray) -> dict[str, float]:
    """A task's metrics of one split, by the names of metrics.json (`test/accuracy`); arguments as of `Task.metrics`."""
    return {f"{name}/{key}": value for key, value in task.metrics(output, references).items()}
