"""What is asked of a row, how the question and the answer are written, read back, scored and drawn: one file a task."""

import abc
import collections
import dataclasses
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
from llmimg.tasks.predicting import Predicting
from llmimg.tasks.prompting import Prompting, Row
from llmimg.tasks.several import Asked, Prediction
from llmimg.textify import Grammar, Lexicon, Textifier
from llmimg.tokens.sample import Part

TASKS = Registry("task", "llmimg.tasks")

UNREAD = "(not read)"


@dataclass(frozen=True)
class Task(Prompting, Asked, Predicting):
    """One thing to ask of rows. The smallest one says `Settings`, `readouts`, `columns`, `measures`, `answer`, `read`,
    `truth` and `per_row`; everything else has a default.
    """

    Settings: ClassVar[type]  # conf/task/NAME.yaml, a frozen dataclass in the task's file
    readouts: ClassVar[tuple[str, ...]]  # what can answer it; the first is the default
    columns: ClassVar[tuple[str, ...]]  # needed to learn and to score, besides the image
    extras: ClassVar[tuple[str, ...]] = ()  # what it makes use of besides, where the data have it
    measures: ClassVar[tuple[Measure, ...]]  # the first is the headline
    row_measure: ClassVar[Measure] = Measure(  # of `per_row`
        "score", "Score", "the score of each image by itself", "number", worst=None, best=None
    )
    Bounds: ClassVar[type | None] = None  # what `predict` can be told to leave out, as settings; None: nothing
    independent: ClassVar[bool] = False  # whether each of its classes holds or does not by itself; else one does
    exact: ClassVar[bool] = True  # whether an answer fills its budget, or at most does
    of_images: ClassVar[bool] = True  # whether rows are images, and not plain text
    writes_images: ClassVar[bool] = False  # whether an answer is the row's own image, in the pieces images are read in

    @classmethod
    def chosen(cls, settings: Mapping[str, Any]) -> type[Any]:
        """The class of task that its settings ask for, in JSON's types: itself, where they choose no other."""
        return cls

    @classmethod
    def with_settings(cls, info: DataInfo = NOTHING_KNOWN, **settings: Any) -> Any:
        """The task for some data, by the names of its settings."""
        return cls.chosen(settings)(build(cls.Settings, settings), info)

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
    def own_grammar(self) -> Grammar | None:
        """`grammar`, where an answer's pieces are the task's own: what the vocabulary must know besides images'."""
        return None if self.writes_images else self.grammar

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
    def longest(self) -> int:
        """How many pieces an answer has at most: by default as many as the grammar allows.

        Raises:
            ValueError: answers are open text.
            NotImplementedError: a grammar without an end, and a task that does not say where one is.
        """
        if (longest := self.known_grammar.longest) is None:
            raise NotImplementedError("A task whose grammar lets an answer go on and on says how `longest` it may be.")
        return longest

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

    @property
    def candidate_prompts(self) -> tuple[tuple[Part, ...], ...] | None:
        """Where a row is what its answer is likeliest behind: a prompt for each of a few, in evaluation. A generative
        classifier's are its classes'."""
        return None

    @property
    def class_weights(self) -> np.ndarray | None:
        """What a head's cost of each class, or of a yes to it, is multiplied by, float32 `[K]`; None: alike."""
        return None

    def target(self, row: Row, seed: int | None = None) -> Any:
        """Which of its classes a row is of, or which hold, float32 `[K]`; None: nothing. `seed` as of `prompt`."""
        raise NotImplementedError

    @abc.abstractmethod
    def answer(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        """What the model is to write for a row to learn from; `seed` as of `prompt`.

        Raises:
            UserError: a row that cannot be right, named by its id.
        """

    def around_image(self, row: Row) -> tuple[Part, ...]:
        """All that the row's image stands in, in evaluation: its prompt, and the answer where that is the image."""
        prompt = self.prompt(row, None)
        return (*prompt, *self.answer(row, None)) if self.writes_images else prompt

    def variants(self, row: Row) -> Iterable[Row]:
        """The rows that a row may be asked and learned as: one for each of its several questions, or captions."""
        return (row,)

    @classmethod
    def known_answers(cls, train: Any) -> Iterable[str | Sequence[str] | None]:
        """The answers of the training split, a data set, where they may be few; here none."""
        return ()

    def check(self, rows: Iterable[Row]) -> None:
        """Refuse training rows that cannot be learned from, all at once; called with all whose image is not broken.

        Raises:
            UserError: counting them, and naming the first.
        """

    def check_scored(self, rows: Iterable[Row], split: str) -> None:
        """Refuse a split in which there is nothing to score; called with its rows before anything is learned.

        Raises:
            UserError: saying what is missing.
        """

    @abc.abstractmethod
    def truth(self, row: Row) -> Prediction:
        """What is right, as a prediction."""

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

    def export(self, predictions: Sequence[Prediction], rows: Sequence[Row], folder: Path) -> None:
        """Write predictions in the field's own format; nothing where it has none."""

    def on(self, prediction: Prediction, row: Row) -> Prediction:
        """What is said of what the model sees (the truth of a row to learn from, or `constant`) as said of another row:
        at the same points of what the model sees, brought to the row's own image."""
        return prediction

    def constant(self, rows: Sequence[Row]) -> Prediction:
        """What answers best without looking: the commonest truth of these rows to learn from."""
        truths = [self.truth(row) for row in rows]
        ((commonest, _),) = collections.Counter(map(self.text, truths)).most_common(1)
        return next(truth for truth in truths if self.text(truth) == commonest)
