"""Runs that write images: from classes to bits, files and images from a recogniser."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from llmimg import Recogniser
from llmimg.cli import main
from llmimg.errors import UserError
from llmimg.tokens.sample import Example

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = (
    "task=imagine",
    "data.train_samples=64",
    "data.val_samples=16",
    "data.test_samples=24",
    "model.width=16",
    "trainer.max_steps=2",
    "trainer.eval_strategy=no",
    "trainer.save_strategy=no",
)
REFUSED = ("task=imagine", "data.train_samples=64", "data.val_samples=16", "data.test_samples=24")


def metrics_of(folder) -> dict:
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def finished(run):
    return run("imagine", *TINY, "textify.levels=5")


def test_bits_are_those_of_the_true_images(finished):
    metrics = metrics_of(finished)
    table = pq.read_table(finished / "predictions.parquet").to_pydict()
    bits = -np.array(table["log_likelihood"]) / np.log(2)
    assert metrics["test/bits_per_image"] == pytest.approx(bits.mean())
    assert metrics["test/bits_per_dim"] == pytest.approx(bits.mean() / 64)
    assert metrics["test/bits_per_dim_low"] <= metrics["test/bits_per_dim"] <= metrics["test/bits_per_dim_high"]
    # Each image has 64 tokens and an end.
    assert metrics["test/loss"] == pytest.approx(metrics["test/bits_per_image"] * np.log(2) / 65)
    assert 0 < metrics["test/bits_per_dim"] < np.log2(100)
    assert metrics["test/unread_answers"] == 0 and "data/lost_bits_per_dim" not in metrics


def test_an_image_is_drawn_for_every_row(finished):
    files = sorted((Path(finished) / "predictions").iterdir())
    assert len(files) == 24
    images = np.stack([np.asarray(Image.open(file)) for file in files])
    assert images.shape == (24, 8, 8) and images.dtype == np.uint8
    assert len(np.unique(images)) <= 5 and len({image.tobytes() for image in images}) > 20


def test_a_class_is_a_token(finished):
    """… that no pixel is written with, and nothing reads open text."""
    recogniser = Recogniser.load(finished)
    asked = [recogniser.readout.prompt(Example(np.empty(0), row), None) for row in recogniser.readout.task.askings]
    tokens = [[int(token) for span in spans for token in span.ids] for spans in asked]
    front, *rest = zip(*tokens, strict=True)  # all are as long
    assert set(front) == {recogniser.encoder.vocabulary.tokenizer.bos_token_id}
    (names,) = rest
    assert len(set(names)) == 10 and not set(names) & set(recogniser.readout.automaton.alphabet)
    assert not (finished / "model" / "open_tokenizer.json").exists()


def test_what_was_drawn_is_recognised_and_held_against_training_images(finished):
    metrics, page = metrics_of(finished), (finished / "report.html").read_text()
    assert 0 <= metrics["test/recognised"] <= 1 and metrics["test/recognised_true"] > 0.5
    assert metrics["test/images_drawn"] == 24 and metrics["test/nearest_distance"] > 0
    for title in ("Images that the model wrote", "beside lossless codecs", "Halves of images, completed"):
        assert title in page


def test_codecs_are_measured_on_the_test_images(finished):
    metrics = metrics_of(finished)
    for name in ("png", "webp", "xz"):
        alone, together = (metrics[f"data/{name}{where}_bits_per_dim"] for where in ("", "_in_one_file"))
        assert 1 < together < alone < 30


def test_images_are_drawn_by_the_saved_model(finished, tmp_path, capsys):
    recogniser = Recogniser.load(finished)
    seven, three = recogniser(label=["7", "3"])
    assert seven.shape == three.shape == (8, 8, 1) and seven.dtype == np.uint8
    main(["predict", str(finished), "label=7,3", "samples=3", f"out={tmp_path}"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["label"] for line in lines] == ["7"] * 3 + ["3"] * 3
    assert sorted(str(path) for path in tmp_path.iterdir()) == sorted(line["image"] for line in lines)
    np.testing.assert_array_equal(np.asarray(Image.open(lines[0]["image"])), seven[..., 0])


def test_an_image_is_completed(finished, tmp_path, capsys):
    """… and what is given of it stays."""
    one, other = sorted((Path(finished) / "predictions").iterdir())[:2]
    main(["predict", str(finished), str(one), str(other), "label=7", "keep=0.7", "samples=2", f"out={tmp_path}"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    made = [np.asarray(Image.open(line["image"])) for line in lines]
    assert sorted(map(str, tmp_path.iterdir())) == sorted(line["image"] for line in lines) and len(made) == 4
    for source, image in zip((one, one, other, other), made, strict=True):
        original = np.asarray(Image.open(source))
        assert image.shape == (8, 8) and (image[:5] == original[:5]).all() and (image[5:] != original[5:]).any()
    assert (made[0] != made[1]).any()
    (again, *_), _ = Recogniser.load(finished).written([str(one)] * 2, 0.7, label="7")
    np.testing.assert_array_equal(again.image[..., 0], made[0])


@pytest.fixture(scope="module")
def told(run, finished):
    """The same model as a classifier."""
    again = ("model=pretrained", f"model.path={finished}", "trainer.do_train=false")
    return run("told", *TINY, "textify.levels=5", "readout=score", *again)


def test_the_model_tells_classes(finished, told):
    drawn, metrics = metrics_of(finished), metrics_of(told)
    assert metrics["test/bits_per_dim"] == pytest.approx(drawn["test/bits_per_dim"])
    assert not {"test/recognised", "test/unread_answers"} & metrics.keys()
    table = pq.read_table(told / "predictions.parquet").to_pydict()
    right = [one == other for one, other in zip(table["truth"], table["prediction"], strict=True)]
    assert metrics["test/accuracy"] == pytest.approx(np.mean(right))
    own = [each[int(name)] for each, name in zip(table["probabilities"], table["truth"], strict=True)]
    assert metrics["test/loss"] == pytest.approx(-np.log(own).mean()) and 0 <= metrics["test/ece"] <= 1
    before = pq.read_table(finished / "predictions.parquet").to_pydict()["log_likelihood"]
    np.testing.assert_allclose(table["log_likelihood"], before, rtol=1e-5)
    assert "What it takes for what" in (told / "report.html").read_text()


def test_the_saved_model_tells_classes(told, finished, capsys):
    image = str(next(iter((Path(finished) / "predictions").iterdir())))
    (said,) = Recogniser.load(told)([image])
    assert said["probabilities"][said["label"]] == said["probability"] == max(said["probabilities"].values())
    assert sum(said["probabilities"].values()) == pytest.approx(1)
    main(["predict", str(told), image])
    assert json.loads(capsys.readouterr().out)["label"] == said["label"]
    with pytest.raises(UserError, match=r"not asked by a label"):
        Recogniser.load(told)([image], label="7")


def test_a_model_that_tells_classes_draws_none(told, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["predict", str(told), "label=7", f"out={tmp_path / 'out'}"])
    assert "writes no images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["label=77", "out={out}"], "knows no class '77'"),
        (["label=7", "samples=0", "out={out}"], "samples=0 is out of range"),
        (["label=7"], "give out=FOLDER"),
        (["out={out}"], "give label="),
        (["label=7", "keep=0.5", "out={out}"], "give images too"),
        (["{image}", "label=7", "out={out}"], "give keep=0.5"),
        (["{image}", "label=7", "keep=1", "out={out}"], "keep=1.0 is out of range"),
        (["{image}", "label=7", "keep=0.1", "out={out}"], "keep more"),
        (["{image}", "label=7", "keep=0.5"], "give out=FOLDER"),
    ],
)
def test_what_cannot_be_drawn_is_said(finished, tmp_path, capsys, words, said):
    with pytest.raises(SystemExit):
        image = next(iter((Path(finished) / "predictions").iterdir()))
        main(["predict", str(finished), *(word.format(out=tmp_path / "out", image=image) for word in words)])
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["textify=sift"], "needs a text of which each is a whole image"),
        (["data.size=null"], "set data.size"),
        (["task.image_loss=0.3"], "set task.image_loss=0.0"),
        (["task.samples=2"], "set task.samples=1"),
        (["task.chat=true"], "set task.chat=false"),
        (["tokens.permute=each"], "set tokens.permute=none"),
        (["tokens.overflow=truncate"], "set tokens.overflow=error"),
        (["data.images=shuffled"], "set data.images=own"),
        (["model=constant", "trainer.max_steps=1"], "take a language model"),
        (["task.prompts=an image:"], "has not {label}"),
    ],
)
def test_what_cannot_be_imagined_is_refused(refused, changes, said):
    assert said in refused(*REFUSED, *changes)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("runs", ["textify.longest_run=4", "textify.row_marks=true", "textify.levels=5"]),
        (
            "learned",
            ["textify=rgb", "textify.levels=4", "textify.order=hilbert", "vocabulary=learn", "vocabulary.size=40"],
        ),
        ("shots", ["textify=patch_words", "textify.patch=4", "textify.codes=8", "task.shots=1"]),
    ],
)
def test_images_are_whole_in_every_text(run, name, changes):
    folder = run(name, *TINY, *changes)
    assert metrics_of(folder)["test/unread_answers"] == 0
    files = list((Path(folder) / "predictions").iterdir())
    assert len(files) == 24 and all(Image.open(file).size == (8, 8) for file in files)
    page = (folder / "report.html").read_text()
    assert ("Halves of images, completed" in page) == (name != "learned")
    assert ("only where its text goes from top to bottom" in page) == (name == "learned")
