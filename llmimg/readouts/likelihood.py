"""How likely a model finds an image's text: what pretraining makes better."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, PreTrainedModel

from llmimg.errors import UserError
from llmimg.readouts.base import READOUTS, Batch, TextReadout, tensors
from llmimg.readouts.loss import IGNORED, Term, ahead, row_costs
from llmimg.readouts.masks import hidden_tokens, instead
from llmimg.readouts.packed import as_arguments, packed_batch
from llmimg.readouts.sight import check_causal
from llmimg.tasks.base import Row, Task
from llmimg.tokens.layout import ANSWER, Sequences, Span
from llmimg.tokens.packing import Packed, side_by_side
from llmimg.tokens.sample import Answer, Example


class _OfText(TextReadout):
    """How likely an image's own text is, of which there is nothing to answer."""

    def answers(self, outputs: np.ndarray, rows: Sequence[Row]) -> list[Answer]:
        return [Answer(log_probabilities=-nats, tokens=int(tokens[0])) for nats, tokens in outputs[:, :, None]]


@READOUTS.register("likelihood")
class Likelihood(_OfText):
    """−log P(text) in nats, and how many tokens it is the sum of: `[B, 2]`."""

    auto_class = AutoModelForCausalLM
    causal = True

    @property
    def terms(self) -> tuple[Term, ...]:
        return (Term(shifted=True),)

    def sequences(self, examples: Sequence[Example]) -> Sequences:
        # Rows of plain text are cut from a stream: none of them ends where it stops.
        goes_on = [not self.task.of_images] * len(examples)
        return self.layout.of_images([each.image for each in examples], goes_on)

    def training_sequences(self, examples: Sequence[Example]) -> Sequences | Packed:
        laid, room = self.sequences(examples), self.task.settings.pack
        return side_by_side(laid, max(room, self.layout.context), self.layout.pad) if room else laid

    def training_batch(self, examples: Sequence[Example]) -> Batch:
        laid = self.training_sequences(examples)
        if isinstance(laid, Packed):
            return {**packed_batch(laid), **tensors(labels=np.where(laid.foretold, laid.ids, IGNORED))}
        labels = np.where(laid.mask == 1, laid.ids, IGNORED)
        return tensors(input_ids=laid.ids, attention_mask=laid.mask, labels=labels)

    def learned(self, example: Example) -> list[list[Span]]:
        laid = self.sequences([example])
        return [[Span(laid.ids[0], ANSWER)]]

    def first(self, batch: Batch, count: int) -> Batch:
        if not self.task.settings.pack:
            return super().first(batch, count)
        return {**batch, "labels": batch["labels"].masked_fill(batch["owners"] > count, IGNORED)}

    def given(self, model: PreTrainedModel, batch: Batch) -> Batch:
        return as_arguments(model, batch, "task.pack") if self.task.settings.pack else batch

    def outputs(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        check_causal(model, batch["input_ids"][0][batch["attention_mask"][0] == 1])
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, IGNORED)
        return row_costs(*ahead(model(**batch).logits, labels))


def _seed_of(ids: np.ndarray) -> int:
    """What is hidden of an image that stands in no split, as a recogniser's, follows from its text alone."""
    return int.from_bytes(hashlib.blake2b(np.asarray(ids, "<i8").tobytes(), digest_size=8).digest(), "little")


@READOUTS.register("masked")
class Masked(_OfText):
    """−log P(hidden tokens | the others) in nats, each taken by itself, and how many were hidden: `[B, 2]`."""

    auto_class = AutoModelForMaskedLM

    @classmethod
    def needs_boxes(cls, task: Task) -> bool:
        return task.settings.mask == "block"

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        if self.vocabulary.tokenizer.mask_token_id is None:
            raise UserError("task=mlm needs a tokenizer with a mask token, and this one has none: take task=clm.")

    def training_batch(self, examples: Sequence[Example]) -> Batch:
        batch = self.batch(examples)
        return {**batch, "labels": batch.pop("hidden")}

    def sequences(self, examples: Sequence[Example]) -> Sequences:
        return self._hidden(examples)[0]

    def batch(self, examples: Sequence[Example]) -> Batch:
        laid, hidden = self._hidden(examples)
        return tensors(input_ids=laid.ids, attention_mask=laid.mask, hidden=hidden)

    def _hidden(self, examples: Sequence[Example]) -> tuple[Sequences, np.ndarray]:
        """What stands in the place of hidden tokens, among the others; and these, `IGNORED` elsewhere."""
        laid = super().sequences(examples)
        ids, mask, _ = laid
        hidden, tokenizer = np.full_like(ids, IGNORED), self.vocabulary.tokenizer
        before, around = len(self.layout.frame.before), self.layout.framing
        for row, (length, example) in enumerate(zip(mask.sum(axis=1) - around, examples, strict=True)):
            seed = _seed_of(example.image) if example.seed is None else example.seed
            boxes = self.boxes if self.task.of_images else None
            chosen = hidden_tokens(self.task.settings, int(length), seed, boxes)
            if boxes is not None:  # chosen in the image, whose tokens may stand in another order
                chosen = chosen[self.layout.order(example.image[:length])]
            hidden_at = before + np.flatnonzero(chosen)
            hidden[row, hidden_at] = ids[row, hidden_at]
            ids[row, hidden_at] = instead(hidden[row, hidden_at], tokenizer.mask_token_id, len(tokenizer), seed)
        return laid, hidden

    def outputs(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        seen = {name: each for name, each in batch.items() if name != "hidden"}
        return row_costs(model(**seen).logits, batch["hidden"])
