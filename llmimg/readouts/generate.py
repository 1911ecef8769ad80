"""The model writes the answer, held to what can be read."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from llmimg.errors import UserError
from llmimg.readouts.base import READOUTS, Batch, Continuations, Outputs, tensors
from llmimg.readouts.candidates import trie_scores
from llmimg.readouts.held import Choice, Tables, write
from llmimg.readouts.prompted import Prompted, answer_costs
from llmimg.readouts.sight import check_causal
from llmimg.tasks.base import Row
from llmimg.tokens.image_answers import image_automaton
from llmimg.tokens.names import token_names
from llmimg.tokens.sample import Answer, Example
from llmimg.tokens.trie import trie_of

_BROKEN_OFF = "It breaks off."


@READOUTS.register("generate")
class Generate(Prompted):
    """Of few answers, log P(answer | text) of a model that is held to them at each of its tokens: `[B, K]`, summing to
    one. A token's probability is its share among the tokens that go on with one of the answers. All answers are
    followed to their ends: what is found is exact, and the likeliest answer is the one that an unlimited beam search
    writes.

    Of answers with a grammar, what is written held to it: token ids int64 `[B, T]`, their log-probabilities among what
    was allowed float32 `[B, T]`, and where the right answer is known, what that costs and its tokens, float32 `[B, 2]`.
    """

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self.choice = Choice(**dataclasses.asdict(self.settings))
        if self.choices is not None:
            if self.choice != Choice():
                raise UserError(
                    "Of few answers all are followed to their ends, and nothing is searched for or drawn: leave out "
                    "readout.beams, samples, temperature, top_k and top_p."
                )
            self.trie = trie_of(self.choices.answers)
        elif self.task.writes_images:
            self.automaton = image_automaton(self.vocabulary, self.task.known_grammar, self.task.cells)
            if self.choice.count == 1:  # the likeliest image is the same for all that are asked alike
                self.choice = dataclasses.replace(self.choice, samples=1)
        else:
            self.automaton = self.vocabulary.automaton(self.task.grammar, self.task.cells)
        self._tables: Tables | None = None

    def _tables_on(self, device: torch.device) -> Tables:
        if self._tables is None or self._tables.device != device:
            self._tables = Tables(self.automaton, device, self.task.exact)
        return self._tables

    @property
    def draws(self) -> bool:
        return self.task.writes_images

    @functools.cached_property
    def _room(self) -> int:
        """How many tokens an answer may have: as many for every row, whatever stands beside it in its batch."""
        if self.task.writes_images:
            return self.layout.room + self.layout.answer
        if self.layout.answer:
            return self.layout.answer
        prompt = self.script.prompt(self.task.prompt(self.task.stand_in, None), np.empty(0, np.int64))
        return self.layout.context - sum(len(span.ids) for span in prompt)

    def continuations(self, row: Row) -> Continuations:
        if self.choices is not None:
            return super().continuations(row)
        first = self._tables_on(torch.device("cpu")).first(self.task.budget(row))
        return Continuations(token_names(self.vocabulary, first), whole=False)

    def batch(self, examples: Sequence[Example]) -> Batch:
        batch = super().batch(examples)
        if self.choices is not None:
            return batch
        budgets = [self.task.budget(each.row) for each in examples]
        if None not in budgets:
            batch |= tensors(budget=np.array(budgets, np.int64))
        if self.choice.samples:
            seeds = [each.seed or 0 for each in examples]
            batch |= tensors(seeds=np.array(seeds, np.uint64).view(np.int64))
        if most := max(each.begun for each in examples):
            begun = np.full((len(examples), most), -1, np.int64)
            for row, each in zip(begun, examples, strict=True):
                row[: each.begun] = each.image[: each.begun]
            return batch | tensors(begun=begun)
        if self._is_known(examples):
            batch |= self.answered([[*self.prompt(each, None), *self.answer(each, None)] for each in examples])
        return batch

    def _is_known(self, examples: Sequence[Example]) -> bool:
        """Whether the right answers are."""
        if self.task.writes_images:
            return all(len(each.image) > 0 for each in examples)
        return all(name in each.row for each in examples for name in self.task.columns)

    def outputs(self, model: PreTrainedModel, batch: Batch) -> Outputs:
        ids, mask = batch["input_ids"], batch["attention_mask"]
        if self.choices is not None:
            return trie_scores(model, ids, mask, self.trie, held=True)
        check_causal(model, ids[0][mask[0] == 1])
        written = write(
            model,
            ids,
            mask,
            self._tables_on(ids.device),
            self._room,
            choice=self.choice,
            budget=batch["budget"].cpu().numpy() if "budget" in batch else None,
            seeds=batch["seeds"].cpu().numpy().view(np.uint64) if "seeds" in batch else None,
            begun=batch.get("begun"),
        )
        best = written.log_probabilities.sum(dim=2).argmax(dim=1)
        rows = torch.arange(len(best), device=best.device)
        found = written.tokens[rows, best], written.log_probabilities[rows, best]
        if "begun" in batch:  # what was given is certain
            given = batch["begun"], torch.zeros_like(batch["begun"], dtype=found[1].dtype)
            found = tuple(torch.cat(each, dim=1) for each in zip(given, found, strict=True))
        return (*found, answer_costs(model, batch)) if "known_ids" in batch else found

    def answers(self, outputs: Any, rows: Sequence[Row]) -> list[Answer]:
        if self.choices is not None:
            return super().answers(outputs, rows)
        tokens, log_probabilities = outputs[:2]
        found = [self._answer(*each) for each in zip(tokens, log_probabilities, strict=True)]
        costs = self.costs(outputs)
        if costs is None:
            return found
        return [dataclasses.replace(each, nats=float(nats)) for each, (nats, _) in zip(found, costs, strict=True)]

    def _answer(self, tokens: np.ndarray, log_probabilities: np.ndarray) -> Answer:
        there = tokens >= 0  # answers of other batches may be longer
        written, log_probabilities = tokens[there].tolist(), log_probabilities[there]
        ended = self.vocabulary.end in written
        if self.task.open:
            said = written[: written.index(self.vocabulary.end)] if ended else written
            text, problem = self.vocabulary.text(said), None if ended else _BROKEN_OFF
            return Answer(text, log_probabilities=log_probabilities[: len(said) + ended], problem=problem)
        read, lexicon = self.automaton.read(written, whole=ended), self.task.lexicon
        if read is None or lexicon is None:
            return Answer(text=self.vocabulary.text(written), problem="It cannot be read.")
        pieces, owners = read
        summed = np.zeros(len(pieces), np.float32)
        np.add.at(summed, owners, log_probabilities[: len(owners)])
        return Answer(lexicon.text(pieces), pieces, summed, problem=None if ended else _BROKEN_OFF)

    def costs(self, outputs: Any) -> np.ndarray | None:
        return outputs[2] if isinstance(outputs, tuple) and len(outputs) > 2 else None

    def compared(self, outputs: Any) -> np.ndarray:
        costs = self.costs(outputs)  # what is written may differ where two tokens are as likely
        return outputs if costs is None else costs
