"""What is learned from training images: once, from them alone, and with the recogniser."""

from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet
import pytest
from hydra import compose, initialize_config_dir

from llmimg import Recogniser, UserError
from llmimg.carry_out import carry_out
from llmimg.command_line import command_line
from llmimg.compose import resolve
from llmimg.data import DataSettings, Decoding, load
from llmimg.textify import make
from llmimg.textify.patch import PatchWords
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.folders import cache_entries
from llmimg.tokens.keys import cache_key
from llmimg.tokens.learned import TrainingImages, learned_textifier, with_saved_state
from llmimg.tokens.vocabulary import make_vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")
CONF = str(Path(__file__).parents[2] / "conf")
PATCHES = {"patch": 2, "words": 1, "codes": 16, "fit_images": 50}


@pytest.fixture(scope="module")
def digits():
    return load(DataSettings(name="digits", source="digits", train_samples=200, test_samples=60))


def test_it_is_learned_once_and_from_the_training_split(digits, tmp_path, monkeypatch):
    kept = {"folder": tmp_path, "about": {"data": "digits", "textify": "patch_words"}}
    textifier = make("patch_words", **PATCHES)
    first = learned_textifier(textifier, digits.train, Decoding(), **kept)
    images = TrainingImages(digits.train, Decoding(), False)
    assert (first.state["codes"] == textifier.learn(images)["codes"]).all()
    monkeypatch.setattr(PatchWords, "learn", lambda *_: pytest.fail("learned again"))
    again = learned_textifier(textifier, digits.train, Decoding(), **kept)
    assert (first.state["codes"] == again.state["codes"]).all()
    assert [entry.about["rows"] for entry in cache_entries(tmp_path)] == [len(digits.train)]
    monkeypatch.undo()
    for other in (make("patch_words", **{**PATCHES, "fit_seed": 1}), make("patch_words", **{**PATCHES, "codes": 17})):
        learned_textifier(other, digits.train, Decoding(), **kept)
    assert len(cache_entries(tmp_path)) == 3


def test_a_cache_key_goes_by_what_was_learned(digits):
    textifier = make("patch_words", **PATCHES)
    states = [textifier.learn([np.roll(image, by, axis=0) for image in _images(digits)]) for by in (0, 1)]
    keys = set()
    for state in states:
        knowing = textifier.with_state(state)
        keys.add(cache_key(digits.train, Encoder(Decoding(), knowing, make_vocabulary("own", knowing, None)), "train"))
    assert len(keys) == 2


def _images(digits) -> list[np.ndarray]:
    return list(TrainingImages(digits.train, Decoding(), False))


def test_broken_training_images(tmp_path):
    whole = load(DataSettings(name="digits", source="digits", train_samples=20)).train
    rows = whole.to_list()
    rows[0]["image"] = {"bytes": b"no image", "path": None}
    broken = datasets.Dataset.from_list(rows, features=whole.features)
    with pytest.raises(UserError, match=r"data\.broken=skip"):
        TrainingImages(broken, Decoding(), False)[0]
    skipping = TrainingImages(broken, Decoding(), True)
    assert (skipping[0] == skipping[1]).all()


@pytest.mark.parametrize(
    "chosen",
    [
        ("textify=patch_words", "textify.patch=2", "textify.codes=32"),
        ("textify=gray", "textify.levels=4", "vocabulary=learn", "vocabulary.size=60"),
        ("textify=palette", "textify.colors=fitted", "textify.count=4", "vocabulary=learn", "vocabulary.size=40"),
        ("textify=sift", "textify.codes=8", "textify.points=3"),
        ("textify=concat", "textify.parts=[{name: patch_words, codes: 8}, {name: region_color, grid: 2}]"),
    ],
)
def test_a_recogniser_has_all_it_takes(chosen, tmp_path):
    few = ("data.train_samples=100", "data.test_samples=20", "trainer.max_steps=2", "trainer.save_strategy=no")
    ours = (f"run_dir={tmp_path / 'run'}", f"tokens.cache_dir={tmp_path / 'cache'}")
    with initialize_config_dir(CONF, version_base="1.3"):
        metrics = carry_out(resolve(compose("config", command_line([*few, *ours, *chosen]))))
    assert 0 < metrics["data/bits_per_token"] <= metrics["data/bits_per_image"]
    (tmp_path / "run" / "model").rename(tmp_path / "moved")
    images = load(DataSettings(name="digits", source="digits", train_samples=100, test_samples=20)).test["image"]
    answers = Recogniser.load(tmp_path / "moved")(list(images))
    table = pyarrow.parquet.read_table(tmp_path / "run" / "predictions.parquet")
    ours = [list(answer["probabilities"].values()) for answer in answers]
    np.testing.assert_allclose(ours, table["probabilities"].to_pylist(), atol=1e-5)


def test_a_recogniser_without_what_its_textifier_learned(tmp_path):
    with pytest.raises(UserError, match=r"lacks textifier\.safetensors"):
        with_saved_state(make("patch_words"), tmp_path)
