import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Image
from hypothesis import given
from hypothesis import strategies as st

from llmimg.data import DataSettings, SceneSettings, load
from llmimg.data.splits import divide
from llmimg.errors import UserError

ROOT = Path(__file__).parents[2]
DIGITS = DataSettings("digits", source="digits")


@pytest.fixture
def splits_of(hub_folder, make_png):
    """Makes a source from {split: its labels} and loads it."""

    def make(labels: dict, **settings):
        features = {"image": Image(), "label": ClassLabel(names=["a", "b", "c"])}
        rows = {
            split: {"image": [{"bytes": make_png(), "path": None}] * len(part), "label": part}
            for split, part in labels.items()
        }
        return load(DataSettings("made", path=str(hub_folder(features, **rows)), **settings))

    return make


def ids(data):
    return [set(part["id"]) for part in (data.train, data.validation, data.test)]


def test_digits_are_carved_without_overlap_and_say_so():
    data = load(DIGITS)
    train, validation, test = ids(data)
    assert (len(train), len(validation), len(test)) == (1293, 144, 360)
    assert train | validation | test == {str(row) for row in range(1797)}
    assert data.notes[0] == (
        "digits has no test split: 20 % of its images (360 of 1,797), stratified, were set aside (data.split_seed=0)."
    )
    assert "no validation split: 10 % of the training images (144 of 1,437)" in data.notes[1]
    whole = np.bincount(data.train["label"]) + np.bincount(data.validation["label"]) + np.bincount(data.test["label"])
    assert np.abs(np.bincount(data.test["label"]) - whole * 0.2).max() < 1


def test_rows_follow_the_split_seed_alone():
    assert ids(load(DIGITS)) == ids(load(DIGITS))
    other = load(DataSettings("digits", source="digits", split_seed=1))
    assert ids(other) != ids(load(DIGITS))


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev"])
def test_the_sources_own_splits_are_used(splits_of, name):
    data = splits_of({"train": [0, 1, 2] * 4, name: [0, 1], "test": [2]})
    assert (len(data.train), len(data.validation), len(data.test), data.notes) == (12, 2, 1, ())


def test_splits_can_be_named_or_carved(splits_of):
    labels = {"train": [0, 1, 2] * 10, "validation": [0, 1, 2, 0], "test": [-1, -1]}
    data = splits_of(labels, test_split="validation")
    assert len(data.test) == 4 and len(data.validation) == 3 and len(data.train) == 27
    data = splits_of(labels, test_split="carve", validation_split="carve")
    assert (len(data.train), len(data.validation), len(data.test)) == (21, 3, 6)
    assert any(note.startswith("data.test_split=carve: 20 %") for note in data.notes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_split": "trian"}, r"no split 'trian' \(data\.train_split\): did you mean 'train'"),
        ({"test_split": "tests"}, r"data\.test_split\): did you mean 'test'"),
        ({"test_split": "train"}, "each split serves one"),
        ({"train_split": "test", "test_split": "carve"}, "Labels are missing from the test split"),
        ({}, r"Labels are missing from the test split: .*data\.test_split=, or data\.test_split=carve"),
        ({"test_split": "carve", "train_samples": 25}, r"data\.train_samples=25 asks .* train split has: 21"),
        ({"test_split": "carve", "val_samples": 5}, r"data\.val_samples=5 asks .* validation split has: 3"),
    ],
)
def test_what_is_wrong_with_the_splits_is_said(splits_of, settings, message):
    with pytest.raises(UserError, match=message):
        splits_of({"train": [0, 1, 2] * 10, "test": [-1, None]}, **settings)


def test_unlabelled_rows_are_dropped_and_counted(splits_of):
    data = splits_of({"train": [0, -1, 1, None, 2] * 3, "validation": [0], "test": [1]})
    assert data.notes == (
        "In the column 'label' these stand for no label: '-1' (3 images), nothing (3 images).",
        "6 of 15 images of the train split have no label: dropped.",
    )
    assert data.train["id"][:4] == ["0", "2", "4", "5"]


def test_one_image_cannot_be_carved(splits_of):
    with pytest.raises(UserError, match="train split has 1 images: too few"):
        splits_of({"train": [0], "test": [1]})


def test_samples_are_stratified_subsets():
    data = load(DataSettings("digits", source="digits", train_samples=100, val_samples=20, test_samples=360))
    whole = load(DIGITS)
    assert set(data.train["id"]) < set(whole.train["id"]) and set(data.validation["id"]) < set(whole.validation["id"])
    assert set(data.test["id"]) == set(whole.test["id"])
    assert np.bincount(data.train["label"]).tolist() == pytest.approx([10] * 10, abs=1)
    assert "Of 1,293 training images 100 are used, stratified (data.train_samples)." in data.notes


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.data())
def test_divide_parts_exactly(labels, draw):
    labels = np.array(labels)
    count = draw.draw(st.integers(1, len(labels)))
    rest, taken, _ = divide(labels, count, 0)
    assert len(taken) == count
    assert sorted([*rest, *taken]) == list(range(len(labels)))
    assert (np.diff(rest) > 0).all() and (np.diff(taken) > 0).all()
    assert all(np.array_equal(*pair) for pair in zip(divide(labels, count, 0)[:2], (rest, taken), strict=True))


def test_divide_says_where_it_could_not_stratify():
    assert divide(np.array([0] * 10 + [1]), 2, 0)[2] == "stratified but for 1 class of a single image"
    assert "without stratification" in divide(np.arange(10) // 2, 3, 0)[2]
    assert divide(np.array([0, 1] * 10), 4, 0)[2] == "stratified"


PRINT = """
import sys, datasets
from llmimg.data import DataSettings, SceneSettings, load
datasets.config.HF_DATASETS_CACHE = sys.argv[1]
for text in sys.argv[2:]:
    data = load(eval(text))
    print(data.train._fingerprint, data.validation._fingerprint, data.test._fingerprint)
"""


def test_fingerprints_are_the_same_in_every_process_and_differ_between_splits(tmp_path, hub_folder, make_png):
    images = [{"bytes": make_png(value), "path": None} for value in range(20)]
    hub_folder({"image": Image(), "label": ClassLabel(names=["a", "b"])}, train={"image": images, "label": [0, 1] * 10})
    for number in range(20):
        path = tmp_path / "folder" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_png(number))
    header = [0, 0, 8, 3, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 1]
    (tmp_path / "idx").mkdir()
    (tmp_path / "idx/train-images-idx3-ubyte").write_bytes(bytes([*header, *range(20)]))
    (tmp_path / "idx/train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, *header[4:8], *([0, 1] * 10)]))
    wanted = [DIGITS, *(DataSettings("x", source=name, path=str(tmp_path / name)) for name in ("hub", "folder", "idx"))]
    wanted.append(DataSettings("scenes", source="scenes", scenes=SceneSettings(train=20, validation=20, test=20)))
    printed = [
        subprocess.run(
            [sys.executable, "-c", PRINT, str(tmp_path / f"cache{run}"), *map(repr, wanted)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(run), "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for run in range(2)
    ]
    assert printed[0] == printed[1]
    assert len(set(printed[0])) == 3 * len(wanted)
    assert all(len(key) <= 49 for key in printed[0])  # datasets adds a suffix of its own, and refuses more than 64


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.data(), st.sampled_from(["rest", "taken"]))
def test_the_side_to_learn_from_has_every_class_where_it_can(labels, draw, learn):
    labels = np.array(labels)
    count = draw.draw(st.integers(1, len(labels) - 1))
    rest, taken, how = divide(labels, count, 0, learn)
    assert len(taken) == count and sorted([*rest, *taken]) == list(range(len(labels)))
    side = labels[rest if learn == "rest" else taken]
    assert len(np.unique(side)) == min(len(np.unique(labels)), len(side))
    plain_rest, plain_taken, plain_how = divide(labels, count, 0)
    assert how == plain_how
    if len(np.unique(labels[plain_rest if learn == "rest" else plain_taken])) == len(np.unique(labels)):
        assert np.array_equal(rest, plain_rest)  # nothing is changed where nothing is missing


@pytest.mark.parametrize("seed", range(5))
def test_a_class_of_two_images_has_one_to_learn_from(splits_of, seed):
    data = splits_of({"train": [0] * 30 + [1] * 30 + [2] * 2}, split_seed=seed, train_samples=20)
    assert set(data.train["label"]) == {0, 1, 2} and not any("cannot be learned" in note for note in data.notes)


def test_classes_without_a_training_image_are_said_by_name(splits_of):
    data = splits_of({"train": [0, 1] * 5, "validation": [0], "test": [2, 2, 2, 0]})
    assert data.notes == ("1 of 3 classes have no training image and cannot be learned: 'c' (3 test images).",)
    data = splits_of({"train": [0] * 9 + [1], "validation": [1], "test": [0, 2]}, train_samples=1)
    (note,) = [note for note in data.notes if "cannot be learned" in note]
    assert "2 of 3 classes" in note and "'b' (1 validation images)" in note and "'c' (1 test images)" in note
