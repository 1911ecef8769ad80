"""The likelihood of each answer's words as continuation of the image's text; or of an image's text as continuation of
each class's words."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from transformers import PreTrainedModel

from llmimg.errors import UserError
from llmimg.readouts.base import READOUTS, Batch, Continuations, tensors
from llmimg.readouts.candidates import NOTHING_IN_FRONT, trie_scores
from llmimg.readouts.prompted import Prompted, answer_costs
from llmimg.readouts.sight import check_causal
from llmimg.readouts.texts import foils_of, most_foils, read_texts
from llmimg.tasks.base import Row
from llmimg.tokens.layout import Sequences, Span
from llmimg.tokens.sample import Answer, Example, Part
from llmimg.tokens.trie import Trie, trie_of


@READOUTS.register("score")
class Score(Prompted):
    """log P(answer | text) of each answer, normalised, as log-probabilities `[B, K]` that sum to one.

    Where candidates are prompts, log P(answer | prompt) of the row's own answer behind each of them, in nats, float32
    `[B, K]`: a pass over the whole answer for each.
    """

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self._most_foils = 0  # of a row of the split
        if self.task.candidate_prompts is not None:
            if self.settings.normalise != "none":
                raise UserError(
                    "readout.normalise makes answers comparable, and here one answer is compared behind several "
                    "prompts: set readout.normalise=none."
                )
            return
        if not self.task.by_split:
            _ = self.trie  # what cannot be scored is refused now
        if self.settings.normalise == "prior" and not self._without_image([self.task.stand_in]).ids.size:
            raise UserError(NOTHING_IN_FRONT)

    @functools.cached_property
    def trie(self) -> Trie:
        return trie_of(self.answers_scored)

    @functools.cached_property
    def answers_scored(self) -> tuple[tuple[int, ...], ...]:
        """The token ids of the answers that each row is scored by.

        Raises:
            UserError: one that the context has no room for.
        """
        if not self.task.by_split:
            return self.known_choices.answers
        return read_texts(self.script, self.task.held_against or (), self.layout.answer)

    @property
    def asks(self) -> tuple[str, ...]:
        return super().asks if self.task.candidate_prompts is None else ()  # it is asked in every way

    def sequences(self, examples: Sequence[Example]) -> Sequences:
        if self.task.candidate_prompts is None:
            return super().sequences(examples)
        return self.whole(self._each_behind(self.task.candidate_prompts, examples))

    def continuations(self, row: Row) -> Continuations:
        if self.task.candidate_prompts is not None:
            return Continuations((), whole=True)
        return Continuations([self.vocabulary.text(each) for each in self.answers_scored], whole=True)

    def of_split(self, rows: Sequence[Row]) -> Self:
        made = super().of_split(rows)
        made._most_foils = most_foils(self.task, rows)
        return made

    def batch(self, examples: Sequence[Example]) -> Batch:
        if self.task.candidate_prompts is not None:
            return self._behind_each(self.task.candidate_prompts, examples)
        batch = {**super().batch(examples), **self._foils(examples)}
        if self.settings.normalise != "prior":
            return batch
        # Where all rows are asked in the same words, one prompt stands for all.
        laid = self._without_image([each.row for each in (examples if self.task.own_words else examples[:1])])
        return {**batch, **tensors(blank_ids=laid.ids, blank_mask=laid.mask)}

    def _behind_each(self, candidates: Sequence[Sequence[Part]], examples: Sequence[Example]) -> Batch:
        """Each row's answer behind each prompt, as `answered`: int64 `[B, K, L]`."""
        batch = self.answered(self._each_behind(candidates, examples))
        return _by_row(batch, len(candidates))

    def _each_behind(self, candidates: Sequence[Sequence[Part]], examples: Sequence[Example]) -> list[list[Span]]:
        """Each row's answer behind one prompt after the other."""
        self.layout.check(np.array([len(each.image) for each in examples]))
        prompts = [self.script.prompt(parts, np.empty(0, np.int64)) for parts in candidates]
        return [[*prompt, *self.answer(each, None)] for each in examples for prompt in prompts]

    def _foils(self, examples: Sequence[Example]) -> Batch:
        """As many foils of each row as one has at most, behind its prompt; and, for what they owe to the image, where
        there is none: `answered`, by other names."""
        if not self._most_foils:
            return {}
        foils = [foils_of(self.task, each.row, self._most_foils) for each in examples]
        shown = {"foil": examples}
        if self.settings.normalise == "prior":
            blank = np.array(self.blank, np.int64)
            shown["blank_foil"] = [dataclasses.replace(each, image=blank) for each in examples]
        found = {}
        for kind, some in shown.items():
            prompts = [self.prompt(each, None) for each in some]
            samples = zip(prompts, foils, strict=True)
            batch = self.answered([[*prompt, *self.script.answer(one)] for prompt, own in samples for one in own])
            found |= {name.replace("known", kind): each for name, each in _by_row(batch, self._most_foils).items()}
        return found

    def _without_image(self, rows: Sequence[Row]) -> Sequences:
        """The prompts of rows where there is no image."""
        blank = np.array(self.blank, np.int64)
        prompts = [self.script.prompt(self.task.prompt(row, None), blank, self.choices) for row in rows]
        return self.layout(prompts, left=True)

    def outputs(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        if self.task.candidate_prompts is not None:
            return _scores_behind_each(model, batch)
        scores = trie_scores(model, batch["input_ids"], batch["attention_mask"], self.trie)
        if self.settings.normalise == "length":
            lengths = [len(answer) for answer in self.answers_scored]
            scores = scores / torch.tensor(lengths, device=scores.device)
        if self.settings.normalise == "prior":
            scores = scores - trie_scores(model, batch["blank_ids"], batch["blank_mask"], self.trie)
        if self._most_foils:
            return torch.cat([scores, self._foil_scores(model, batch)], dim=1)
        return scores if self.task.by_split else scores.log_softmax(dim=1)

    def _foil_scores(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        """Of each row's foils, normalised as its answers are, `[B, F]`."""
        costs = _costs_of_each(model, batch, "foil")
        scores = -costs[:, :, 0]
        if self.settings.normalise == "length":
            scores = scores / costs[:, :, 1]
        if self.settings.normalise == "prior":
            scores = scores + _costs_of_each(model, batch, "blank_foil")[:, :, 0]
        return scores

    def answers(self, outputs: Any, rows: Sequence[Row]) -> list[Answer]:
        if not self._most_foils:
            return super().answers(outputs, rows)
        scores, foils = np.split(outputs, [len(self.answers_scored)], axis=1)
        return [Answer(scores=each, foils=own) for each, own in zip(scores, foils, strict=True)]


def _by_row(batch: Batch, count: int) -> Batch:
    """A batch of which so many follow each other of each row, as `[B, count, L]`."""
    return {name: each.unflatten(0, (-1, count)) for name, each in batch.items()}


def _scores_behind_each(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Of a batch as `_behind_each` gives it."""
    ids, mask = batch["known_ids"], batch["known_mask"]
    check_causal(model, ids[0, 0][mask[0, 0] == 1])
    return -_costs_of_each(model, batch, "known")[:, :, 0]


def _costs_of_each(model: PreTrainedModel, batch: Batch, kind: str) -> torch.Tensor:
    """`answer_costs` of several of each row, float32 `[B, K, 2]`, the first of all rows and then the next."""
    named = {f"known_{part}": batch[f"{kind}_{part}"] for part in ("ids", "mask", "labels")}
    count = named["known_ids"].shape[1]
    each = ({name: some[:, one] for name, some in named.items()} for one in range(count))
    return torch.stack([answer_costs(model, one) for one in each], dim=1)
