"""What is the answer to a question about the image? `"…image… question: what color is the circle? answer: red"`."""

import collections
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np

from llmimg.errors import UserError
from llmimg.metrics.words import FEW, agreement, commonest, normalised, number_of
from llmimg.settings import Positive, settings_of
from llmimg.tasks.base import TASKS, Row
from llmimg.tasks.figures import Bars, Figure
from llmimg.tasks.info import MOST_ANSWERS, DataInfo
from llmimg.tasks.measure import LOSS, ByRows, Measure, Table, Weights, of_rows
from llmimg.tasks.settings import AnswerSettings
from llmimg.tasks.templates import Prompts
from llmimg.tasks.words import AnsweredInWords, Words, texts_of
from llmimg.textify import Textifier
from llmimg.tokens.sample import Part


@settings_of("task")
class QuestionSettings(AnswerSettings):
    """conf/task/answer.yaml.

    Attributes:
        closed: whether it is chosen among the answers of training (`true`), or written in open words (`false`); `auto`
            chooses where there are at most `few`.
        few: as many different answers of training are few.
    """

    fields = ("image", "question")
    ends = True

    prompts: Prompts = ("{image}\nquestion: {question}\nanswer: {answer}",)
    closed: Literal["auto"] | bool = "auto"
    few: Positive = 200

    @property
    def varied(self) -> bool:
        return True  # of a row with several questions one is drawn


@dataclass(frozen=True)
class ByQuestion:
    """The commonest answer to each question, and to any other: what can be answered without looking."""

    answers: Mapping[str, str]
    other: str


@TASKS.register("answer")
@dataclass(frozen=True)
class QuestionAnswering(AnsweredInWords):
    """Answers to questions, held against one that is right or against those of several annotators
    (`llmimg.metrics.words`). Of a row with several questions (`questions`) one is drawn in training."""

    settings: QuestionSettings
    said = "answer"
    Settings = QuestionSettings
    readouts = ("generate", "score")
    columns = ("question", "answer")
    asks = ("question",)
    extras = ("questions", "question_type")
    measures: ClassVar = (
        Measure("exact_match", "Exact match", "share of questions answered as most annotators did"),
        Measure("vqa_accuracy", "VQA accuracy", "how many annotators an answer agrees with, min(n / 3, 1)"),
        Measure(
            "mean_absolute_error",
            "Error of numbers",
            "mean distance of numbers from the right ones",
            "number",
            False,
            None,
            0.0,
        ),
        LOSS,
        Measure("unread_answers", "Answers without words", "share that could not be read", "share", False, 1.0, 0.0),
        Measure("unseen_answers", "Unseen answers", "share that training never saw", "share", False, 1.0, 0.0),
    )
    row_measure: ClassVar = Measure("score", "Agreement", "how many annotators an answer agrees with")

    def bind(self, info: DataInfo, textifier: Textifier) -> Self:
        bound = super().bind(info, textifier)
        if self.settings.closed is True and not info.answers:
            raise UserError(
                f"task.closed=true chooses among the answers of training, and these are none or more than "
                f"{MOST_ANSWERS:,}: set task.closed=false."
            )
        return bound

    @functools.cached_property
    def classes(self) -> tuple[str, ...] | None:
        known, closed = self.info.answers, self.settings.closed
        few = 2 <= len(known) <= self.settings.few if closed == "auto" else closed
        return known if few else None

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {normalised(name): number for number, name in enumerate(self.classes or ())}

    def prompt(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        return super().prompt(self._asked(row, seed), seed)

    def answer(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        said = _right(self._asked(row, seed))
        number = self._numbers.get(normalised(said))
        return self.words(said, seed) if number is None or self.candidates is None else self.candidates[number]

    def target(self, row: Row, seed: int | None = None) -> int | None:
        return self._numbers.get(normalised(_right(self._asked(row, seed)))) if row.get("answer") else None

    @staticmethod
    def _asked(row: Row, seed: int | None) -> Row:
        """The row with the question that is asked of it."""
        several = row.get("questions") or ()
        if seed is None or not several:
            return row
        return {**row, **several[int(np.random.default_rng([seed, 2]).integers(len(several)))]}

    def variants(self, row: Row) -> Iterable[Row]:
        return (row, *({**row, **each} for each in row.get("questions") or ()))

    @classmethod
    def known_answers(cls, train: Any) -> Iterable[str | Sequence[str] | None]:
        yield from train["answer"]
        for several in train["questions"] if "questions" in train.column_names else ():
            yield from (each["answer"] for each in several or ())

    def check(self, rows: Iterable[Row]) -> None:
        several = [row["id"] for row in rows if not isinstance(row["question"], str)]
        if several:
            raise UserError(
                f"{len(several):,} training rows have a list of questions, the first is row {several[0]}: give each "
                "question a row of its own."
            )

    def check_scored(self, rows: Iterable[Row], split: str) -> None:
        if self.classes is not None and all(self.target(row) is None for row in rows):
            raise UserError(
                f"None of the answers of the {split} split is one of the {len(self.classes):,} of training, which are "
                "all that can be answered: set task.closed=false, or check data.answer_column."
            )

    def truth(self, row: Row) -> Words:
        return Words(_right(row), 1.0, 0.0)

    def metrics(self, predictions: Sequence[Words], rows: Sequence[Row], intervals: bool = True) -> dict[str, float]:
        from llmimg.metrics.intervals import with_intervals

        table = self._scores(predictions, rows)
        several = any(len(texts_of(row["answer"])) >= FEW for row in rows)
        kept = {"exact_match": "exact"} | ({"vqa_accuracy": "score"} if several else {})

        def values(weights: Weights = None) -> dict[str, float]:
            return {key: of_rows(table[column], weights) for key, column in kept.items()}

        found = with_intervals(values, len(rows)) if intervals else values()
        types = np.array([_type(row) for row in rows])
        found |= {f"exact_match_{_key(each)}": float(table["exact"][types == each].mean()) for each in np.unique(types)}
        found["unread_answers"] = self.unread(predictions)
        pairs = [
            (number_of(each.text or ""), number_of(_right(row))) for each, row in zip(predictions, rows, strict=True)
        ]
        errors = [abs(said - right) for said, right in pairs if said is not None and right is not None]
        found |= {"mean_absolute_error": float(np.mean(errors))} if errors else {}
        if self.classes is not None:
            costs = [each.nats for each in predictions if each.nats is not None]
            found |= {"loss": float(np.mean(costs))} if costs else {}
            found["unseen_answers"] = float(np.mean([self.target(row) is None for row in rows]))
        return found

    @classmethod
    def headline(cls, table: Table) -> ByRows:
        return np.asarray(table["exact"], np.float64)

    def _scores(self, predictions: Sequence[Words], rows: Sequence[Row]) -> dict[str, np.ndarray]:
        """Of each answer, float64 `[N]`: whether it is that of most annotators, and how many it agrees with."""
        exact, score = np.zeros(len(rows)), np.zeros(len(rows))
        for number, (each, row) in enumerate(zip(predictions, rows, strict=True)):
            known = texts_of(row["answer"])
            right = known if len(known) < FEW else (commonest(known),)
            if each.text is not None:
                exact[number] = agreement(each.text, right)
                score[number] = agreement(each.text, known)
        return {"exact": exact, "score": score}

    def per_row(self, predictions: Sequence[Words], rows: Sequence[Row]) -> np.ndarray:
        return self._scores(predictions, rows)["score"]

    def table(self, predictions: Sequence[Words], rows: Sequence[Row]) -> Table:
        """Besides what every table has, the questions and their types."""
        return {
            **super().table(predictions, rows),
            "exact": self._scores(predictions, rows)["exact"],
            "question": [row["question"] for row in rows],
            "type": [_type(row) for row in rows],
        }

    @classmethod
    def remark(cls, row: Mapping[str, Any]) -> str:
        return " ".join(filter(None, [row["question"], super().remark(row)]))

    def figures(self, predictions: Sequence[Words], rows: Sequence[Row]) -> list[Figure]:
        types, scores = np.array([_type(row) for row in rows]), self._scores(predictions, rows)
        names, groups = np.unique(types, return_inverse=True)
        counts = np.bincount(groups)
        columns = {"questions": counts.astype(np.float64)}
        columns["exact match"] = np.bincount(groups, scores["exact"]) / counts
        units = {"questions": "count", "exact match": "share"}
        return [Bars("By type of question", tuple(names.tolist()), columns, units)]

    def on(self, prediction: Words | ByQuestion, row: Row) -> Words:
        if isinstance(prediction, Words):
            return super().on(prediction, row)
        return Words(prediction.answers.get(normalised(row["question"]), prediction.other))

    def constant(self, rows: Sequence[Row]) -> ByQuestion:
        """The commonest answer to each question: what can be answered without looking."""
        said: dict[str, list[str]] = collections.defaultdict(list)
        for each in (variant for row in rows for variant in self.variants(row)):
            said[normalised(each["question"])].append(_right(each))
        every = [answer for answers in said.values() for answer in answers]
        return ByQuestion({question: commonest(answers) for question, answers in said.items()}, commonest(every))


def _right(row: Row) -> str:
    """The answer that most of a row's annotators gave."""
    return commonest(texts_of(row["answer"]))


def _key(name: str) -> str:
    """A type of question as a part of a name in metrics.json: "yes or no" → "yes_or_no"."""
    return re.sub(r"\W+", "_", name.strip().lower())


def _type(row: Row) -> str:
    """What a question is of, as the data say; else by its answer, as in VQA."""
    if row.get("question_type"):
        return row["question_type"]
    answer = normalised(_right(row))
    return "yes or no" if answer in ("yes", "no") else "number" if answer.isdigit() else "other"
