"""What every readout is: the class of model it takes, what it puts before one, and how an answer comes out."""

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch

from llmimg.readouts.loss import Term, first_rows
from llmimg.readouts.settings import SETTINGS
from llmimg.registry import Registry
from llmimg.tasks.base import Prediction, Row, Task
from llmimg.tokens.layout import Layout, Sequences, Span
from llmimg.tokens.packing import Packed
from llmimg.tokens.sample import Answer, Example
from llmimg.tokens.script import Script
from llmimg.tokens.vocabulary import Vocabulary

READOUTS = Registry("readout", "llmimg.readouts")

Batch = dict[str, torch.Tensor]
Outputs = torch.Tensor | tuple[torch.Tensor, ...]


class Continuations(NamedTuple):
    """What may follow a prompt.

    Attributes:
        texts: in words.
        whole: whether these are whole answers; else what the first token of one may be.
    """

    texts: Sequence[str]
    whole: bool


class Learning(abc.ABC):
    """What a model learns of examples."""

    def __init__(self, task: Task):
        self.task = task

    @property
    def terms(self) -> tuple[Term, ...]:
        """What the model learns, of what `training_batch` gives."""
        return (Term(),)

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


class Readout(Learning):
    """One way to take a task's answers from a model."""

    @abc.abstractmethod
    def batch(self, examples: Sequence[Example]) -> Batch:
        """What `outputs` reads."""

    @abc.abstractmethod
    def outputs(self, model: Any, batch: Batch) -> Outputs:
        """What answers are made from, one array or several, float32 `[B, …]`; the batch is on the model's device."""

    def answers(self, outputs: Any, rows: Sequence[Row]) -> list[Answer]:
        """The answers in the outputs of these rows, `[N, …]`; here, a score for each class or candidate."""
        return [Answer(scores=scores) for scores in outputs]

    def costs(self, outputs: Any) -> np.ndarray | None:
        """Of each row the nats that its right answer costs, and how many tokens that is, float `[N, 2]`; None where the
        task's own metrics say its loss."""
        return None

    def predictions(self, outputs: Any, rows: Sequence[Row]) -> list[Prediction]:
        """What the task reads in them."""
        return self.task.read_all(self.answers(outputs, rows), rows)

    def of_split(self, rows: Sequence[Row]) -> Self:
        """The same for a split of these rows, where the task holds them against each other."""
        return self

    def metrics(self, outputs: Any, rows: Sequence[Row]) -> dict[str, float]:
        """The task's metrics of these rows, without intervals, and its loss."""
        found = self.task.metrics(self.predictions(outputs, rows), rows, intervals=False)
        return {**found, **mean_loss(self.costs(outputs))}

    def compared(self, outputs: Any) -> np.ndarray:
        """What of the outputs is the same number wherever the model is loaded, float `[N, …]`."""
        return outputs


class TextReadout(Readout):
    """One from a language model, which reads an image's text.

    Args:
        script: reads the task's samples.
        boxes: of an image's tokens, int32 `[T, 4]`, where they are the same in every image.
        settings: its entry's in `llmimg.readouts.settings`; None: as they are by default.
    """

    auto_class: type  # the transformers class that gives a model what this reads
    causal = False  # whether a token must see only those before it
    prompted = False  # whether the image stands in a prompt that the answer follows
    reads_words = False  # whether it reads a task's words: in a prompt, or by themselves

    def __init__(
        self, task: Task, layout: Layout, script: Script, boxes: np.ndarray | None = None, settings: Any = None
    ):
        super().__init__(task)
        self.layout, self.script, self.boxes = layout, script, boxes
        self.settings: Any = SETTINGS[READOUTS.name_of(type(self))]() if settings is None else settings

    def of_task(self, task: Task) -> Self:
        """The same for another task, or the task in other words."""
        return type(self)(task, self.layout, self.script, self.boxes, self.settings)

    def of_split(self, rows: Sequence[Row]) -> Self:
        return self.of_task(self.task.of_split(rows)) if self.task.by_split else self

    @property
    def draws(self) -> bool:
        """Whether answers are images that the model writes; else it is asked about images."""
        return False

    @property
    def asks(self) -> tuple[str, ...]:
        """The columns that are needed to ask, besides the image."""
        return self.task.asks

    @property
    def blank(self) -> tuple[int, ...]:
        """The token ids that stand instead of an image where there is none."""
        return ()

    @property
    def notes(self) -> list[str]:
        """What a reader of the results must know of the batches that were made."""
        return []

    @classmethod
    def needs_boxes(cls, task: Task) -> bool:
        """Whether it must know which pixels a token speaks of."""
        return False

    def learned(self, example: Example) -> list[list[Span]]:
        """The sequences that are learned of an example beside other tasks' (`llmimg.readouts.mixture`): what is
        foretold has the role `ANSWER`.

        Raises:
            NotImplementedError: a readout that learns otherwise.
        """
        raise NotImplementedError(f"{type(self).__name__} learns no sequences beside other tasks'.")

    @property
    def vocabulary(self) -> Vocabulary:
        return self.script.vocabulary

    def head(self) -> dict[str, Any]:
        """What the model's configuration must say of the task."""
        return {}

    def sequences(self, examples: Sequence[Example]) -> Sequences:
        """What `batch` puts before the model, with the role of every token."""
        return self.layout.of_images([example.image for example in examples])

    def training_sequences(self, examples: Sequence[Example]) -> Sequences | Packed:
        """What `training_batch` puts before the model, with the role of every token."""
        return self.sequences(examples)

    def targets(self, examples: Sequence[Example]) -> list[str | None]:
        """What is learned of each row of `training_batch` that is none of its tokens, in words; here nothing."""
        return [None] * len(self.training_sequences(examples).ids)

    def batch(self, examples: Sequence[Example]) -> Batch:
        """What `outputs` reads."""
        laid = self.sequences(examples)
        return tensors(input_ids=laid.ids, attention_mask=laid.mask)

    def continuations(self, row: Row) -> Continuations:
        """What may come out for a row, of all that the model could say; here, one of the classes."""
        return Continuations(self.task.classes or (), whole=True)

    def describe(self) -> dict[str, Any]:
        """Its name and settings, JSON's types only."""
        return {"name": READOUTS.name_of(type(self)), **self.settings.__dict__}


def mean_loss(costs: np.ndarray | None) -> dict[str, float]:
    """The mean over all tokens of `Readout.costs`, as `loss`; nothing where there are none (None, or NaN)."""
    if costs is None or np.isnan(costs).any():
        return {}
    nats, tokens = np.asarray(costs, np.float64).sum(axis=0)
    return {"loss": float(nats / tokens)}


def tensors(**arrays: np.ndarray) -> Batch:
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
