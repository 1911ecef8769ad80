"""Adapters belong to the very weights they were trained on, found from anywhere; and weights must fit their model."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from llmimg import Recogniser, UserError
from llmimg.hub import weights_fingerprint
from llmimg.models.language import make_model
from llmimg.models.settings import ModelSettings
from llmimg.readouts.head import Head
from llmimg.saved import load_readout
from llmimg.tokens.vocabulary import make_vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")
FEW = ("augment=none", "trainer.save_strategy=no", "trainer.eval_strategy=no", "trainer.learning_rate=0.02")
LORA = ("model=pretrained", "adaptation=lora", "adaptation.save=adapters")
IMAGE = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4


@pytest.fixture(scope="module")
def pair(run):
    """A run, and another whose adapters belong to it; the path to it given from the working directory."""
    base = run("base", *FEW)
    return base, run("adapters", *FEW, *LORA, f"model.path={os.path.relpath(base)}")


@pytest.fixture
def moved(pair, tmp_path):
    """Copies of both, side by side, which a test may change; the originals are not where they were."""
    for each in pair:
        shutil.copytree(each, tmp_path / each.name)
    described = tmp_path / "adapters" / "model" / "recogniser.json"
    told = json.loads(described.read_text())
    told["origin"]["base"]["path"] = "/nowhere"
    described.write_text(json.dumps(told))
    return tmp_path / "base", tmp_path / "adapters"


def metrics(folder) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def change(file, how) -> None:
    weights = load_file(file)
    how(weights)
    save_file(weights, file, metadata={"format": "pt"})


def test_they_are_found_from_any_folder(pair, tmp_path, monkeypatch):
    before = Recogniser.load(pair[1], device="cpu")(IMAGE)
    monkeypatch.chdir(tmp_path)
    assert Recogniser.load(pair[1], device="cpu")(IMAGE) == before


def test_they_are_found_where_both_were_moved(pair, moved):
    assert Recogniser.load(moved[1], device="cpu")(IMAGE) == Recogniser.load(pair[1], device="cpu")(IMAGE)


def test_asked_again_by_model_path_the_numbers_are_the_same(pair, run):
    again = run("asked-again", *FEW, "model=pretrained", f"model.path={pair[1]}", "trainer.do_train=false")
    first, second = metrics(pair[1]), metrics(again)
    for split in ("test", "val"):
        assert first[f"{split}/accuracy"] == second[f"{split}/accuracy"]
        assert first[f"{split}/loss"] == pytest.approx(second[f"{split}/loss"], abs=1e-5)


def test_training_goes_on_from_them(pair, run):
    """Going nowhere from them gives their answers, and learning more gives others."""
    begin = (*FEW, *LORA, f"model.path={pair[1]}", "seed=3")
    still = run("still", *begin, "trainer.learning_rate=0")
    (before,), (answer,), (moved,) = (
        Recogniser.load(each, device="cpu")(IMAGE) for each in (pair[1], still, run("further", *begin))
    )
    assert answer["probabilities"] == pytest.approx(before["probabilities"], abs=1e-6)
    assert moved["probabilities"] != pytest.approx(before["probabilities"], abs=1e-3)


def test_they_are_found_through_a_link(pair, moved, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "link").symlink_to(moved[1])
    assert Recogniser.load(tmp_path / "deep" / "link", device="cpu")(IMAGE) == Recogniser.load(moved[1], device="cpu")(
        IMAGE
    )


def test_a_base_that_was_trained_since_is_refused(moved):
    def trained(weights):
        weights["transformer.h.0.mlp.c_fc.bias"] += 0.01

    change(moved[0] / "model" / "model.safetensors", trained)
    settings = ModelSettings("adapters", path=str(moved[1]))
    vocabulary = Recogniser.load(moved[0], device="cpu").encoder.vocabulary
    for load in (
        lambda: Recogniser.load(moved[1]),
        lambda: make_model(settings, vocabulary, 66, Head.auto_class, {}),
    ):
        with pytest.raises(UserError, match=r"whose weights are others by now \(trained anew since\?\)"):
            load()


def test_a_base_that_is_gone(moved):
    shutil.rmtree(moved[0])
    with pytest.raises(UserError, match="which is not there: put it back"):
        Recogniser.load(moved[1])


def test_the_hash_of_adapters_follows_their_base_and_not_its_path(moved, pair):
    assert weights_fingerprint(str(moved[1] / "model")) == weights_fingerprint(str(pair[1] / "model"))
    assert weights_fingerprint(str(moved[0] / "model")) != weights_fingerprint(str(pair[1] / "model"))


@pytest.mark.parametrize("load", ["recogniser", "model.path"])
def test_weights_that_are_not_finite_are_refused(moved, load):
    change(moved[0] / "model" / "model.safetensors", lambda weights: weights["score.weight"].fill_(torch.nan))
    with pytest.raises(UserError, match=r"not all finite \(score\.weight\)"):
        opened(moved[0], load)


@pytest.mark.parametrize("load", ["recogniser", "model.path"])
def test_weights_of_another_model_are_refused(moved, load):
    def renamed(weights):
        for name in [name for name in weights if name.startswith("transformer.")]:
            weights[f"encoder.{name}"] = weights.pop(name)

    change(moved[0] / "model" / "model.safetensors", renamed)
    with pytest.raises(UserError, match=r"lacks weights of its model|are of another model than its configuration"):
        opened(moved[0], load)


def test_weights_that_are_missing_or_too_many_are_said(moved):
    def other(weights):
        weights["transformer.h.7.ln_1.weight"] = weights.pop("transformer.h.0.ln_1.weight")

    change(moved[0] / "model" / "model.safetensors", other)
    notes = opened(moved[0], "model.path")
    assert [note for note in notes if "lacks 1 weights of the model" in note and "h.0.ln_1.weight" in note]
    assert [note for note in notes if "no place for (transformer.h.7.ln_1.weight" in note]
    with pytest.raises(UserError, match="lacks weights of its model"):
        Recogniser.load(moved[0])


def opened(folder, how: str) -> list[str]:
    notes: list[str] = []
    if how == "recogniser":
        Recogniser.load(folder)
    else:
        settings = ModelSettings("base", path=str(folder))
        encoder, _ = load_readout(folder)
        vocabulary = make_vocabulary("reuse", encoder.textifier, encoder.vocabulary.tokenizer)
        make_model(settings, vocabulary, 66, Head.auto_class, {}, notes=notes)
    return notes


def test_a_tokenizer_that_is_not_the_models_is_said(pair, run, tmp_path):
    again = ("model=pretrained", f"model.path={pair[0]}", *FEW)
    same = run("same-tokenizer", *again, f"vocabulary.path={pair[0] / 'model'}")
    assert "not the model's own" not in (same / "run.log").read_text()
    tokenizer = json.loads((pair[0] / "model" / "tokenizer.json").read_text())
    known = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = dict(
        zip(known, [*list(known.values())[:-2], *list(known.values())[:-3:-1]], strict=True)
    )
    shutil.copytree(pair[0] / "model", tmp_path / "other")
    (tmp_path / "other" / "tokenizer.json").write_text(json.dumps(tokenizer))
    other = run("other-tokenizer", *again, f"vocabulary.path={tmp_path / 'other'}")
    assert "2 of its" in (other / "run.log").read_text()


def test_the_hash_of_adapters_is_of_the_weights_below_them_too(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"adapters")
    found = set()
    for weights in ("one", "other"):
        (tmp_path / "recogniser.json").write_text(json.dumps({"origin": {"base": {"weights": weights}}}))
        found.add(weights_fingerprint(str(tmp_path)))
    assert len(found) == 2 and None not in found
