"""What several tasks learn together in one model."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from llmimg.readouts.base import Batch, Learning, TextReadout, tensors
from llmimg.readouts.loss import IGNORED, Term
from llmimg.readouts.packed import as_arguments, packed_batch
from llmimg.tasks.mixture import Mixture
from llmimg.tokens.layout import ANSWER, IMAGE, PADDING, Frame, Layout, Sequences, Span
from llmimg.tokens.packing import NOBODY, SHARED, Packed, shared_or_side_by_side
from llmimg.tokens.sample import Example

_IMAGE_LABELS = "image_labels"
_EXAMPLES = "examples"  # which example each token is of


class Mixed(Learning):
    """The sum, by weights, of each task's mean cost, and besides, as far as `task.image_loss` says, that of the images'
    own text in their prompts: each is the mean over its own tokens, so that long answers do not outweigh short ones.

    Args:
        parts: the readout of each task, of a causal model.
    """

    def __init__(self, task: Mixture, parts: Mapping[str, TextReadout]):
        super().__init__(task)
        self.parts = parts
        # Each task has laid its spans out by itself; nothing more stands around them.
        widest = max((each.layout for each in parts.values()), key=lambda layout: layout.context)
        self.layout = Layout(Frame(), widest.pad, widest.context)

    @property
    def terms(self) -> tuple[Term, ...]:
        weight, share = self.task.settings.image_loss, self.task.settings.share
        answers = [Term(_labels_of(name), share(name), shifted=True, few=True) for name in self.parts]
        return (*answers, *((Term(_IMAGE_LABELS, weight, shifted=True, few=True),) if weight else ()))

    def training_batch(self, examples: Sequence[Example]) -> Batch:
        samples = [
            [(name, self._fitted(name, spans)) for name in example.asked for spans in self.parts[name].learned(example)]
            for example in examples
        ]
        names = [name for each in samples for name, _ in each]
        laid, counts = self._laid([spans for each in samples for _, spans in each]), [len(each) for each in samples]
        of_example = np.repeat(np.arange(len(examples)), counts)
        if self.task.settings.packed:
            packed = shared_or_side_by_side(laid, counts, self.layout.pad)
            learned = np.where(packed.foretold, packed.roles, PADDING)
            sequence = _sequences(packed)
            return self._labelled(packed_batch(packed), packed.ids, learned, sequence, names, of_example)
        sequence = np.where(laid.mask == 1, np.arange(len(names))[:, None], NOBODY)
        batch = tensors(input_ids=laid.ids, attention_mask=laid.mask)
        return self._labelled(batch, laid.ids, laid.roles, sequence, names, of_example)

    def _fitted(self, name: str, spans: Sequence[Span]) -> list[Span]:
        return [self.parts[name].layout.fitted(span) for span in spans]

    def _laid(self, samples: Sequence[Sequence]) -> Sequences:
        """As far as there is room; a task's own readout counts what it truncates in evaluations."""
        return Sequences(*(each[:, : self.layout.context] for each in self.layout(samples)))

    def _labelled(
        self,
        batch: Batch,
        ids: np.ndarray,
        learned: np.ndarray,
        sequence: np.ndarray,
        names: Sequence[str],
        of_example: np.ndarray,
    ) -> Batch:
        """A batch with the labels of each task.

        Args:
            learned: the role of each token that is foretold by the one before it, int8 `[R, L]`.
            sequence: the sequence that each token is of, int64 `[R, L]`; `NOBODY` is padding.
            names: of each sequence the task.
            of_example: of each sequence the example.
        """
        parts = list(self.parts)
        part = np.array([parts.index(name) for name in names])[sequence]
        labels = {
            _labels_of(name): np.where((learned == ANSWER) & (part == number), ids, IGNORED)
            for number, name in enumerate(parts)
        }
        if self.task.settings.image_loss:
            labels[_IMAGE_LABELS] = np.where(learned == IMAGE, ids, IGNORED)
        return {**batch, **tensors(**labels, **{_EXAMPLES: of_example[sequence]})}

    def first(self, batch: Batch, count: int) -> Batch:
        others = batch[_EXAMPLES] >= count
        return {
            name: each.masked_fill(others, IGNORED) if name in {term.labels for term in self.terms} else each
            for name, each in batch.items()
        }

    def given(self, model: PreTrainedModel, batch: Batch) -> Batch:
        batch = {name: each for name, each in batch.items() if name != _EXAMPLES}
        return as_arguments(model, batch, "task.packed") if self.task.settings.packed else batch


class MixedMasked(Mixed):
    """The same of tasks that fill in what is hidden: a row for each task that an example is asked by."""

    @property
    def terms(self) -> tuple[Term, ...]:
        return tuple(Term(_labels_of(name), self.task.settings.share(name), few=True) for name in self.parts)

    def training_batch(self, examples: Sequence[Example]) -> Batch:
        asked = {name: [row for row, each in enumerate(examples) if name in each.asked] for name in self.parts}
        batches = {
            name: self.parts[name].training_batch([examples[row] for row in rows])
            for name, rows in asked.items()
            if rows
        }
        width = max(batch["input_ids"].shape[1] for batch in batches.values())
        whole = {"input_ids": self.layout.pad, "attention_mask": 0, "labels": IGNORED}
        ids, mask, labels = (
            torch.cat([_widened(batch[name], width, value) for batch in batches.values()])
            for name, value in whole.items()
        )
        names = np.repeat(list(batches), [len(batch["labels"]) for batch in batches.values()])
        own = {_labels_of(name): torch.from_numpy(names == name)[:, None] for name in self.parts}
        return {
            "input_ids": ids,
            "attention_mask": mask,
            **{name: labels.masked_fill(~mine, IGNORED) for name, mine in own.items()},
            _EXAMPLES: torch.tensor([row for name in batches for row in asked[name]])[:, None],
        }

    def given(self, model: PreTrainedModel, batch: Batch) -> Batch:
        return {name: each for name, each in batch.items() if name != _EXAMPLES}


def _labels_of(name: str) -> str:
    return f"{name}/labels"


def _sequences(packed: Packed) -> np.ndarray:
    """The sequence that each token is of, int64 `[R, L]`: of what several share, the row's first."""
    first = np.where(packed.owners > SHARED, packed.owners, np.iinfo(np.int64).max).min(axis=1, keepdims=True)
    owners = np.where(packed.owners == SHARED, first, packed.owners)
    return np.where(owners == NOBODY, NOBODY, owners - 1)


def _widened(rows: torch.Tensor, width: int, value: int) -> torch.Tensor:
    return torch.nn.functional.pad(rows, (0, width - rows.shape[1]), value=value)
