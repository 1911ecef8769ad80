"""Candidates by their trie, beside all answers side by side, and beside a pass for each."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmimg.models.scratch import ARCHITECTURES, Sizes
from llmimg.models.settings import ModelSettings
from llmimg.readouts.candidates import trie_scores
from llmimg.tokens.trie import Trie
from tests.readouts.side_by_side import answer_scores, held_scores

pytestmark = pytest.mark.usefixtures("one_thread")

VOCABULARY = 16
# Few letters: many candidates begin alike. None begins another.
CANDIDATES = (
    st.lists(st.lists(st.integers(4, 8), min_size=1, max_size=5).map(tuple), min_size=1, max_size=12, unique=True)
    .map(lambda all: tuple(one for one in all if not any(one != other and other[: len(one)] == one for other in all)))
)  # fmt: skip
ONE_TOKEN = tuple((token,) for token in range(4, VOCABULARY))
RNG = np.random.default_rng(0)
MANY = tuple({tuple(RNG.integers(4, 10, 5).tolist()) for _ in range(150)})  # more nodes than go through at once


@pytest.fixture(scope="module")
def prompts() -> tuple[torch.Tensor, torch.Tensor]:
    """Of different lengths, padded on the left."""
    lengths = np.array([9, 1, 5])
    mask = np.arange(9) >= 9 - lengths[:, None]
    ids = np.where(mask, np.random.default_rng(0).integers(4, VOCABULARY, mask.shape), 0)
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


def scratch(architecture: str, attention: str):
    from transformers import AutoModelForCausalLM

    settings = ModelSettings("tiny", architecture=architecture, layers=2, width=16, heads=2, initializer_range=0.4)
    config = ARCHITECTURES[architecture](settings, Sizes(VOCABULARY, 400, 0))
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention)


def with_a_bias_on_distances():
    from transformers import BloomConfig, BloomForCausalLM

    return BloomForCausalLM(BloomConfig(vocab_size=VOCABULARY, hidden_size=16, n_layer=2, n_head=2))


# name → the model, and whether its nodes can share a row
MODELS = {
    "gpt2": (lambda: scratch("gpt2", "sdpa"), True),
    "llama": (lambda: scratch("llama", "sdpa"), True),
    "a mask that is added": (lambda: scratch("gpt2", "eager"), True),
    "rows of their own": (with_a_bias_on_distances, False),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    make, shared = MODELS[request.param]
    torch.manual_seed(1)
    return make().eval(), shared


@settings(max_examples=15)
@example(ONE_TOKEN)
@example(((4,),))
@example(((4, 5, 6),))
@example(((4,), (5, 4), (5, 6, 4)))
@given(CANDIDATES)
@torch.no_grad()
def test_scores_are_those_of_all_answers_side_by_side(model, prompts, candidates):
    (model, shared), trie = model, Trie.of(candidates)
    for oracle, held in ((answer_scores, False), (held_scores, True)):
        found = trie_scores(model, *prompts, trie, held)
        expected = oracle(model, *prompts, candidates, shared)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("held", [False, True])
def test_more_nodes_than_go_through_at_once(prompts, held):
    torch.manual_seed(1)
    model, trie = scratch("llama", "sdpa").eval(), Trie.of(MANY)
    assert len(trie) > 200
    expected = (held_scores if held else answer_scores)(model, *prompts, MANY)
    torch.testing.assert_close(trie_scores(model, *prompts, trie, held), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_window_that_prompts_fit_and_prompts_with_nodes_do_not(prompts):
    """A cache that keeps no more than a window cannot be gone back in."""
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = MistralConfig(
        vocab_size=VOCABULARY, **sizes, num_key_value_heads=2, sliding_window=40, initializer_range=0.4
    )
    model = MistralForCausalLM(config).eval()
    expected = answer_scores(model, *prompts, MANY, shared=False)
    torch.testing.assert_close(trie_scores(model, *prompts, Trie.of(MANY)), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_what_is_held_sums_to_one(model, prompts):
    for candidates in (MANY[:20], ONE_TOKEN):
        scores = trie_scores(model[0], *prompts, Trie.of(candidates), held=True)
        np.testing.assert_allclose(scores.exp().sum(dim=1).numpy(), 1, atol=1e-5)


@torch.no_grad()
def test_logits_are_made_of_few_places_at_once(prompts):
    """Of the prompts' last tokens, and of no candidate's last one; never of all nodes."""
    torch.manual_seed(1)
    model, one_token, many = scratch("gpt2", "sdpa").eval(), Trie.of(ONE_TOKEN), Trie.of(MANY)
    for trie in (one_token, many):  # each is tried once, and found to keep its candidates apart
        trie_scores(model, *prompts, trie)
    seen = []
    model.lm_head.register_forward_hook(lambda module, given, made: seen.append(tuple(made.shape)))
    trie_scores(model, *prompts, one_token)
    assert seen == [(3, 1, VOCABULARY)]
    seen.clear()
    trie_scores(model, *prompts, many)
    assert sum(indices for _, indices, _ in seen) == len(many)
    assert max(indices for _, indices, _ in seen) < len(many) / 2
