"""What readouts share whose answer follows a prompt: a causal model learns to continue it with the right answer."""

import functools
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from llmimg.data.rng import sample_seeds
from llmimg.errors import UserError
from llmimg.readouts.base import Batch, Continuations, TextReadout, tensors
from llmimg.readouts.loss import IGNORED, Term, ahead, row_costs
from llmimg.readouts.packed import as_arguments, packed_batch
from llmimg.readouts.sight import takes
from llmimg.tasks.base import Row, Task
from llmimg.tokens.layout import ANSWER, IMAGE, UNLEARNED, WORDS, Sequences, Span
from llmimg.tokens.packing import Packed, behind_one_text
from llmimg.tokens.sample import Example
from llmimg.tokens.script import Choices, Script

_KEPT = "logits_to_keep"


class Prompted(TextReadout):
    """It maximises log P(answer | prompt), and besides, as far as `task.image_loss` says, log P of the image's own text
    in it.

    Attributes:
        choices: the answers to choose from in evaluation, where there are few.
    """

    auto_class = AutoModelForCausalLM
    causal = True
    prompted = True
    reads_words = True

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self.choices = choices_behind(self.script, self.task)
        # Of training and of evaluations; shared, so that loader workers count together.
        self._truncated = torch.zeros(2, dtype=torch.int64).share_memory_()

    def of_task(self, task: Task) -> Self:
        made = super().of_task(task)
        made._truncated = self._truncated  # they count together
        return made

    @functools.cached_property
    def _by_wording(self) -> list[Choices | None]:
        """The answers to choose from behind each of the task's prompts."""
        return [choices_behind(self.script, each) for each in self.task.in_every_wording()]

    def _choices(self, seed: int | None) -> Choices | None:
        """Those of a sample; `seed` as of `Task.prompt`."""
        wording = self.task.wording_of(seed)
        return self.choices if wording == self.task.wording else self._by_wording[wording]

    @property
    def known_choices(self) -> Choices:
        """`choices`, for readouts that need them.

        Raises:
            UserError: a task whose answers are not one of few.
        """
        if self.choices is None:
            raise UserError("readout=score needs answers of which there are few: take readout=generate.")
        return self.choices

    @property
    def blank(self) -> tuple[int, ...]:
        return () if self.choices is None else self.choices.blank

    @property
    def terms(self) -> tuple[Term, ...]:
        weight = self.task.settings.image_loss
        return (Term(shifted=True), *((Term("image_labels", weight, shifted=True),) if weight else ()))

    def training_sequences(self, examples: Sequence[Example]) -> Sequences | Packed:
        laid = self.whole([spans for each in examples for spans in self.learned(each)], learned=True)
        if not self._packs:
            return laid
        return behind_one_text(laid, [self.task.settings.samples] * len(examples), self.layout.pad)

    def training_batch(self, examples: Sequence[Example]) -> Batch:
        laid = self.training_sequences(examples)
        ids, learned = laid.ids, laid.roles
        if isinstance(laid, Packed):
            batch, learned = packed_batch(laid), np.where(laid.foretold, learned, WORDS)
        else:
            batch = tensors(input_ids=ids, attention_mask=laid.mask)
        batch |= tensors(labels=np.where(learned == ANSWER, ids, IGNORED))
        if self.task.settings.image_loss:
            return {**batch, **tensors(image_labels=np.where(learned == IMAGE, ids, IGNORED))}
        # Logits are made from the token before the first that is learned on.
        first = int((learned == ANSWER).any(axis=0).argmax())
        return {**batch, _KEPT: ids.shape[1] - max(first - 1, 0)}

    def learned(self, example: Example) -> list[list[Span]]:
        return [[*self.prompt(example, seed), *self.answer(example, seed)] for seed in self.seeds(example)]

    @property
    def _packs(self) -> bool:
        """Whether several samples of a row stand behind one text of its image."""
        return self.task.settings.samples > 1

    def seeds(self, example: Example) -> Sequence[int | None]:
        """Of each of a row's samples all that is random in it."""
        if not self._packs or example.seed is None:
            return [example.seed]
        return sample_seeds(example.seed, self.task.settings.samples).tolist()

    def given(self, model: PreTrainedModel, batch: Batch) -> Batch:
        if _KEPT in batch and not takes(model, _KEPT):
            batch = {name: each for name, each in batch.items() if name != _KEPT}
        return as_arguments(model, batch, "task.samples") if self._packs else batch

    def sequences(self, examples: Sequence[Example]) -> Sequences:
        prompts = [[*self.prompt(each, None), Span(each.image[: each.begun], WORDS)] for each in examples]
        for each, prompt in zip(examples, prompts, strict=True):
            self._check_room(each.row, prompt)
        return self.layout(prompts, left=True)

    def continuations(self, row: Row) -> Continuations:
        answers = () if self.choices is None else self.choices.answers
        return Continuations([self.vocabulary.text(each) for each in answers], whole=True)

    def _check_room(self, row: Row, prompt: Sequence[Span]) -> None:
        """Refuse words of a row's own that do not fit."""
        image = sum(min(len(span.ids), self.layout.room) for span in prompt if span.role == IMAGE)
        words = sum(len(span.ids) for span in prompt if span.role != IMAGE)
        room = self.layout.context - self.layout.answer - image
        if self.task.own_words and words > room:
            raise UserError(
                f"Row {row['id']} is asked in {words:,} tokens, and the model's context has room for {room:,}: ask in "
                "fewer words."
            )

    def whole(self, samples: Sequence[Sequence[Span]], learned: bool = False) -> Sequences:
        """Prompts with their right answers, as far as there is room for these: what is truncated is counted.

        Args:
            learned: whether they are learned from.
        """
        laid, room = self.layout(samples), self.layout.context
        if laid.mask.shape[1] > room:
            self._truncated[0 if learned else 1] += int(laid.mask[:, room:].any(axis=1).sum())
        return Sequences(*(each[:, :room] for each in laid))

    @property
    def notes(self) -> list[str]:
        # Other ranks, and what ran before an interruption, count for themselves.
        learned, scored = self._truncated.tolist()
        told = {
            f"At least {learned:,} answers were longer than the context leaves room for: they were truncated in "
            "training. A larger tokens.max_length avoids it.": learned,
            f"Right answers were longer than the context leaves room for in evaluations, at least {scored:,} times: "
            "their loss is that of their beginnings. A larger tokens.max_length avoids it.": scored,
        }
        return [sentence for sentence, count in told.items() if count]

    def answered(self, samples: Sequence[Sequence[Span]]) -> Batch:
        """Prompts with answers that are known: token ids, mask, and the answers' tokens alone as labels, int64 `[B, L]`
        each."""
        laid = self.whole(samples)
        labels = np.where(laid.roles == ANSWER, laid.ids, IGNORED)
        return tensors(known_ids=laid.ids, known_mask=laid.mask, known_labels=labels)

    def prompt(self, example: Example, seed: int | None) -> list[Span]:
        """What the model is given; `seed` as of `Task.prompt`."""
        return self.script.prompt(self.task.prompt(example.row, seed), example.image, self._choices(seed))

    def answer(self, example: Example, seed: int | None) -> list[Span]:
        """What it is to write."""
        choices = self._choices(seed)
        if choices is None:
            return self.script.answer(self.task.answer(example.row, seed), example.image)
        number = self.task.target(example.row, seed)
        role = UNLEARNED if number is None else ANSWER
        return [Span(np.array(choices.answers[number or 0]), role)]


def answer_costs(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """`row_costs` of answers as `Prompted.answered` gives them."""
    labels = batch["known_labels"]
    keep = labels.shape[1] - max(int((labels != IGNORED).any(dim=0).int().argmax()) - 1, 0)
    logits = model(
        input_ids=batch["known_ids"], attention_mask=batch["known_mask"], logits_to_keep=keep, use_cache=False
    ).logits
    return row_costs(*ahead(logits, labels))


def choices_behind(script: Script, task: Task) -> Choices | None:
    """The answers to choose from behind the task's prompt, where there are few."""
    if task.candidates is None:
        return None
    return script.choices(task.prompt(task.stand_in, None), task.candidates, task.classes or ())
