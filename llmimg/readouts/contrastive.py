"""Which text belongs to which image, by pooled states of two passes: one of the image's text alone, one of the words.

Both go through the same model and the same projection, and learn by InfoNCE both ways at a learned temperature (van den
Oord et al., 2018; CLIP: Radford et al., ICML 2021).
"""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from transformers import PreTrainedModel

from llmimg.metrics.words import folded
from llmimg.models.contrastive import AutoModelForContrast
from llmimg.readouts.base import READOUTS, Batch, Continuations, TextReadout, tensors
from llmimg.readouts.gathered import of_all, of_all_padded, of_this, process_count
from llmimg.readouts.loss import IGNORED, Term
from llmimg.readouts.texts import foils_of, most_foils, read_texts
from llmimg.tasks.base import Prediction, Row, Task
from llmimg.tokens.layout import ANSWER, Sequences, Span
from llmimg.tokens.sample import Example


@dataclass(frozen=True)
class Contrast(Term):
    """How surprising it is which text is an image's, and which image a text's, among all rows that go through the
    models of all processes at once: the mean of both ways, a row.

    Labels are keys of all texts that are right for a row, int64 `[B, C]`: first that of the one that goes through the
    model; `IGNORED` fills up, and stands first where a row is not learned, which none is told from either. A text that
    is right for another row's image is left out there.
    """

    def learned(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return batch[self.labels][:, 0] != IGNORED

    def cost(
        self, logits: torch.Tensor, labels: torch.Tensor, count: torch.Tensor, smoothing: float = 0.0
    ) -> torch.Tensor:
        """As `Term.cost`, of vectors `[2 B, D]`: images', then their texts'; products of these are what softmax takes.

        The negatives are those of all processes' batches, and of no other batch of a step that accumulates several.
        """
        images, texts = (of_all(each) for each in logits.float().chunk(2))
        keys = of_all_padded(labels, IGNORED)
        learned = keys[:, 0] != IGNORED
        right = (keys[:, :, None] == keys[None, None, :, 0]).any(dim=1)  # [image, text]
        products, itself = images @ texts.T, torch.arange(len(keys), device=keys.device)
        nats = torch.zeros(len(keys), device=keys.device)
        for each, known in ((products, right), (products.T, right.T)):
            left_out = (known | ~learned).fill_diagonal_(False)
            nats = nats + torch.nn.functional.cross_entropy(
                each.masked_fill(left_out, -torch.inf), itself, reduction="none"
            )
        nats = (nats / 2).masked_fill(~learned, 0)
        # Its value is the share of this process's rows; its gradient that of all rows' cost by this one's vectors.
        every, own = nats.sum(), of_this(nats, len(labels)).sum()
        return self.weight * (every - (every - own).detach()) / count.clamp(min=1)


@READOUTS.register("contrastive")
class Contrastive(TextReadout):
    """Vectors `[B, 1 + F + C, D]`: a row's image, its own foils, and as many of the split's texts as fall to each row,
    so that all of them go through the model once."""

    auto_class = AutoModelForContrast
    reads_words = True

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self._places: dict[str, int] = {}  # of the split's rows, by their ids
        self._most_foils = 0  # of one of them
        # The most rows of a batch, and how many texts were truncated; shared, so that loader workers count together.
        self._counted = torch.zeros(2, dtype=torch.int64).share_memory_()

    def of_task(self, task: Task) -> Self:
        made = super().of_task(task)
        made._counted = self._counted
        return made

    def of_split(self, rows: Sequence[Row]) -> Self:
        made = super().of_split(rows)
        made._places = {row["id"]: place for place, row in enumerate(rows)}
        made._most_foils = most_foils(self.task, rows)
        return made

    @property
    def terms(self) -> tuple[Term, ...]:
        return (Contrast(),)

    def head(self) -> dict[str, Any]:
        return {"num_labels": self.settings.dimension, "initial_temperature": self.settings.temperature}

    def training_sequences(self, examples: Sequence[Example]) -> Sequences:
        """Images' texts, and below them the words of each."""
        answers = [self.script.answer(self.task.answer(each.row, each.seed)) for each in examples]
        written = [np.concatenate([span.ids for span in each]) for each in answers]
        self._counted[0] = max(int(self._counted[0]), len(examples))
        self._counted[1] += sum(len(ids) > self.layout.room for ids in written)
        images, texts = self.sequences(examples), self._laid([ids[: self.layout.room] for ids in written])
        ids, mask, roles = (_stacked(*pair) for pair in zip(images, texts, strict=True))
        return Sequences(np.where(mask == 1, ids, self.layout.pad), mask, roles)

    def training_batch(self, examples: Sequence[Example]) -> Batch:
        laid = self.training_sequences(examples)
        return tensors(input_ids=laid.ids, attention_mask=laid.mask, labels=self._keys(examples))

    def targets(self, examples: Sequence[Example]) -> list[str | None]:
        texts = ("".join(map(str, self.task.answer(each.row, each.seed))) for each in examples)
        return [*texts, *(None for _ in examples)]

    def continuations(self, row: Row) -> Continuations:
        return Continuations([self.vocabulary.text(each) for each in self._texts], whole=True)

    def _keys(self, examples: Sequence[Example]) -> np.ndarray:
        """What `Contrast` learns from, int64 `[B, C]`."""
        rows = [
            [
                _key(self.task.answer(each.row, each.seed)),
                *(_key(self.task.answer(variant, None)) for variant in self.task.variants(each.row)),
            ]
            for each in examples
        ]
        keys = np.full((len(rows), max(map(len, rows))), IGNORED, np.int64)
        for place, row in enumerate(rows):
            keys[place, : len(row)] = row
        return keys

    def first(self, batch: Batch, count: int) -> Batch:
        """Of other rows nothing is learned; they go through the model, as other processes wait for as many."""
        labels = batch["labels"].clone()
        labels[count:] = IGNORED
        return {**batch, "labels": labels}

    def batch(self, examples: Sequence[Example]) -> Batch:
        images = super().batch(examples)
        each = -(-len(self._texts) // len(self._places)) if self._places else 0
        if not each:
            return images
        places = [self._places[example.row["id"]] for example in examples]
        numbers = np.minimum(np.array(places)[:, None] * each + np.arange(each), len(self._texts) - 1)
        texts = []
        for example, carried in zip(examples, numbers, strict=True):
            foils = foils_of(self.task, example.row, self._most_foils)
            texts += [*read_texts(self.script, foils, self.layout.room), *(self._texts[number] for number in carried)]
        laid = self._laid([np.array(ids, np.int64) for ids in texts])
        return {**images, **tensors(text_ids=laid.ids, text_mask=laid.mask)}

    @functools.cached_property
    def _texts(self) -> tuple[tuple[int, ...], ...]:
        """The token ids of all texts of the split."""
        return read_texts(self.script, self.task.held_against or (), self.layout.room)

    def _laid(self, texts: Sequence[np.ndarray]) -> Sequences:
        return self.layout([[Span(ids, ANSWER)] for ids in texts])

    def outputs(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        images = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, None]
        if "text_ids" not in batch:
            return images
        texts = model(input_ids=batch["text_ids"], attention_mask=batch["text_mask"]).logits
        return torch.cat([images, texts.view(len(images), -1, texts.shape[1])], dim=1)

    def predictions(self, outputs: np.ndarray, rows: Sequence[Row]) -> list[Prediction]:
        if not len(rows):
            return []
        order = np.argsort([self._places[row["id"]] for row in rows])
        images, foils, carried = np.split(outputs, [1, 1 + self._most_foils], axis=1)
        texts = carried[order].reshape(-1, outputs.shape[2])[: len(self._texts)]
        return self.task.read_vectors(images[:, 0], texts, foils, rows)

    @property
    def notes(self) -> list[str]:
        together, truncated = self._counted.tolist()
        told = {
            f"The contrastive loss told each image's text from those of {together * process_count():,} images at most: "
            "the batches that all processes have at once. Accumulated batches are not held against each other.": (
                together
            ),
            f"At least {truncated:,} texts were longer than the context: they were truncated in training. A larger "
            "tokens.max_length avoids it.": truncated,
        }
        return [sentence for sentence, count in told.items() if count]


def _key(parts: Sequence[Any]) -> int:
    """What two texts have in common that are compared as equal."""
    text = folded("".join(map(str, parts)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def _stacked(*arrays: np.ndarray) -> np.ndarray:
    """Arrays `[B, L]`, one below the other, 0 where one is narrower."""
    width = max(array.shape[1] for array in arrays)
    return np.concatenate([np.pad(array, ((0, 0), (0, width - array.shape[1]))) for array in arrays])
