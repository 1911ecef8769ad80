"""The model writes the answer, held to the answers that there are."""

import torch
from transformers import PreTrainedModel

from llmimg.readouts.base import READOUTS, Batch
from llmimg.readouts.candidates import trie_scores
from llmimg.readouts.score import Prompted
from llmimg.tokens.trie import trie_of


@READOUTS.register("generate")
class Generate(Prompted):
    """log P(answer | text), of a model that is held to the answers at each of its tokens: `[B, K]`, summing to one.

    A token's probability is its share among the tokens that go on with one of the answers. All answers are followed to
    their ends: what is found is exact, and the likeliest answer is the one that an unlimited beam search writes.
    """

    def outputs(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        trie = trie_of(self.layout.prompt.answers)
        return trie_scores(model, batch["input_ids"], batch["attention_mask"], trie, held=True)
