"""Which of K classes is in the image?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from llmimg.settings import read
from llmimg.tasks.base import TASKS, Row, Task
from llmimg.tasks.class_figures import class_figures
from llmimg.tasks.class_settings import ClassifySettings, balanced_weights
from llmimg.tasks.figures import Figure
from llmimg.tasks.measure import ByRows, Measure, Table
from llmimg.tasks.multiple import Multiple
from llmimg.tasks.templates import closed_answers
from llmimg.tokens.sample import Answer, Part

UNNAMED = "(no class)"  # the prediction where an answer in words names none


@dataclass(frozen=True, eq=False)
class Label:
    """What an image was taken for.

    Attributes:
        label: the class; None where an answer names none.
        scores: float `[K]`, of each class: logits or log-probabilities; None of an answer in words.
        answer: as it was written, where it was.
    """

    label: int | None
    scores: np.ndarray | None = None
    answer: Answer | None = None


@TASKS.register("classify")
class Classify(Task):
    """One label an image; of several (`task.multiple`) it is another task."""

    settings: ClassifySettings
    Settings = ClassifySettings
    readouts = ("head", "score", "generate")
    columns = ("label",)
    measures: ClassVar = (
        Measure("accuracy", "Accuracy", "share of test images answered rightly"),
        Measure("macro_f1", "Macro F1", "precision and recall together, every class counting alike"),
        Measure(
            "ece",
            "Calibration error",
            "how far its sureness lies from its accuracy, on average",
            higher_is_better=False,
            worst=1.0,
            best=0.0,
        ),
        Measure(
            "loss", "Loss", "mean surprise at the right answer", "nats", higher_is_better=False, worst=None, best=0.0
        ),
        Measure(
            "unread_answers",
            "Answers without a class",
            "share that names none; they count as wrong",
            higher_is_better=False,
            worst=1.0,
            best=0.0,
            while_training=False,  # only models that are asked answer in words
        ),
    )

    row_measure: ClassVar = Measure("score", "Score", "how sure the model was of them", "number", worst=-1.0)

    @classmethod
    def chosen(cls, settings: Mapping[str, Any]) -> type[Task]:
        return Multiple if read(settings.get("multiple", False), bool, "task.multiple") else cls

    @property
    def classes(self) -> tuple[str, ...]:
        return self.info.label_names

    @property
    def class_weights(self) -> np.ndarray | None:
        return balanced_weights(self.info.counts["label"]) if self.settings.class_weights == "balanced" else None

    @property
    def candidates(self) -> tuple[tuple[Part, ...], ...]:
        """The names, as `closed_answers`; in a conversation alone."""
        if self.settings.chat:
            return tuple((name,) for name in self.classes)
        return closed_answers(self.classes, self.behind)

    @property
    def constants(self) -> dict[str, str]:
        return {"classes": ", ".join(self.classes)}

    def target(self, row: Row, seed: int | None = None) -> int:
        return int(row["label"])

    def answer(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        return self.candidates[int(row["label"])]

    def truth(self, row: Row) -> Label:
        label, scores = int(row["label"]), np.full(len(self.classes), np.log(1e-12))
        scores[label] = 0
        return Label(label, scores)

    def read(self, answer: Answer, row: Row) -> Label:
        if answer.scores is not None:
            return Label(int(answer.scores.argmax()), answer.scores)
        return Label(int(answer.pieces[0]) if answer.pieces is not None else None, answer=answer)

    def metrics(self, predictions: Sequence[Label], rows: Sequence[Row], intervals: bool = True) -> dict[str, float]:
        from llmimg.metrics.classification import Classification

        truths = np.array([row["label"] for row in rows], np.int64)
        if self._are_sure(predictions):
            return Classification(intervals).compute(predictions=self._scores(predictions), references=truths) or {}
        # An answer in words says nothing of how sure it is.
        named = np.eye(len(self.classes) + 1)[self._named(predictions)]
        found = Classification(intervals, unnamed=True).compute(predictions=named, references=truths) or {}
        found = {key: value for key, value in found.items() if not key.startswith(("loss", "ece"))}
        return {**found, "unread_answers": float(np.mean([each.label is None for each in predictions]))}

    def _named(self, predictions: Sequence[Label]) -> np.ndarray:
        """The class of each, int64 `[N]`; one more than there are of what was not read."""
        return np.array([len(self.classes) if each.label is None else each.label for each in predictions], np.int64)

    def per_row(self, predictions: Sequence[Label], rows: Sequence[Row]) -> np.ndarray:
        """1 of a right answer, and of a wrong one minus how sure the model was of it: 1 where it does not say."""
        right = np.array([each.label == row["label"] for each, row in zip(predictions, rows, strict=True)], bool)
        sureness = np.ones(len(right))
        if self._are_sure(predictions):
            sureness = np.exp(self._log_probabilities(predictions)).max(axis=1)
        return np.where(right, 1.0, -sureness)

    @classmethod
    def headline(cls, table: Table) -> ByRows:
        pairs = zip(table["label"], table["prediction"], strict=True)
        return np.array([label == prediction for label, prediction in pairs], np.float64)

    @classmethod
    def remark(cls, row: Mapping[str, Any]) -> str:
        return f"{max(row['probabilities']):.1%} sure".replace("%", " %") if "probabilities" in row else ""

    def table(self, predictions: Sequence[Label], rows: Sequence[Row]) -> dict[str, Any]:
        names = (*self.classes, UNNAMED)
        truths = np.array([row["label"] for row in rows], np.int64)
        told = {
            "label": [names[label] for label in truths],
            "prediction": [names[label] for label in self._named(predictions)],
            "score": self.per_row(predictions, rows),
        }
        if not self._are_sure(predictions):
            answers = [each.answer or Answer() for each in predictions]
            return {
                **told,
                "answer": [each.text for each in answers],
                "finish": [each.finish for each in answers],
                "problem": [each.problem or "" for each in answers],
            }
        log_probabilities = self._log_probabilities(predictions)
        return {
            **told,
            "probabilities": list(np.exp(log_probabilities)),
            "log_likelihood": log_probabilities[np.arange(len(truths)), truths],
        }

    def figures(self, predictions: Sequence[Label], rows: Sequence[Row]) -> list[Figure]:
        truths = np.array([row["label"] for row in rows], np.int64)
        named, sure = self._named(predictions), self._are_sure(predictions)
        probabilities = np.exp(self._log_probabilities(predictions)) if sure else None
        names = self.classes if named.max() < len(self.classes) else (*self.classes, UNNAMED)
        return class_figures(truths, named, names, probabilities)

    @staticmethod
    def _are_sure(predictions: Sequence[Label]) -> bool:
        """Whether each says what it gives every class; answers in words do not."""
        return all(each.scores is not None for each in predictions)

    def _log_probabilities(self, predictions: Sequence[Label]) -> np.ndarray:
        from llmimg.metrics.classification import log_softmax

        return log_softmax(self._scores(predictions))

    @staticmethod
    def _scores(predictions: Sequence[Label]) -> np.ndarray:
        scores = [each.scores for each in predictions if each.scores is not None]
        return np.stack(scores) if scores else np.empty((0, 0))

    def text(self, prediction: Label) -> str:
        return UNNAMED if prediction.label is None else self.classes[prediction.label]

    def as_json(self, prediction: Label) -> dict[str, Any]:
        if prediction.scores is None:
            return {"label": None if prediction.label is None else self.text(prediction)}
        (row,) = np.exp(self._log_probabilities([prediction]))
        return {
            "label": self.classes[row.argmax()],
            "probability": float(row.max()),
            "probabilities": dict(zip(self.classes, row.tolist(), strict=True)),
        }

    def constant(self, rows: Sequence[Row]) -> Label:
        """The class that most rows have, and each class's share of them as its probability."""
        counts = np.bincount([int(row["label"]) for row in rows], minlength=len(self.classes))
        return Label(int(counts.argmax()), np.log(np.maximum(counts / counts.sum(), 1e-12)))
