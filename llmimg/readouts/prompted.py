"""What readouts share whose answer follows a prompt: a causal model learns to continue it with the right answer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import AutoModelForCausalLM, PreTrainedModel

from llmimg.readouts.base import Batch, TextReadout, tensors
from llmimg.readouts.loss import IGNORED, Term
from llmimg.readouts.sight import takes
from llmimg.tokens.layout import ANSWER, IMAGE, Span
from llmimg.tokens.sample import Example

_KEPT = "logits_to_keep"


class Prompted(TextReadout):
    """It maximises log P(answer | prompt), and besides, as far as `task.image_loss` says, log P of the image's own text
    in it.

    Attributes:
        choices: the answers to choose from, where there are few.
    """

    auto_class = AutoModelForCausalLM
    causal = True
    prompted = True

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        task, self.choices = self.task, None
        if task.candidates is not None:
            self.choices = self.script.choices(task.prompt({}, None), task.candidates, task.classes)

    @property
    def blank(self) -> tuple[int, ...]:
        return () if self.choices is None else self.choices.blank

    @property
    def terms(self) -> tuple[Term, ...]:
        weight = self.task.settings.image_loss
        return (Term(shifted=True), *((Term("image_labels", weight, shifted=True),) if weight else ()))

    def training_batch(self, examples: Sequence[Example]) -> Batch:
        laid = self.layout([[*self.prompt(each, each.seed), *self.answer(each, each.seed)] for each in examples])
        learned = laid.roles == ANSWER
        batch = tensors(input_ids=laid.ids, attention_mask=laid.mask, labels=np.where(learned, laid.ids, IGNORED))
        if self.task.settings.image_loss:
            return {**batch, **tensors(image_labels=np.where(laid.roles == IMAGE, laid.ids, IGNORED))}
        # Logits are made from the token before the first that is learned on.
        first = int(learned.any(axis=0).argmax())
        return {**batch, _KEPT: laid.ids.shape[1] - max(first - 1, 0)}

    def given(self, model: PreTrainedModel, batch: Batch) -> Batch:
        if _KEPT in batch and not takes(model, _KEPT):
            return {name: each for name, each in batch.items() if name != _KEPT}
        return batch

    def batch(self, examples: Sequence[Example]) -> Batch:
        laid = self.layout([self.prompt(each, None) for each in examples], left=True)
        return tensors(input_ids=laid.ids, attention_mask=laid.mask)

    def prompt(self, example: Example, seed: int | None) -> list[Span]:
        """What the model is given; `seed` as of `Task.prompt`."""
        return self.script.prompt(self.task.prompt(example.row, seed), example.image, self.choices)

    def answer(self, example: Example, seed: int | None) -> list[Span]:
        """What it is to write."""
        if self.choices is None:
            return self.script.answer(self.task.answer(example.row, seed))
        return [Span(np.array(self.choices.answers[self.task.target(example.row)]), ANSWER)]
