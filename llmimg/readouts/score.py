"""The likelihood of each answer's words as continuation of the image's text."""

from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from llmimg.errors import UserError
from llmimg.readouts.base import READOUTS, Batch, tensors
from llmimg.readouts.candidates import NOTHING_IN_FRONT, trie_scores
from llmimg.readouts.prompted import Prompted
from llmimg.tokens.layout import Sequences
from llmimg.tokens.trie import trie_of


@READOUTS.register("score")
class Score(Prompted):
    """log P(answer | text) of each answer, normalised, as log-probabilities `[B, K]` that sum to one."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self.trie = trie_of(self.known_choices.answers)
        if self.settings.normalise == "prior" and not self._without_image().ids.size:
            raise UserError(NOTHING_IN_FRONT)

    def _without_image(self) -> Sequences:
        """The prompt where there is no image."""
        blank = np.array(self.known_choices.blank, np.int64)
        return self.layout([self.script.prompt(self.task.prompt({}, None), blank, self.choices)], left=True)

    def outputs(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        scores = trie_scores(model, batch["input_ids"], batch["attention_mask"], self.trie)
        if self.settings.normalise == "length":
            lengths = [len(answer) for answer in self.known_choices.answers]
            scores = scores / torch.tensor(lengths, device=scores.device)
        if self.settings.normalise == "prior":
            laid = self._without_image()
            empty = tensors(ids=laid.ids, mask=laid.mask)
            ids, mask = (empty[name].to(scores.device) for name in ("ids", "mask"))
            scores = scores - trie_scores(model, ids, mask, self.trie)
        return scores.log_softmax(dim=1)
