"""What every readout is: the class of model it takes, what it puts before one, and how an answer comes out."""

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from llmimg.readouts.loss import Term, first_rows
from llmimg.readouts.settings import SETTINGS
from llmimg.registry import Registry
from llmimg.tasks.contract import Prediction, Row, Task
from llmimg.tokens.layout import Layout
from llmimg.tokens.sample import Answer, Example
from llmimg.tokens.vocabulary import Vocabulary

READOUTS = Registry("readout", "llmimg.readouts")

Batch = dict[str, torch.Tensor]


class Readout(abc.ABC):
    """One way to take a task's answers from a model."""

    terms: tuple[Term, ...] = (Term(),)  # what the model learns, of what `training_batch` gives

    def __init__(self, task: Task):
        self.task = task

    @abc.abstractmethod
    def training_batch(self, examples: Sequence[Example]) -> Batch:
        """What the model learns from: its arguments, labels among them."""

    def first(self, batch: Batch, count: int) -> Batch:
        """A training batch of its first examples alone; of none, one from which nothing is learned."""
        return first_rows(batch, self.terms, count)

    def given(self, model: Any, batch: Batch) -> Batch:
        """A training batch, of which labels are left out, as a model's arguments.

        Raises:
            UserError: a model that would not read it as it is meant, with what to do.
        """
        return batch

    @abc.abstractmethod
    def batch(self, examples: Sequence[Example]) -> Batch:
        """What `outputs` reads."""

    @abc.abstractmethod
    def outputs(self, model: Any, batch: Batch) -> torch.Tensor:
        """What answers are made from, float32 `[B, …]`; the batch is on the model's device."""

    def answers(self, outputs: Any, rows: Sequence[Row]) -> list[Answer]:
        """The answers in the outputs of these rows, `[N, …]`; here, a score for each class or candidate."""
        return [Answer(scores=scores) for scores in outputs]

    def predictions(self, outputs: Any, rows: Sequence[Row]) -> list[Prediction]:
        """What the task reads in them."""
        return [self.task.read(answer, row) for answer, row in zip(self.answers(outputs, rows), rows, strict=True)]


class TextReadout(Readout):
    """One from a language model, which reads an image's text.

    Args:
        boxes: of an image's tokens, int32 `[T, 4]`, where they are the same in every image.
        settings: its entry's in `llmimg.readouts.settings`; None: as they are by default.
    """

    auto_class: type  # the transformers class that gives a model what this reads
    causal = False  # whether a token must see only those before it
    prompted = False  # whether the image stands in a prompt that the answer follows

    def __init__(
        self,
        task: Task,
        layout: Layout,
        vocabulary: Vocabulary,
        boxes: np.ndarray | None = None,
        settings: Any = None,
    ):
        super().__init__(task)
        self.layout, self.vocabulary, self.boxes = layout, vocabulary, boxes
        self.settings = SETTINGS[READOUTS.name_of(type(self))]() if settings is None else settings

    @classmethod
    def needs_boxes(cls, task: Task) -> bool:
        """Whether it must know which pixels a token speaks of."""
        return False

    def head(self) -> dict[str, Any]:
        """What the model's configuration must say of the task."""
        return {}

    def batch(self, examples: Sequence[Example]) -> Batch:
        """What `outputs` reads."""
        ids, mask = self.layout([example.image for example in examples])
        return tensors(input_ids=ids, attention_mask=mask)

    def describe(self) -> dict[str, Any]:
        """Its name and settings, JSON's types only."""
        return {"name": READOUTS.name_of(type(self)), **self.settings.__dict__}


def tensors(**arrays: np.ndarray) -> Batch:
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
