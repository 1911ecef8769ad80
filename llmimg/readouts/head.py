"""The answer from a head on the model: `AutoModelForSequenceClassification`.

Causal models pool the last token that is not padding, encoders the first.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from llmimg.readouts.base import READOUTS, Batch, TextReadout, tensors
from llmimg.tasks.base import Task
from llmimg.tokens.sample import Example


@READOUTS.register("head")
class Head(TextReadout):
    """Logits `[B, K]`."""

    auto_class = AutoModelForSequenceClassification

    def head(self) -> dict[str, Any]:
        return label_config(self.task)

    def training_batch(self, examples: Sequence[Example]) -> Batch:
        return {**self.batch(examples), **tensors(labels=class_targets(self.task, examples))}

    def targets(self, examples: Sequence[Example]) -> list[str | None]:
        return [_named(target, self.task.classes or ()) for target in class_targets(self.task, examples)]

    def outputs(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        return model(**batch).logits.float()


def _named(target: np.ndarray, classes: Sequence[str]) -> str:
    """One of `class_targets` in words: `cat`, or `0.25 × cat + 0.75 × dog`."""
    if target.ndim == 0:
        return classes[int(target)]
    return " + ".join(f"{share:.2g} × {name}" for share, name in zip(target.tolist(), classes, strict=True) if share)


def label_config(task: Task) -> dict[str, Any]:
    """What a model's configuration says of a task whose answers are one of few."""
    names = dict(enumerate(task.classes or ()))
    return {"num_labels": len(names), "id2label": names, "label2id": {name: label for label, name in names.items()}}


def class_targets(task: Task, examples: Sequence[Example]) -> np.ndarray:
    """The class of each, int64 `[B]`; or where some are blended of two, as much of each class as of its image: float32
    `[B, K]`."""
    labels = np.array([task.target(example.row) for example in examples], np.int64)
    if all(example.blend is None for example in examples):
        return labels
    others, shares = zip(*(example.blend or (example.row, 1.0) for example in examples), strict=True)
    classes, shares = np.eye(len(task.classes or ()), dtype=np.float32), np.array(shares, np.float32)[:, None]
    return classes[labels] * shares + classes[np.array([task.target(other) for other in others], np.int64)] * (
        1 - shares
    )
