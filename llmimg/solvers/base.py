"""What every kind of model is to an experiment: it is fitted, it predicts a split, and it is saved."""

import abc
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmimg.configuration import Configuration
from llmimg.data import Data
from llmimg.data.identity import DataIdentity, Hashes
from llmimg.data.shown import notes_of_images
from llmimg.provenance import inside
from llmimg.readouts.base import mean_loss
from llmimg.run_folder import RunFolder
from llmimg.tasks.base import Prediction, Row, Task
from llmimg.tasks.figures import Figure, Shown

# kind of model → the module with its `SOLVER`; imported when it is needed, as each loads libraries of its own
_MODULES = {"language": "language", "endpoint": "endpoint", "image": "image", "baseline": "baseline"}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What was predicted for a split; broken rows are left out.

    Attributes:
        numbers: int64 `[N]`, the rows in their split, ascending.
        rows: to score them by.
        predictions: one each.
        columns: what of predictions.parquet the solver knows besides, such as the tokens of each row.
        costs: as of `Readout.costs`.
    """

    numbers: np.ndarray
    rows: Sequence[Row]
    predictions: list[Prediction]
    columns: Mapping[str, Sequence[Any] | np.ndarray]
    costs: np.ndarray | None = None


class Solver(abc.ABC):
    """One kind of model in one experiment. It is made once the data are read, and prepares them for the model.

    Attributes:
        hashes: of the images of each part of the data that it looks at.
        history: the Trainer's log_history, where there was one.
        context: the longest sequence the model reads, in tokens; 0 where that is not known.
    """

    splits: tuple[str, ...] = ("validation", "test")  # those it predicts
    hashes: Mapping[str, Hashes]
    history: Sequence[dict[str, float]] = ()
    context: int = 0

    def __init__(self, settings: Configuration, data: Data, task: Task, notes: list[str]):
        """
        Args:
            notes: sentences that a reader of the results must know; more are added on the way.
        """
        self.settings, self.data, self.task, self.notes = settings, data, task, notes
        notes.extend(notes_of_images(settings.data.images))

    @classmethod  # noqa: B027
    def check(cls, settings: Configuration) -> None:
        """Refuse, before data are read, what this kind of model cannot do.

        Raises:
            UserError: saying what.
        """

    @abc.abstractmethod
    def fit(self, folder: RunFolder, identity: DataIdentity) -> dict[str, float]:
        """Learn from the training split, or go on with it; what that took, by the names of metrics.json."""

    @abc.abstractmethod
    def predict(self, split: str) -> Outcome:
        """Predictions for a split."""

    @abc.abstractmethod
    def metrics(self, outcomes: Mapping[str, Outcome], scores: Mapping[str, float]) -> dict[str, float]:
        """What else is to be said of the run in numbers, by the names of metrics.json: sizes, costs, fidelity.

        Args:
            outcomes: of each split that was predicted.
            scores: the task's metrics of these.
        """

    def save(self, folder: RunFolder) -> None:  # noqa: B027
        """Leave for others what can be loaded again, and hold it against what was measured."""

    @abc.abstractmethod
    def show(self, outcome: Outcome, indices: Sequence[int]) -> list[Shown]:
        """Some rows of the test split's outcome as the model got them."""

    def image_hashes(self, outcome: Outcome) -> list[str | None]:
        """The hash of the image of each row of the test split's outcome."""
        own = [self.task.part_of(row) for row in outcome.rows]
        names = [inside(name if name in self.data.others else "", "test") for name in own]
        return [self.hashes[name][number] for name, number in zip(names, outcome.numbers, strict=True)]

    def figures(self, outcome: Outcome) -> list[Figure]:
        """What the report shows of the test split's outcome."""
        return self.task.figures(outcome.predictions, outcome.rows)

    @property
    def title(self) -> str:
        """`digits · gray · gpt2_tiny`."""
        named = (self.settings.data.name, self.settings.textify["name"], self.settings.model.name)
        return " · ".join(named)


def solver_for(kind: str) -> type[Solver]:
    """The solver of a kind of model."""
    return importlib.import_module(f"llmimg.solvers.{_MODULES[kind]}").SOLVER


def scores(outcomes: Mapping[str, Outcome], task: Task) -> dict[str, float]:
    """The task's metrics of each split, by the names of metrics.json: `test/accuracy`, `val/…`."""
    found = {}
    for split, outcome in outcomes.items():
        name = "val" if split == "validation" else split
        found |= {f"{name}/{key}": value for key, value in task.combined(of_each(task, outcome)).items()}
    return found


def of_each(task: Task, outcome: Outcome, intervals: bool = True) -> dict[str, dict[str, float]]:
    """The metrics of each of the tasks that rows are asked by, and its loss, by the tasks' names."""
    found = {}
    for part, asked, predictions, rows, here in task.by_part(outcome.predictions, outcome.rows):
        costs = None if outcome.costs is None else outcome.costs[here]
        found[part] = asked.metrics(predictions, rows, intervals) | mean_loss(costs)
    return found
