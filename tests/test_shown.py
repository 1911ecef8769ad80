"""Runs whose rows have not their own images: what can be answered without seeing."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from llmimg import Recogniser, UserError
from llmimg.data import AugmentSettings, Decoding
from llmimg.data.columns import from_pixels
from llmimg.data.rows import Rows
from llmimg.data.shown import images_shown
from llmimg.textify import make
from llmimg.tokens.cache import prepare
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.vocabulary import make_vocabulary
from llmimg.training.examples import Examples, LiveExamples, StoredImages

pytestmark = pytest.mark.usefixtures("one_thread")


@given(st.sets(st.integers(0, 40), min_size=2), st.integers(0, 9))
def test_every_whole_row_gets_the_image_of_another(whole, seed):
    whole = np.array(sorted(whole), np.int64)
    shown = images_shown("shuffled", whole, 41, seed)
    assert (shown[whole] != whole).all() and sorted(shown[whole]) == whole.tolist()
    assert (shown == images_shown("shuffled", whole, 41, seed)).all()
    broken = np.setdiff1d(np.arange(41), whole)
    assert (shown[broken] == broken).all()
    assert (images_shown("own", whole, 41, seed) == np.arange(41)).all()
    assert (images_shown("none", whole, 41, seed) == -1).all()


def test_one_image_cannot_be_exchanged():
    with pytest.raises(UserError, match="needs two images in every split"):
        images_shown("shuffled", np.array([3]), 5, 0)


@pytest.mark.parametrize("live", [False, True])
def test_an_example_has_another_rows_text_and_its_own_answer(tmp_path, live):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 4, 4)).astype(np.uint8)
    data = from_pixels(pixels, np.arange(9) % 3, ["cat", "dog", "tree"])
    textifier = make("gray")
    encoder = Encoder(Decoding(), textifier, make_vocabulary("own", textifier, None))
    ids, known, numbers = (
        prepare(data, encoder, "train", folder=tmp_path, about={}),
        Rows(data, ["label"], Decoding()),
        [0, 4, 8],
    )
    shown = images_shown("shuffled", np.array(numbers), 9, 1)

    def examples(**how):
        if not live:
            return Examples(ids, known, np.array(numbers), **how)
        still = AugmentSettings("none")
        return LiveExamples(StoredImages(data, known), known, np.array(numbers), settings=still, encoder=encoder, **how)

    for index, example in enumerate(examples(shown=shown).__getitems__([0, 1, 2])):
        number = numbers[index]
        assert example.number == number and example.row["label"] == number % 3
        assert example.image.tolist() == ids[shown[number]].tolist() != ids[number].tolist()
    blind = examples(shown=np.full(9, -1), blank=[3]).__getitems__([0, 2])
    assert [each.image.tolist() for each in blind] == [[3], [3]] and [each.row["label"] for each in blind] == [0, 2]


# Whole runs.


def numbers_of(folder) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def notes_of(folder) -> str:
    return "\n".join(json.loads((folder / "record.json").read_text())["notes"])


def table_of(folder) -> dict:
    return pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()


def test_the_recogniser_of_a_shuffled_run_gives_a_rows_answer_to_the_image_it_was_given(run):
    folder = run("shuffled", "data.images=shuffled")
    table = table_of(folder)
    images = load_digits().images[[int(id_) for id_ in table["id"]]]
    given_images = (images / 16 * 255).round().astype(np.uint8)[..., None]
    answers = [list(each["probabilities"].values()) for each in Recogniser.load(folder)(given_images)]
    likeness = np.abs(np.array(answers)[None] - np.array(table["probabilities"])[:, None]).max(axis=2)
    assert not (np.diagonal(likeness) < 1e-5).all()
    assert (likeness.min(axis=1) < 1e-5).all()  # every answer is that to another test image
    assert "Every row, of training too, was given the image of another row of its split (data.images=shuffled)" in (
        notes_of(folder)
    )


def test_a_model_of_pixels_that_sees_other_images_is_at_chance(run):
    many = ("model=knn", "data.train_samples=400", "data.test_samples=200")
    seeing, blind = numbers_of(run("knn", *many)), numbers_of(run("knn blind", *many, "data.images=shuffled"))
    assert seeing["test/accuracy"] > 0.9
    assert blind["test/accuracy"] < 0.2  # of ten classes
    assert blind["data/test_images"] == seeing["data/test_images"]


@pytest.mark.parametrize("readout", ["head", "score"])
def test_without_an_image_all_rows_are_answered_alike(run, readout):
    shots = ("task.shots=1",) if readout == "score" else ()
    folder = run(f"none {readout}", "data.images=none", f"readout={readout}", *shots)
    table = table_of(folder)
    assert np.ptp(np.array(table["probabilities"]), axis=0).max() < 1e-6
    assert set(table["tokens"]) == {0}
    assert numbers_of(folder)["data/psnr_db"] > 20  # of the text as it is
    assert "No row, of training neither, was given an image (data.images=none)" in notes_of(folder)


def test_nothing_is_prepared_again(run, composed):
    cache = Path(composed("own")["tokens"]["cache_dir"])
    run("own")
    before = {path for path in cache.rglob("*") if path.is_file()}
    run("other images", "data.images=shuffled")
    assert {path for path in cache.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("data.images=none", "model=knn"), "'knn' sees nothing but pixels.*take data.images=shuffled"),
        (("data.images=none", "model=vit_tiny"), "sees nothing but pixels"),
        (("data.images=shuffled", "task=clm"), "task=clm the image is the answer: set data.images=own"),
        (("data.images=others",), r"data\.images"),
        (("data.images=shuffled", "data.test_samples=1"), "needs two images in every split"),
    ],
)
def test_what_leaves_nothing_is_refused(run, overrides, message):
    with pytest.raises(UserError, match=message):
        run("refused", *overrides)
