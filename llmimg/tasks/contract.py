"""What is asked of a row, how the question and the answer are written, read back, scored and drawn: one file a task."""

import abc
import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np

from llmimg.tasks.figures import Figure
from llmimg.textify import Grammar, Lexicon, Textifier
from llmimg.tokens.sample import Answer, ImageSlot, Part

Unit = Literal["share", "nats", "bits", "number", "count"]
Prediction = Any  # a task's own: a class and its probabilities, boxes with scores, a mask, words

# One row: the canonical columns that the task needs (`llmimg.data.columns`), and besides them
#   id         text;
#   size       (height, width) of the image on which objects and mask lie;
#   placement  `llmimg.data.Placement` of that image in what the model sees; None where it is what the model sees.
# A row to learn from lies on what the model sees, moved by fit and augmentation; a row to score on the source's image.
# A row to be asked has `asks`, `size` and `placement` alone.
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Measure:
    """One number that a task is scored by.

    Attributes:
        key: as in metrics.json, behind `test/` or `val/`.
        title: a few words, as they stand in a table.
        meaning: the end of a sentence that says what it is.
        unit: a share of 1, nats, bits, a plain number, or a whole one.
        higher_is_better: which way is better.
        worst, best: the ends of its range; None where it has none.
    """

    key: str
    title: str
    meaning: str
    unit: Unit = "share"
    higher_is_better: bool = True
    worst: float | None = 0.0
    best: float | None = 1.0


@dataclass(frozen=True)
class DataInfo:
    """What a task must know of the data: JSON's types, saved with a recogniser.

    Attributes:
        label_names: the classes of images.
        classes: of the columns `objects` and `mask`, the names of their classes.
        numbers: the source's own number of each of these; None where it has none.
        size: (height, width) of what the model sees; None where images differ.
    """

    label_names: tuple[str, ...] = ()
    classes: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    numbers: Mapping[str, tuple[int | None, ...]] = dataclasses.field(default_factory=dict)
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Task(abc.ABC):
    """One thing to ask of rows. The smallest one says `Settings`, `readouts`, `columns`, `measures`, `answer`, `read`,
    `truth` and `per_row`; everything else has a default.

    Attributes:
        settings: of its class's `Settings`.
        info: of the data it is asked of.
    """

    settings: Any
    info: DataInfo = DataInfo()

    Settings: ClassVar[type]  # conf/task/NAME.yaml, a frozen dataclass in the task's file
    readouts: ClassVar[tuple[str, ...]]  # what can answer it; the first is the default
    columns: ClassVar[tuple[str, ...]]  # needed to learn and to score, besides the image
    asks: ClassVar[tuple[str, ...]] = ()  # of these, those needed to ask
    measures: ClassVar[tuple[Measure, ...]]  # the first is the headline
    exact: ClassVar[bool] = True  # whether an answer fills its budget, or at most does

    def bind(self, info: DataInfo, textifier: Textifier) -> Self:
        """Itself for these data.

        Raises:
            UserError: data that it cannot be asked of, with what to do.
        """
        return dataclasses.replace(self, info=info)

    @property
    def grammar(self) -> Grammar | None:
        """Of an answer; None is open text. Its start stands behind the prompt, not at the start of a text."""
        return None

    @property
    def lexicon(self) -> Lexicon | None:
        """The pieces of an answer."""
        return None if self.grammar is None else self.grammar.lexicon

    @property
    def cells(self) -> np.ndarray | None:
        """How many cells of a budget each piece fills, int64 `[P]`; None fills none."""
        return None

    def budget(self, row: Row) -> int | None:
        """How many cells an answer fills, or at most (`exact`); None counts none."""
        return None

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Where every answer is one of few, these: what a head and candidates need."""
        return None

    def prompt(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        """What the model is given.

        Args:
            seed: all that is random in it; None in evaluation.
        """
        return (ImageSlot(),)

    @abc.abstractmethod
    def answer(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        """What the model is to write for a row to learn from; `seed` as of `prompt`.

        Raises:
            UserError: a row that cannot be right, named by its id.
        """

    def check(self, rows: Iterable[Row]) -> None:  # noqa: B027
        """Refuse training rows that cannot be learned from, all at once; called once with all of them.

        Raises:
            UserError: counting them, and naming the first.
        """

    @abc.abstractmethod
    def truth(self, row: Row) -> Prediction:
        """What is right, as a prediction."""

    @abc.abstractmethod
    def read(self, answer: Answer, row: Row) -> Prediction:
        """A prediction, on the image that the row's `size` is of. What cannot be read is counted, never guessed."""

    def metrics(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], intervals: bool = True
    ) -> dict[str, float]:
        """Its measures, flat; `…_low` and `…_high` of those that have a 95 % interval, where they are asked for.

        Raises:
            UserError: where there is nothing to score, or the model diverged.
        """
        from llmimg.metrics.intervals import with_intervals

        of_each = self.per_row(predictions, rows)

        def mean(weights: np.ndarray | None = None) -> dict[str, float]:
            return {self.measures[0].key: float(np.average(of_each, weights=weights))}

        return with_intervals(mean, len(of_each)) if intervals else mean()

    @abc.abstractmethod
    def per_row(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> np.ndarray:
        """How good each prediction is, float64 `[N]`, higher is better: the worst are shown as mistakes."""

    def table(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, Sequence[Any]]:
        """Columns of predictions.parquet, one value a row."""
        return {
            "truth": [self.text(self.truth(row)) for row in rows],
            "prediction": [self.text(prediction) for prediction in predictions],
            "score": self.per_row(predictions, rows),
        }

    def text(self, prediction: Prediction) -> str:
        """A prediction in a few words."""
        return str(prediction)

    def plain(self, prediction: Prediction) -> dict[str, Any]:
        """A prediction in JSON's types, as `predict` prints it."""
        return {"prediction": self.text(prediction)}

    def figures(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> list[Figure]:
        """What the report shows of them all."""
        return []

    def draw(self, image: np.ndarray, prediction: Prediction) -> np.ndarray | None:
        """A prediction on its image, uint8 `[H, W, C]` both (the result may be larger, and have 3 channels); None where
        words say it."""
        return None

    def export(self, predictions: Sequence[Prediction], rows: Sequence[Row], folder: Path) -> None:  # noqa: B027
        """Write predictions in the field's own format; nothing where it has none."""

    def constant(self, rows: Sequence[Row]) -> Prediction:
        """What answers best without looking: the commonest of these rows' truths."""
        truths = [self.truth(row) for row in rows]
        counts = collections.Counter(map(self.text, truths))
        commonest = max(counts, key=lambda text: counts[text])
        return next(truth for truth in truths if self.text(truth) == commonest)
