"""The answer from a head on the model: `AutoModelForSequenceClassification`.

Causal models pool the last token that is not padding, encoders the first.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from llmimg.readouts.base import READOUTS, Batch, Continuations, TextReadout, tensors
from llmimg.readouts.loss import Term, YesOrNo
from llmimg.tasks.base import Row, Task
from llmimg.tokens.sample import Example


@READOUTS.register("head")
class Head(TextReadout):
    """Logits `[B, K]`."""

    auto_class = AutoModelForSequenceClassification

    def head(self) -> dict[str, Any]:
        return label_config(self.task)

    @property
    def terms(self) -> tuple[Term, ...]:
        return class_terms(self.task)

    def training_batch(self, examples: Sequence[Example]) -> Batch:
        return {**self.batch(examples), **tensors(labels=class_targets(self.task, examples))}

    def targets(self, examples: Sequence[Example]) -> list[str | None]:
        return [_named(target, self.task) for target in class_targets(self.task, examples)]

    def continuations(self, row: Row) -> Continuations:
        """One of the classes; nothing where it says yes or no to each."""
        return Continuations((), whole=True) if self.task.independent else super().continuations(row)

    def outputs(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        return model(**batch).logits.float()


def _named(target: np.ndarray, task: Task) -> str:
    """One of `class_targets` in words: `cat`, or `0.25 × cat + 0.75 × dog`; where several hold, `cat, dog`."""
    classes = task.classes or ()
    if target.ndim == 0:
        return classes[int(target)]
    shares = [(share, name) for share, name in zip(target.tolist(), classes, strict=True) if share]
    if task.independent:
        return ", ".join(name if share == 1 else f"{share:.2g} × {name}" for share, name in shares) or "nothing"
    return " + ".join(f"{share:.2g} × {name}" for share, name in shares)


def label_config(task: Task) -> dict[str, Any]:
    """What a model's configuration says of a task whose answers are one of few."""
    names = dict(enumerate(task.classes or ()))
    numbers = {name: label for label, name in names.items()}
    several = {"problem_type": "multi_label_classification"} if task.independent else {}
    return {"num_labels": len(names), "id2label": names, "label2id": numbers, **several}


def class_terms(task: Task) -> tuple[Term, ...]:
    """What a head learns of `class_targets`."""
    weights = None if task.class_weights is None else tuple(task.class_weights.tolist())
    return ((YesOrNo if task.independent else Term)(class_weights=weights),)


def class_targets(task: Task, examples: Sequence[Example]) -> np.ndarray:
    """The class of each, int64 `[B]`; or those that hold, where they do independently of each other, and where some
    are blended of two, as much of each class as of its image: float32 `[B, K]`."""
    labels = np.array([task.target(example.row) for example in examples])
    if all(example.blend is None for example in examples):
        return labels
    rows, shares = zip(*(example.blend or (example.row, 1.0) for example in examples), strict=True)
    others, shares = np.array([task.target(row) for row in rows]), np.array(shares, np.float32)[:, None]
    if not task.independent:
        classes = np.eye(len(task.classes or ()), dtype=np.float32)
        labels, others = classes[labels], classes[others]
    return labels * shares + others * (1 - shares)
