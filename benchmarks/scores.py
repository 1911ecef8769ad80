"""1,000 classes by the likelihood of their names beside a head for as many: names of one token, and of several."""

from typing import Any

import numpy as np
import torch

from benchmarks.small_models import SHAPES, causal, classifier, prompts
from benchmarks.timing import in_turns, quotients
from llmimg.readouts.candidates import trie_scores
from llmimg.tokens.trie import Trie

_CLASSES = 1000
# Behind the id that pads; 1,104 in all, as a matrix product that is no multiple of 16 wide takes twice as long.
_VOCABULARY = range(1, 1104)
_FIRST = 100  # tokens with which names of several begin
_TARGET, _OF_BOUND = 1.1, 1.2


@torch.inference_mode()
def score_over_head(name: str, images: int, rounds: int) -> dict[str, Any]:
    """Times of both kinds of names by that of the head; of several tokens beside 1 + nodes / tokens of the prompt,
    which is what reading them costs at least."""
    shape = SHAPES[name]
    model, head = causal(name, _VOCABULARY.stop), classifier(name, _VOCABULARY.stop, _CLASSES)
    ids, mask = prompts(min(shape.batch, images), _VOCABULARY)
    one, several = Trie.of([(token,) for token in _VOCABULARY[:_CLASSES]]), Trie.of(names_of_several_tokens())

    def beside_head(trie: Trie, turns: int) -> dict[str, Any]:
        trie_scores(model, ids, mask, trie)  # whether the model goes by its mask is tried once
        sides = {
            "head": lambda: head(input_ids=ids, attention_mask=mask).logits,
            "score": lambda: trie_scores(model, ids, mask, trie),
        }
        return quotients(in_turns(sides, rounds * turns), "head")

    short, long = beside_head(one, 3 * shape.turns), beside_head(several, shape.turns)
    bound = 1 + (len(several) - 1) / ids.shape[1]
    of_bound = {
        "over_bound": round(long["score_over_head"] / bound, 3),
        "over_bound_of_processor_time": round(long["score_over_head_of_processor_time"] / bound, 3),
    }
    return {
        "batch": len(ids),
        "tokens_of_prompt": ids.shape[1],
        "one_token": short | {"target": _TARGET},
        "several_tokens": long
        | {"nodes": len(several) - 1, "bound": round(bound, 2)}
        | of_bound
        | {"target": _OF_BOUND},
    }


def names_of_several_tokens() -> list[tuple[int, ...]]:
    """As many as there are classes, of two to four tokens each, none of which begins another."""
    rng, found = np.random.default_rng(0), {}
    while len(found) < _CLASSES:
        length = int(rng.integers(2, 5))
        first, rest = int(rng.integers(1, _FIRST + 1)), rng.integers(_FIRST + 1, _VOCABULARY.stop, length - 1)
        found.setdefault((first, int(rest[0])), (first, *rest.tolist()))
    return list(found.values())
