"""What a model sees is tried: windows, recurrent states and biases on distances go by no mask, and nothing fails."""

import numpy as np
import pytest
import torch
import transformers

from llmimg.errors import UserError
from llmimg.readouts.base import READOUTS
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.textify import make
from llmimg.tokens.layout import Frame, Layout
from llmimg.tokens.sample import Example
from llmimg.tokens.script import Script
from llmimg.tokens.vocabulary import make_vocabulary
from tests.scripting import before_answer, script_of, with_choices

ANSWERS = ((9, 4), (8, 10, 3), (8, 9))
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SHARED = {"num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64}
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
# name → configuration, its fields, whether sequences of one row stay apart
MODELS = {
    "a window": ("MistralConfig", {**SIZES, **SHARED, "sliding_window": 8}, False),
    "no window": ("MistralConfig", {**SIZES, **SHARED, "sliding_window": None}, True),
    "a window in every other layer": ("Gemma3TextConfig", {**SIZES, **SHARED, "sliding_window": 8}, False),
    "a window counted in positions": (
        "GPTNeoConfig",
        {
            **{"hidden_size": 16, "num_layers": 2, "num_heads": 2, "intermediate_size": 32},
            **{"window_size": 8, "attention_types": [[["global", "local"], 1]], "max_position_embeddings": 64},
        },
        None,
    ),
    "a bias on distances": ("MptConfig", {"d_model": 16, "n_layers": 2, "n_heads": 2, "max_seq_len": 64}, True),
    "one that fails": ("BloomConfig", {"hidden_size": 16, "n_layer": 2, "n_head": 2}, False),
    "a recurrent state": ("RwkvConfig", {**SIZES, "attention_hidden_size": 16, "context_length": 64}, False),
    "a mask that is added": ("GPTJConfig", {**GPT, "rotary_dim": 4}, True),
}


def model_of(name: str, tokens: int = 64):
    kind, fields, _ = MODELS[name]
    torch.manual_seed(0)
    config = getattr(transformers, kind)(vocab_size=tokens, pad_token_id=0, bos_token_id=1, eos_token_id=2, **fields)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.3)
    return model


@pytest.fixture
def rows() -> list[Example]:
    rng = np.random.default_rng(0)
    return [Example(rng.integers(11, 60, size=size), {"label": 0}) for size in (3, 30, 17)]


def readout_of(task: str, name: str, **settings):
    vocabulary = make_vocabulary("own", make("gray"), None)
    task = TASKS[task].with_settings(DataInfo(("cat", "dog", "hot dog")), **settings)
    if not READOUTS[name].prompted:
        return READOUTS[name](task, Layout.of(vocabulary, 60), Script(vocabulary))
    script = script_of(task, vocabulary)
    readout = READOUTS[name](task, Layout.of(script.vocabulary, 60, frame=Frame()), script)
    with_choices(readout, (5,), ANSWERS)
    return readout


def alone(model, ids) -> torch.Tensor:
    return model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_one_pass_an_answer(name, rows):
    readout, model = readout_of("classify", "score"), model_of(name)
    for few in (rows[:1], rows):  # a longer text is tried again
        batch = readout.batch(few)
        for row, found in zip(few, readout.outputs(model, batch), strict=True):
            before = before_answer(readout, row.image)
            scores = [
                sum(steps[len(before) - 1 + index, token] for index, token in enumerate(answer))
                for answer in ANSWERS
                for steps in [alone(model, [*before, *answer])]
            ]
            assert found.numpy() == pytest.approx(torch.stack(scores).log_softmax(dim=0).numpy(), abs=1e-4)


@torch.no_grad()
def test_what_holds_for_packed_sequences_is_tried_again_for_candidates(rows):
    """A bias on distances leaves sequences one after the other alone, and not those that stand side by side."""
    model, score = model_of("a bias on distances"), readout_of("classify", "score")
    packed = readout_of("clm", "likelihood", pack=60)
    batch = score.batch(rows)
    expected = score.outputs(model_of("a bias on distances"), batch)
    examples = packed.training_batch(rows)
    del examples["labels"]
    packed.given(model, examples)
    torch.testing.assert_close(score.outputs(model, batch), expected)


@torch.no_grad()
@pytest.mark.parametrize("name", [name for name, (_, _, apart) in MODELS.items() if apart is not None])
def test_packed_sequences_stay_apart_or_are_refused(name, rows):
    readout, model = readout_of("clm", "likelihood", pack=60), model_of(name)
    batch = readout.training_batch(rows)
    labels = batch.pop("labels")
    if not MODELS[name][2]:
        with pytest.raises(UserError, match=r"does not keep the sequences of one row apart: leave task\.pack"):
            readout.given(model, batch)
        return
    steps = model(**readout.given(model, batch)).logits[:, :-1].log_softmax(dim=-1)
    found = -steps.gather(2, labels[:, 1:].clamp(min=0)[..., None])[..., 0][labels[:, 1:] != -100].sum()
    bare = readout_of("clm", "likelihood")
    assert found.item() == pytest.approx(bare.outputs(model, bare.batch(rows))[:, 0].sum().item(), rel=1e-4)


def test_a_model_that_looks_ahead_is_refused(rows):
    config = transformers.XLNetConfig(vocab_size=64, d_model=16, n_layer=1, n_head=2, d_inner=32)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.3)
    for readout in (readout_of("clm", "likelihood"), readout_of("classify", "score")):
        batch = readout.batch(rows)
        batch.pop("labels", None)
        with pytest.raises(UserError, match="sees what comes after"):
            readout.outputs(model, batch)
