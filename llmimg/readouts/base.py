"""What every readout is: the class of model it takes, what it puts before one, and how an answer comes out."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from llmimg.readouts.loss import Term, first_rows
from llmimg.readouts.settings import SETTINGS
from llmimg.registry import Registry
from llmimg.settings import build
from llmimg.tasks.base import Task
from llmimg.tokens.layout import Layout
from llmimg.tokens.vocabulary import Vocabulary

READOUTS = Registry("readout", "llmimg.readouts")

Rows = Sequence[Mapping[str, Any]]  # examples: `image_ids`, the example's own `seed`, and the task's annotations
Batch = dict[str, torch.Tensor]


class Readout(abc.ABC):
    """One way to take a task's answer from a model."""

    auto_class: type  # the transformers class that gives a model what this reads
    causal = False  # whether a token must see only those before it
    terms: tuple[Term, ...] = (Term(),)  # what the model learns, of what `training_batch` gives
    prompted = False  # whether the image stands in a prompt that the answer follows

    def __init__(
        self, task: Task, layout: Layout, vocabulary: Vocabulary, boxes: np.ndarray | None = None, **settings: Any
    ):
        """
        Args:
            boxes: of an image's tokens, int32 `[T, 4]`, where they are the same in every image.
            settings: its entry's in `llmimg.readouts.settings`.
        """
        self.task, self.layout, self.vocabulary, self.boxes = task, layout, vocabulary, boxes
        self.settings = build(SETTINGS[READOUTS.name_of(type(self))], settings, "readout")

    def head(self) -> dict[str, Any]:
        """What the model's configuration must say of the task."""
        return {}

    def training_batch(self, rows: Rows) -> Batch:
        """What the model learns from: its arguments, labels among them."""
        return self.batch(rows)

    def first(self, batch: Batch, count: int) -> Batch:
        """A training batch of its first examples alone; of none, one from which nothing is learned."""
        return first_rows(batch, self.terms, count)

    def given(self, model: Any, batch: Batch) -> Batch:
        """A training batch, of which labels are left out, as a model's arguments.

        Raises:
            UserError: a model that would not read it as it is meant, with what to do.
        """
        return batch

    def batch(self, rows: Rows) -> Batch:
        """What `outputs` reads; with the task's `labels` where the rows have annotations."""
        ids, mask = self.layout([row["image_ids"] for row in rows])
        return tensors(input_ids=ids, attention_mask=mask, **self.targets(rows))

    def targets(self, rows: Rows) -> dict[str, np.ndarray]:
        """The task's, where the rows are annotated: the recogniser's are not."""
        annotated = all(name in row for row in rows for name in self.task.columns)
        return self.task.targets(rows) if annotated else {}

    @abc.abstractmethod
    def outputs(self, model: Any, batch: Batch) -> torch.Tensor:
        """What the task makes answers from, float32 `[B, …]`; `batch` without labels, on the model's device."""

    def describe(self) -> dict[str, Any]:
        """Its name and settings, JSON's types only."""
        return {"name": READOUTS.name_of(type(self)), **self.settings.__dict__}


def tensors(**arrays: np.ndarray) -> Batch:
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
