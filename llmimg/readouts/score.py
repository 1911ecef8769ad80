"""The likelihood of each answer's words as continuation of the image's text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from llmimg.errors import UserError
from llmimg.readouts.base import READOUTS, Batch, TextReadout, tensors
from llmimg.readouts.candidates import NOTHING_IN_FRONT, trie_scores
from llmimg.readouts.loss import IGNORED, Term
from llmimg.tokens.sample import Example
from llmimg.tokens.trie import trie_of


class Prompted(TextReadout):
    """A causal model that learns to continue an image's text with the right answer: it maximises
    log P(answer | text), and nothing of the text itself."""

    auto_class = AutoModelForCausalLM
    causal = True
    terms = (Term(shifted=True),)
    prompted = True

    def training_batch(self, examples: Sequence[Example]) -> Batch:
        answers = [self.layout.prompt.answers[self.task.target(each.row)] for each in examples]
        ids, mask = self.layout([each.image for each in examples], answers)
        # Answers end their rows: the last so many tokens are what is to be learned.
        left = mask.sum(axis=1)[:, None] - np.arange(mask.shape[1])
        lengths = np.array([len(answer) for answer in answers])[:, None]
        labels = np.where((left <= lengths) & (mask == 1), ids, IGNORED)
        return tensors(input_ids=ids, attention_mask=mask, labels=labels)

    def batch(self, examples: Sequence[Example]) -> Batch:
        ids, mask = self.layout([each.image for each in examples], left=True)
        return tensors(input_ids=ids, attention_mask=mask)


@READOUTS.register("score")
class Score(Prompted):
    """log P(answer | text) of each answer, normalised, as log-probabilities `[B, K]` that sum to one."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        prompt = self.layout.prompt
        if self.settings.normalise == "prior" and not (prompt.before or prompt.blank or prompt.after):
            raise UserError(NOTHING_IN_FRONT)

    def outputs(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        answers = self.layout.prompt.answers
        trie = trie_of(answers)
        scores = trie_scores(model, batch["input_ids"], batch["attention_mask"], trie)
        if self.settings.normalise == "length":
            scores = scores / torch.tensor([len(answer) for answer in answers], device=scores.device)
        if self.settings.normalise == "prior":
            ids, mask = self.layout([np.array(self.layout.prompt.blank, np.int64)], left=True)
            empty = tensors(ids=ids, mask=mask)
            scores = scores - trie_scores(model, empty["ids"].to(scores.device), empty["mask"].to(scores.device), trie)
        return scores.log_softmax(dim=1)
