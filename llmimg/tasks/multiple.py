"""Which of K classes are in the image? `"…image… class: circle, square"`, or one yes or no a class (`task=classify`
with `task.multiple=true`)."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from llmimg.errors import UserError
from llmimg.metrics.labels import Labels
from llmimg.tasks.base import Row
from llmimg.tasks.class_settings import ClassifySettings, yes_weights
from llmimg.tasks.figures import Bars, Figure
from llmimg.tasks.info import DataInfo
from llmimg.tasks.measure import ByRows, Measure, Table
from llmimg.tasks.words import WordsTask
from llmimg.textify import START, Grammar, Lexicon, Textifier
from llmimg.tokens.sample import Answer, Part, Pieces

NOTHING = "nothing"  # what stands for no label
_PARTS = ", "  # between the names in an answer
THRESHOLD = 0.5
_MOST = 500  # classes: what holds answers to them grows with their square
_HALF = "; a class holds where its probability is at least one half, or its name is written"


@dataclass(frozen=True, eq=False)
class Held:
    """Which classes an image is of, or was taken for.

    Attributes:
        labels: bool `[K]`, those that hold, or are said to.
        probabilities: float64 `[K]`, of each by itself; a truth's are 1 and 0. In words, those of the names that were
            written, and 0 of the others, of which nothing is said.
        words: whether it was answered in words.
        problem: why the answer was not read, or not to its end.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    words: bool = False
    problem: str | None = None

    @classmethod
    def of(cls, probabilities: np.ndarray) -> Self:
        """What holds by the probability of each class by itself, float64 `[K]`."""
        return cls(probabilities >= THRESHOLD, probabilities)


@dataclass(frozen=True)
class Multiple(WordsTask):
    """Any number of labels an image. In words, the names of those that hold stand in the order of the classes, each
    once."""

    settings: ClassifySettings
    said = "labels"
    Settings = ClassifySettings
    independent = True
    readouts = ("head", "generate")
    columns = ("labels",)
    measures: ClassVar = (
        Measure("map", "Mean AP", "average precision of a class as images are ranked by it, over classes"),
        Measure("f1_macro", "Macro F1", f"precision and recall together, every class counting alike{_HALF}"),
        Measure("f1_micro", "Micro F1", f"precision and recall together, every label counting alike{_HALF}"),
        Measure("exact_match", "Exact match", f"share of test images whose labels are all right{_HALF}"),
        Measure("loss", "Loss", "mean surprise at what is right", "nats", higher_is_better=False, worst=None, best=0.0),
        Measure(
            "unread_answers",
            "Answers that break off",
            "share that was not read to the end",
            higher_is_better=False,
            worst=1.0,
            best=0.0,
            while_training=False,  # a head's are no words
        ),
    )
    row_measure = Measure("score", "F1", "F1 of an image's labels and those that were said")

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.info.classes.get("labels", ()))

    @property
    def constants(self) -> dict[str, str]:
        return {"classes": ", ".join(self.classes)}

    @property
    def class_weights(self) -> np.ndarray | None:
        if self.settings.class_weights == "none":
            return None
        return yes_weights(self.info.counts["labels"], self.info.rows)

    def bind(self, info: DataInfo, textifier: Textifier) -> Self:
        bound = super().bind(info, textifier)
        if not bound.classes:
            raise UserError(
                "task.multiple=true needs labels, and these data have none: choose data with labels, or say with "
                "data.label_column= where they stand."
            )
        return bound

    @functools.cached_property
    def grammar(self) -> Grammar:
        """Each name as it begins an answer, and as it stands behind another: a kind each, as only later ones follow."""
        if (parted := next((name for name in self.classes if "," in name), None)) is not None:
            raise UserError(
                f"The class '{parted}' has a comma, which parts the names in an answer: call it otherwise with "
                "data.label_names, or take readout=head."
            )
        numbers = range(len(self.classes))
        if len(numbers) > _MOST:
            raise UserError(
                f"There are {len(numbers):,} classes, and names of more than {_MOST} cannot be written one behind the "
                "other: take readout=head."
            )
        first = {f"first {number}": [f" {self.classes[number]}"] for number in numbers}
        later = {f"later {number}": [f"{_PARTS}{self.classes[number]}"] for number in numbers}
        moves = {START: {f"first {number}": f"behind {number}" for number in numbers}}
        for number in numbers:
            moves[f"behind {number}"] = {f"later {each}": f"behind {each}" for each in numbers[number + 1 :]}
        return Grammar(Lexicon.of(**first, **later), moves, frozenset(moves))

    @property
    def longest(self) -> int:
        return len(self.classes)

    def target(self, row: Row, seed: int | None = None) -> np.ndarray:
        held = np.zeros(len(self.classes), np.float32)
        held[list(row["labels"])] = 1
        return held

    def answer(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        numbers = np.flatnonzero(self.target(row))
        return (Pieces(numbers + len(self.classes) * (np.arange(len(numbers)) > 0)),)

    def check(self, rows: Iterable[Row]) -> None:
        if not any(len(row["labels"]) for row in rows):
            raise UserError("No training image has a label: there is nothing to learn. Check the column of the labels.")

    def check_scored(self, rows: Iterable[Row], split: str) -> None:
        if not any(len(row["labels"]) for row in rows):
            raise UserError(
                f"No image of the {split} split has a label, so that nothing can be found in them: take more of them, "
                f"or name another with data.{split}_split=."
            )

    def truth(self, row: Row) -> Held:
        return Held.of(self.target(row).astype(np.float64))

    def read(self, answer: Answer, row: Row) -> Held:
        """Of scores, each class's probability by its logit. Of words, that of each name among what could stand there; a
        name that came without one is sure (1)."""
        if answer.scores is not None:
            return Held.of(_sigmoid(answer.scores))
        labels, found = np.zeros(len(self.classes), bool), np.zeros(len(self.classes))
        if answer.pieces is None:
            return Held(labels, found, True, answer.problem or "There is no answer.")
        numbers, known = answer.pieces.astype(np.int64) % len(self.classes), answer.log_probabilities
        labels[numbers] = True
        found[numbers] = 1.0 if known is None else np.exp(known.astype(np.float64))
        return Held(labels, found, True, answer.problem)

    def metrics(self, predictions: Sequence[Held], rows: Sequence[Row], intervals: bool = True) -> dict[str, float]:
        """Without a loss where answers are words: what these cost is the readout's to say."""
        scored = self._scored(predictions, rows)
        if not any(each.words for each in predictions):
            return {**scored.metrics(intervals), "loss": scored.loss()}
        unread = float(np.mean([each.problem is not None for each in predictions]))
        return {**scored.metrics(intervals), "unread_answers": unread}

    def per_row(self, predictions: Sequence[Held], rows: Sequence[Row]) -> np.ndarray:
        return self._scored(predictions, rows).per_row()

    def table(self, predictions: Sequence[Held], rows: Sequence[Row]) -> Table:
        """Besides what every table has, `labels` (the numbers of those that hold), `probabilities` (0 of what no word
        was said of), and what was not read."""
        return {
            **super().table(predictions, rows),
            "labels": [list(map(int, row["labels"])) for row in rows],
            "probabilities": [each.probabilities for each in predictions],
            "problem": [each.problem or "" for each in predictions],
        }

    @classmethod
    def headline(cls, table: Table) -> ByRows:
        probabilities = np.array([*table["probabilities"]], np.float64)
        truth = np.zeros(probabilities.shape, bool)
        for row, labels in enumerate(table["labels"]):
            truth[row, list(labels)] = True
        return Labels(truth, truth, probabilities).mean_average_precision

    def text(self, prediction: Held) -> str:
        return _PARTS.join(self.classes[number] for number in np.flatnonzero(prediction.labels)) or NOTHING

    def as_json(self, prediction: Held) -> dict[str, Any]:
        """The names of those that hold, and how probable each class is, as far as something is said of it."""
        numbers = np.flatnonzero(prediction.labels)
        known = numbers if prediction.words else range(len(self.classes))
        return {
            self.said: [self.classes[number] for number in numbers],
            "probabilities": {self.classes[number]: float(prediction.probabilities[number]) for number in known},
        }

    def figures(self, predictions: Sequence[Held], rows: Sequence[Row]) -> list[Figure]:
        found = self._scored(predictions, rows).by_class()
        titles = {"average_precision": "average precision", "f1": "F1"}
        columns = {titles.get(name, name): values for name, values in found.items()}
        units = {name: "count" if name == "images" else "share" for name in columns}
        meaning = f"Each class by itself: how well images are ranked by it, and what is said of them{_HALF}."
        return [Bars("Class by class", self.classes, columns, units, meaning)]

    def constant(self, rows: Sequence[Row]) -> Held:
        """Each class's share of the images as its probability."""
        return Held.of(np.array([self.target(row) for row in rows], np.float64).mean(axis=0))

    def _scored(self, predictions: Sequence[Held], rows: Sequence[Row]) -> Labels:
        truth = np.array([self.target(row) for row in rows], bool).reshape(len(rows), len(self.classes))
        said, probabilities = (
            np.array([getattr(each, name) for each in predictions]).reshape(truth.shape)
            for name in ("labels", "probabilities")
        )
        return Labels(truth, said, probabilities)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    """float64, 0 to 1; nan of what is not finite."""
    logits = np.asarray(logits, np.float64)
    finite = np.isfinite(logits)
    return np.where(finite, np.exp(-np.logaddexp(0, -np.where(finite, logits, 0))), np.nan)
