"""What tasks share whose answers are words: how these are written, read back and shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from llmimg.tasks.base import UNREAD, Row, Task
from llmimg.tasks.measure import Table
from llmimg.tasks.templates import closed_answers
from llmimg.tokens.sample import Answer, Part, RowText, is_fixed


@dataclass(frozen=True)
class Words:
    """What was answered in words.

    Attributes:
        text: the words; None where they could not be read.
        probability: of the whole answer, among what was allowed; None where that is not known.
        nats: what the right answer costs, where it is one of few.
        problem: why it was not read, or not to its end.
    """

    text: str | None
    probability: float | None = None
    nats: float | None = None
    problem: str | None = None


def texts_of(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """The texts of a column that has one or several of each row."""
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def drawn(texts: Sequence[str], seed: int | None) -> str:
    """One of several texts, by seed; None takes the first."""
    return texts[0 if seed is None else int(np.random.default_rng([seed, 2]).integers(len(texts)))]


class WordsTask(Task):
    """One that learns to write words."""

    said: ClassVar[str]  # what they are called

    def prompt(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        """Without the space in front of an answer, which is the answer's."""
        parts = super().prompt(row, seed)
        return (*parts[:-1], parts[-1].rstrip(" ")) if is_fixed(parts[-1]) else parts

    def words(self, text: str, seed: int | None = None) -> tuple[Part, ...]:
        """An answer in open text, and what the prompt has behind it; `seed` as of `prompt`."""
        return (RowText(self._begun(text) + self.wordings[self.wording_of(seed)].behind),)

    def _begun(self, text: str) -> str:
        return text if self.settings.chat else f" {text}"


class AnsweredInWords(WordsTask):
    """One whose answers are words: open text, or `classes` where there are few."""

    @property
    def candidates(self) -> tuple[tuple[Part, ...], ...] | None:
        if self.classes is None:
            return None
        return closed_answers([self._begun(name) for name in self.classes], self.behind)

    def read(self, answer: Answer, row: Row) -> Words:
        if answer.scores is not None and self.classes is not None:
            shares = answer.scores - np.logaddexp.reduce(answer.scores)
            best, right = int(shares.argmax()), self.target(row)
            nats = None if right is None else -float(shares[right])
            return Words(self.classes[best], float(np.exp(shares[best])), nats)
        if self.classes is not None and answer.pieces is not None:  # as a server named it
            return Words(self.classes[int(answer.pieces[0])], problem=answer.problem)
        text = answer.text.removesuffix(self.behind).strip()
        known = answer.log_probabilities
        sure = None if known is None else float(np.exp(known.sum(dtype=np.float64)))
        named = bool(text) and self.classes is None
        return Words(
            text if named else None, sure, problem=answer.problem or (None if named else "There are no words.")
        )

    def table(self, predictions: Sequence[Words], rows: Sequence[Row]) -> Table:
        """Besides what every table has, how probable answers are where that is known, and what was not read."""
        known = all(each.probability is not None for each in predictions)
        return {
            **super().table(predictions, rows),
            **({"probability": [each.probability for each in predictions]} if known else {}),
            "problem": [each.problem or "" for each in predictions],
        }

    @classmethod
    def remark(cls, row: Mapping[str, Any]) -> str:
        return f"{row['probability']:.1%} sure".replace("%", " %") if row.get("probability") is not None else ""

    def text(self, prediction: Words) -> str:
        return UNREAD if prediction.text is None else prediction.text

    def as_json(self, prediction: Words) -> dict[str, Any]:
        """The words, and how probable they are where that is known."""
        known = {} if prediction.probability is None else {"probability": prediction.probability}
        return {self.said: prediction.text, **known}

    def on(self, prediction: Words, row: Row) -> Words:
        return replace(prediction, nats=None)

    @staticmethod
    def unread(predictions: Sequence[Words]) -> float:
        """The share of answers that were not read, or not to their end."""
        return float(np.mean([each.problem is not None for each in predictions]))
