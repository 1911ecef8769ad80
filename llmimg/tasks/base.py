"""What is asked of a row, how the question and the answer are written, read back, scored and drawn: one file a task."""

import abc
import collections
import dataclasses
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from llmimg.registry import Registry
from llmimg.settings import build
from llmimg.tasks.figures import Figure
from llmimg.tasks.info import NOTHING_KNOWN, DataInfo
from llmimg.tasks.measure import ByRows, Measure, Table, Weights, of_rows
from llmimg.tasks.templates import Template
from llmimg.textify import Grammar, Lexicon, Textifier
from llmimg.tokens.sample import Answer, Part

TASKS = Registry("task", "llmimg.tasks")

UNREAD = "(not read)"

Prediction = Any  # a task's own: a class and its probabilities, boxes with scores, a mask, words

# One row: the canonical columns that the task needs (`llmimg.data.columns`), and besides them
#   id         text;
#   size       (height, width) of the image on which objects and mask lie;
#   placement  `llmimg.data.Placement` of that image in what the model sees; None where it is what the model sees.
# A row to learn from lies on what the model sees, moved by fit and augmentation; a row to score on the source's image.
# A row to be asked has `asks`, `size` and `placement` alone.
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Task(abc.ABC):
    """One thing to ask of rows. The smallest one says `Settings`, `readouts`, `columns`, `measures`, `answer`, `read`,
    `truth` and `per_row`; everything else has a default.

    Attributes:
        settings: of its class's `Settings`.
        info: of the data it is asked of.
        wording: which of its prompts it is asked with in evaluation.
    """

    settings: Any
    info: DataInfo = NOTHING_KNOWN
    wording: int = 0

    Settings: ClassVar[type]  # conf/task/NAME.yaml, a frozen dataclass in the task's file
    readouts: ClassVar[tuple[str, ...]]  # what can answer it; the first is the default
    columns: ClassVar[tuple[str, ...]]  # needed to learn and to score, besides the image
    asks: ClassVar[tuple[str, ...]] = ()  # of these, those needed to ask
    extras: ClassVar[tuple[str, ...]] = ()  # what it makes use of besides, where the data have it
    measures: ClassVar[tuple[Measure, ...]]  # the first is the headline
    row_measure: ClassVar[Measure] = Measure(  # of `per_row`
        "score", "Score", "the score of each image by itself", "number", worst=None, best=None
    )
    Bounds: ClassVar[type | None] = None  # what `predict` can be told to leave out, as settings; None: nothing
    by_split: ClassVar[bool] = False  # whether the rows of a split are held against each other (`of_split`)
    exact: ClassVar[bool] = True  # whether an answer fills its budget, or at most does

    @classmethod
    def with_settings(cls, info: DataInfo = NOTHING_KNOWN, **settings: Any) -> Self:
        """The task for some data, by the names of its settings."""
        return cls(build(cls.Settings, settings), info)

    def bind(self, info: DataInfo, textifier: Textifier) -> Self:
        """Itself for these data.

        Raises:
            UserError: data that it cannot be asked of, with what to do.
        """
        return dataclasses.replace(self, info=info)

    @classmethod
    def columns_of(cls, names: Collection[str]) -> tuple[str, ...]:
        """The columns that it is given of data that have these."""
        return (*cls.columns, *(name for name in cls.extras if name in names))

    @property
    def grammar(self) -> Grammar | None:
        """Of an answer; None is open text. Its start stands behind the prompt, not at the start of a text."""
        return None

    @property
    def known_grammar(self) -> Grammar:
        """`grammar`, of a task that has one.

        Raises:
            ValueError: answers are open text.
        """
        if self.grammar is None:
            raise ValueError("The answers of this task are open text, and have no grammar.")
        return self.grammar

    @property
    def lexicon(self) -> Lexicon | None:
        """The pieces of an answer."""
        return None if self.grammar is None else self.grammar.lexicon

    def appearance(self) -> np.ndarray | None:
        """What its pieces look like, float32 `[pieces, F]`, as `Textifier.appearance` of an image's: coordinates as
        `llmimg.textify.appearance.bumps` of them, so that near ones begin alike. None where they look like nothing."""
        return None

    @property
    def cells(self) -> np.ndarray | None:
        """How many cells of a budget each piece fills, int64 `[P]`; None fills none."""
        return None

    def budget(self, row: Row) -> int | None:
        """How many cells an answer fills, or at most (`exact`); None counts none."""
        return None

    @property
    def longest(self) -> int | None:
        """How many pieces an answer has at most: by default as many as the grammar allows. None knows no end."""
        return None if self.grammar is None else self.grammar.longest

    @property
    def open(self) -> bool:
        """Whether answers are open text: neither one of few, nor with a grammar."""
        return self.candidates is None and self.grammar is None

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Where every answer is one of few, these: what a head and candidates need."""
        return None

    @property
    def candidates(self) -> tuple[tuple[Part, ...], ...] | None:
        """Each of its classes as an answer, strings alone; None where answers are not chosen from a few."""
        return None

    def target(self, row: Row, seed: int | None = None) -> int | None:
        """Which of its classes a row is of: what is learned of it; None, of a row of none, is nothing. `seed` as of
        `prompt`."""
        raise NotImplementedError

    @property
    def constants(self) -> Mapping[str, str]:
        """What stands in its prompts for the settings' `constants`."""
        return {}

    @functools.cached_property
    def wordings(self) -> tuple[Template, ...]:
        """Its prompts, with what differs from row to row left open."""
        return tuple(Template.parsed(text, self.constants) for text in self.settings.prompts)

    def wording_of(self, seed: int | None) -> int:
        """Which of them a sample has; `seed` as of `prompt`."""
        if seed is None or len(self.wordings) == 1:
            return self.wording
        return int(np.random.default_rng([seed, 1]).integers(len(self.wordings)))

    @property
    def own_words(self) -> bool:
        """Whether its prompts hold words of the row's own."""
        return any(template.own for template in self.wordings)

    def in_every_wording(self) -> tuple[Self, ...]:
        """Itself, asked with each of its prompts in evaluation."""
        return tuple(dataclasses.replace(self, wording=each) for each in range(len(self.wordings)))

    @property
    def behind(self) -> str:
        """The words behind an answer."""
        return self.wordings[self.wording].behind

    @property
    def stand_in(self) -> Row:
        """A row that stands for any, to see how a prompt is built."""
        return dict.fromkeys(self.asks, "?")

    def prompt(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        """What the model is given.

        Args:
            row: with the columns of `asks`.
            seed: all that is random in it; None in evaluation.
        """
        return self.wordings[self.wording_of(seed)].filled(row)

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

    def check_scored(self, rows: Iterable[Row], split: str) -> None:  # noqa: B027
        """Refuse a split in which there is nothing to score; called with its rows before anything is learned.

        Raises:
            UserError: saying what is missing.
        """

    @abc.abstractmethod
    def truth(self, row: Row) -> Prediction:
        """What is right, as a prediction."""

    @abc.abstractmethod
    def read(self, answer: Answer, row: Row) -> Prediction:
        """A prediction, on the image that the row's `size` is of. What cannot be read is counted, never guessed."""

    def of_split(self, rows: Iterable[Row]) -> Self:
        """Itself for a split whose rows are held against each other, in this order."""
        return self

    @property
    def held_against(self) -> tuple[tuple[Part, ...], ...] | None:
        """The answers of a split that each of its rows is scored by, one after the other; None where it has its own."""
        return None

    def read_all(self, answers: Sequence[Answer], rows: Sequence[Row]) -> list[Prediction]:
        """The predictions of a whole split."""
        return [self.read(answer, row) for answer, row in zip(answers, rows, strict=True)]

    def metrics(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], intervals: bool = True
    ) -> dict[str, float]:
        """Its measures, flat; `…_low` and `…_high` of those that have a 95 % interval, where they are asked for.

        Raises:
            UserError: where there is nothing to score, or the model diverged.
        """
        from llmimg.metrics.intervals import with_intervals

        headline = self.headline(self.table(predictions, rows))

        def values(weights: Weights = None) -> dict[str, float]:
            return {self.measures[0].key: of_rows(headline, weights)}

        return with_intervals(values, len(rows)) if intervals else values()

    @classmethod
    def headline(cls, table: Table) -> ByRows:
        """The headline by rows, from what stands in predictions.parquet: intervals and `compare` resample these. By
        default the mean score."""
        return np.asarray(table["score"], np.float64)

    @abc.abstractmethod
    def per_row(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> np.ndarray:
        """How good each prediction is, float64 `[N]`, higher is better: the worst are shown as mistakes."""

    def table(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> Table:
        """Columns of predictions.parquet: `score` (of `per_row`), `prediction` and `truth` (or `label`) in words, and
        what `headline` needs."""
        return {
            "truth": [self.text(self.truth(row)) for row in rows],
            "prediction": [self.text(prediction) for prediction in predictions],
            "score": self.per_row(predictions, rows),
        }

    @classmethod
    def remark(cls, row: Mapping[str, Any]) -> str:
        """What stands beside an answer on the page, from its row of predictions.parquet: by default its score."""
        return f"{cls.row_measure.title} {cls.row_measure.written(row['score'])}"

    def text(self, prediction: Prediction) -> str:
        """A prediction in a few words; None is an answer that could not be read."""
        return UNREAD if prediction is None else str(prediction)

    def as_json(self, prediction: Prediction) -> dict[str, Any]:
        """A prediction in JSON's types, as `predict` prints it: by default a number as it is, all else in words."""
        return {"prediction": prediction if isinstance(prediction, int | float | None) else self.text(prediction)}

    def bounded(self, prediction: Prediction, bounds: Any) -> Prediction:
        """What of a prediction is wanted, by its class's `Bounds`."""
        return prediction

    def figures(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> list[Figure]:
        """What the report shows of them all."""
        return []

    def draw(self, image: np.ndarray, prediction: Prediction) -> np.ndarray | None:
        """A prediction on its image, uint8 `[H, W, C]` both (the result may be larger, and have 3 channels); None where
        words say it."""
        return None

    @property
    def exports(self) -> bool:
        """Whether `export` writes something."""
        return type(self).export is not Task.export

    def export(self, predictions: Sequence[Prediction], rows: Sequence[Row], folder: Path) -> None:  # noqa: B027
        """Write predictions in the field's own format; nothing where it has none."""

    def on(self, prediction: Prediction, row: Row) -> Prediction:
        """What is said of what the model sees (the truth of a row to learn from, or `constant`) as said of another row:
        at the same points of what the model sees, brought to the row's own image."""
        return prediction

    def constant(self, rows: Sequence[Row]) -> Prediction:
        """What answers best without looking: the commonest truth of these rows to learn from."""
        truths = [self.truth(row) for row in rows]
        counts = collections.Counter(map(self.text, truths))
        commonest = max(counts, key=lambda text: counts[text])
        return next(truth for truth in truths if self.text(truth) == commonest)
