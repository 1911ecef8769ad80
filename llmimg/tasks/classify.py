"""Which of K classes is in the image?"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from llmimg.metrics.classification import Classification, log_softmax
from llmimg.settings import build
from llmimg.tasks.base import TASKS, Task
from llmimg.tasks.settings import ClassifySettings


@TASKS.register("classify")
@dataclass(frozen=True)
class Classify(Task):
    """One label an image. The model's output is logits `[N, K]`, references are labels int `[N]`."""

    label_names: tuple[str, ...]
    settings: ClassifySettings
    columns = ("label",)

    @classmethod
    def of(cls, label_names: Sequence[str], **settings: Any) -> "Classify":
        return cls(tuple(label_names), build(ClassifySettings, settings, "task"))

    def plain(self) -> dict[str, Any]:
        return {"label_names": list(self.label_names), **asdict(self.settings)}

    def head(self) -> dict[str, Any]:
        names = dict(enumerate(self.label_names))
        return {"num_labels": len(names), "id2label": names, "label2id": {name: label for label, name in names.items()}}

    def targets(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        labels = np.array([row["label"] for row in rows], np.int64)
        if not any("blend" in row for row in rows):
            return {"labels": labels}
        # An image blended of two has both labels, as much of each as of its image.
        others, shares = zip(*[row.get("blend", (row, 1.0)) for row in rows], strict=True)
        classes, shares = np.eye(len(self.label_names), dtype=np.float32), np.array(shares, np.float32)[:, None]
        return {"labels": classes[labels] * shares + classes[[other["label"] for other in others]] * (1 - shares)}

    def metrics(self, output: np.ndarray, references: np.ndarray, intervals: bool = True) -> dict[str, float]:
        return Classification(intervals).compute(predictions=output, references=references)

    def answers(self, output: np.ndarray) -> list[dict[str, Any]]:
        probabilities = np.exp(log_softmax(output))
        return [
            {
                "label": self.label_names[row.argmax()],
                "probability": float(row.max()),
                "probabilities": dict(zip(self.label_names, row.tolist(), strict=True)),
            }
            for row in probabilities
        ]

    def table(self, output: np.ndarray, references: np.ndarray) -> dict[str, Any]:
        log_probabilities = log_softmax(output)
        best = log_probabilities.argmax(axis=1)
        return {
            "label": [self.label_names[label] for label in references],
            "prediction": [self.label_names[label] for label in best],
            "probabilities": list(np.exp(log_probabilities)),
            "log_likelihood": log_probabilities[np.arange(len(best)), references],
        }
