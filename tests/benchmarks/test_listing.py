"""The listing writes what the textifiers write, and every part gives the keys it promises."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from benchmarks import breakdown, generate, growth, prepare, tokens, training
from benchmarks.listing import TEXTS, token_ids
from benchmarks.settings import Settings, parse
from benchmarks.small_models import SHAPES
from benchmarks.timing import in_turns
from llmimg import textify
from llmimg.errors import UserError
from llmimg.tokens.vocabulary import make_vocabulary

CASES = {"region_color": {"grid": 4}, "gray": {"levels": 256}, "rgb": {"levels": 256}}
IMAGES = arrays(np.uint8, st.tuples(st.integers(1, 3), st.sampled_from([4, 8, 12]), st.just(8), st.just(3)))
COMPARISON = {"images", "rounds", "ours", "ratio", "ratio_of_best", "ratio_of_processor_time", "ids_equal"}


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of GPT-2's kind, one token a byte but for a few merges."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "r"), ("1", "2"), ("o", "r")]
    vocabulary = {token: i for i, token in enumerate([*letters, *("".join(pair) for pair in merges), "<|endoftext|>"])}
    backend = Tokenizer(models.BPE(vocabulary, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>", pad_token="<|endoftext|>")


TOKENIZER = byte_tokenizer()
VOCABULARIES = {
    name: make_vocabulary("reuse", textify.make(name, **settings), TOKENIZER) for name, settings in CASES.items()
}


@pytest.mark.parametrize("name", CASES)
@given(images=IMAGES)
@hypothesis_settings(max_examples=30, deadline=None)
def test_text_and_ids_are_the_textifiers(name, images):
    textifier = textify.make(name, **CASES[name])
    pieces = textifier.write(images)
    assert textifier.texts(pieces) == [TEXTS[name](image) for image in images]
    ids = VOCABULARIES[name].lookup(pieces)
    assert [row.tolist() for row in ids] == token_ids(images, name, TOKENIZER)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Settings:
    """Sixty random images in the hub's layout, and the tokenizer."""
    folder = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(0)
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    for split, count in (("train", 50), ("test", 10)):
        images = list(rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8))
        rows = datasets.Dataset.from_dict({"img": images, "label": [0, 1] * (count // 2)}, features=features)
        rows.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    TOKENIZER.save_pretrained(folder / "tokenizer")
    return Settings(
        data=str(folder / "data"), tokenizer=str(folder / "tokenizer"), images=60, rounds=2, num_proc=1, steps=2
    )


def test_tokens_compares_three_textifiers(tiny):
    result = tokens.measure(tiny)
    for name in CASES:
        assert result[name].keys() >= COMPARISON | {"listing", "tokens_per_image"}
        assert result[name]["ids_equal"]


def test_prepare_compares_both_ways(tiny):
    result = prepare.measure(tiny)
    assert result.keys() >= COMPARISON | {"plain", "num_proc", "target"}
    assert result["images"] == 60


def test_breakdown_adds_up(tiny):
    times = breakdown.measure(tiny)["microseconds_per_image"]
    assert times.keys() == {
        "read", "decode", "stack", "textify", "look_up", "arrow", "datasets_map_and_key", "whole"
    }  # fmt: skip
    assert sum(times.values()) == pytest.approx(2 * times["whole"], abs=0.01)


def test_growth_has_points_and_fits(tiny):
    result = growth.measure(tiny)
    assert [point["images"] for point in result["points"]] == [1, 4, 16, 60]
    assert result["fits"].keys() == {"prepare_seconds", "bytes", "warm_open_seconds"}
    assert all(fit.keys() == {"fixed", "per_image", "exponent"} for fit in result["fits"].values())


def test_answers_are_compared_with_what_they_cost_at_least(monkeypatch):
    monkeypatch.delitem(SHAPES, "30M")
    monkeypatch.setitem(SHAPES, "tiny", dataclasses.replace(SHAPES["tiny"], turns=1))
    result = generate.measure(Settings(images=12, rounds=1))
    held, score = result["held"]["tiny"], result["score"]["tiny"]
    assert held.keys() >= {"held_over_bare", "held_over_bare_of_processor_time", "xgrammar_over_bare"}
    assert score["one_token"].keys() >= {"score_over_head", "target"}
    several = score["several_tokens"]
    assert several["bound"] == pytest.approx(1 + several["nodes"] / score["tokens_of_prompt"], abs=0.01)
    assert several["over_bound"] == pytest.approx(several["score_over_head"] / several["bound"], rel=1e-2)


@pytest.mark.slow
def test_training_does_the_same_as_the_bare_loop(tiny):
    result = training.measure(tiny)
    assert result.keys() >= COMPARISON - {"ids_equal"} | {"bare", "steady_ratio", "seconds_of_one_step", "target"}
    assert result["mean_loss"]["ours"] == pytest.approx(result["mean_loss"]["bare"], rel=1e-5)


def test_a_straight_line_is_fitted_exactly():
    fit = growth.fit([1, 10, 100, 1000], [5.0, 23.0, 203.0, 2003.0])
    assert fit["fixed"] == pytest.approx(3)
    assert fit["per_image"] == pytest.approx(2)


def test_sides_take_turns():
    calls = []
    times = in_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3)
    assert calls == ["a", "b", "b", "a", "a", "b"]
    assert len(times["a"].wall) == len(times["b"].cpu) == 3


def test_names_and_settings_are_read():
    assert parse(["growth", "tokens", "images=12"]) == (["tokens", "growth"], Settings(images=12))
    with pytest.raises(UserError, match="did you mean 'prepare'"):
        parse(["prepar"])
    with pytest.raises(UserError, match="out of range"):
        parse(["rounds=0"])


def test_the_command_prints_one_object(tiny):
    values = [f"data={tiny.data}", f"tokenizer={tiny.tokenizer}", "images=12", "rounds=1"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "breakdown", *values],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    result = json.loads(done.stdout)
    assert result.keys() == {"machine", "breakdown"}
    assert result["machine"].keys() >= {"processor", "cores", "python", "versions", "commit"}


def test_missing_data_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="need CIFAR-10"):
        growth.measure(Settings(data=str(tmp_path / "none")))
