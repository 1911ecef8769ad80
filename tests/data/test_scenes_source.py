"""data=scenes as other sources: canonical columns, splits, fingerprints, and a whole run."""

import json

import numpy as np
import pytest

from llmimg.configuration import Configuration
from llmimg.data import DataSettings, SceneSettings, class_pixels, decode, load
from llmimg.data.identity import split_identity
from llmimg.data.scenes.make import make_scenes
from llmimg.data.sources import load_source
from llmimg.errors import UserError

FEW = SceneSettings(train=60, validation=11, test=12)
COLUMNS = {"image", "label", "id", "objects", "mask", "caption", "question", "answer", "question_type", "questions"}

FOILS = {"foils", "foil_kinds"}  # of scenes that nothing learns from


def settings_of(scenes=FEW, **more):
    return DataSettings("scenes", source="scenes", scenes=scenes, **more)


def fingerprints(settings):
    return [split._fingerprint for split in load_source(settings).values()]


@pytest.mark.parametrize(("kind", "channels", "classes"), [("shapes", 3, 4), ("digits", 1, 10)])
def test_rows_hold_what_was_made(kind, channels, classes):
    wanted = SceneSettings(things=kind, train=8, validation=4, test=5, canvas=(33, 40))
    data = load(settings_of(wanted, split_seed=4))
    assert (len(data.train), len(data.validation), len(data.test)) == (8, 4, 5)
    assert len(data.label_names) == classes
    made = make_scenes(wanted, "test", 4, np.arange(5))
    for row, image, mask, things in zip(data.test, made.images, made.masks, made.things, strict=True):
        assert row.keys() == COLUMNS | FOILS
        assert np.array_equal(decode(row["image"]), image) and image.shape == (33, 40, channels)
        assert np.array_equal(decode(row["mask"])[:, :, 0], mask)
        assert row["objects"]["bbox"] == [list(thing.box) for thing in things]
        assert row["objects"]["category"] == [thing.category for thing in things]
        assert ("color" in row["objects"]) == (kind == "shapes")
    assert [row["id"] for row in data.test] == ["0", "1", "2", "3", "4"]
    assert data.train.features["objects"]["category"].feature.names == list(data.label_names)


def test_pixels_of_each_class_are_counted():
    data = load(settings_of(), needs=("mask",))
    every = np.stack([decode(mask) for mask in data.train["mask"]])
    assert class_pixels(data.train, 5) == tuple(np.bincount(every.reshape(-1), minlength=5).tolist())
    assert sum(class_pixels(data.train, 3)) < every.size


def test_columns_survive_the_choice_of_rows():
    data, whole = load(settings_of(train_samples=20)), load(settings_of())
    assert set(data.train.column_names) == COLUMNS
    by_id = {row["id"]: row for row in whole.train}
    assert len(data.train) == 20 and all(by_id[row["id"]] == row for row in data.train)


def test_scenes_without_a_thing_are_unlabelled():
    empty = SceneSettings(train=60, validation=30, test=30, least=0, most=1)
    every = load(settings_of(empty), needs=())
    labels = np.array(every.train["label"])
    assert 0 < (labels == -1).sum() < 60
    data = load(settings_of(empty))
    assert len(data.train) == (labels >= 0).sum()
    assert any("have no label: dropped" in note for note in data.notes)


def test_fingerprints_are_of_what_decides_the_rows():
    known = fingerprints(settings_of())
    assert fingerprints(settings_of()) == known and len(set(known)) == 3
    more = fingerprints(settings_of(SceneSettings(train=61, validation=11, test=12)))
    assert [one == other for one, other in zip(known, more, strict=True)] == [False, True, True]
    for other in (settings_of(split_seed=1), settings_of(SceneSettings(train=60, validation=11, test=12, noise=7.0))):
        assert not set(fingerprints(other)) & set(known)


def test_a_splits_identity_is_of_all_that_is_known():
    data = load(settings_of()).train
    known = split_identity(data, ["pixels"] * len(data)).fingerprint
    assert split_identity(load(settings_of()).train, ["pixels"] * len(data)).fingerprint == known
    for column in COLUMNS - {"image", "id"}:
        assert split_identity(data.remove_columns(column), ["pixels"] * len(data)).fingerprint != known


def test_settings_of_other_sources_are_refused_and_so_are_scenes_elsewhere():
    with pytest.raises(UserError, match=r"data\.path means nothing to data\.source=scenes: set it to null"):
        load_source(settings_of(path="x"))
    with pytest.raises(UserError, match=r"data\.scenes means nothing to data\.source=digits: leave it out"):
        load_source(DataSettings("digits", source="digits", scenes=FEW))


@pytest.mark.parametrize("fresh", [False, True])
def test_a_whole_run_reads_scenes(run, fresh):
    few = ("data.scenes.train=80", "data.scenes.validation=40", "data.scenes.test=40", f"data.fresh={fresh}".lower())
    small = ("data.scenes.canvas=16", "data.scenes.sizes=[6,9]", "textify=gray")
    folder = run(f"scenes{fresh}", "data=scenes", *few, *small)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["data/train_images"] == 64 and metrics["data/tokens_per_image"] == 256
    assert 0 <= metrics["test/accuracy"] <= 1
    assert ("made anew in every epoch" in (folder / "report.html").read_text()) == fresh


def test_fresh_rows_are_those_of_the_epoch():
    data = load(settings_of(fresh=True, train_samples=20))
    assert any("made anew in every epoch" in note for note in data.notes)
    ids = data.train["id"][3:9]
    first, later = (data.fresh(ids, epoch) for epoch in (0, 5))
    stored = data.train.select(range(3, 9))
    assert first["image"] == stored["image"] and first["label"] == stored["label"]
    made = make_scenes(FEW, "train", 0, np.array([int(each) for each in ids]), epoch=5)
    assert [np.array_equal(decode(row), image) for row, image in zip(later["image"], made.images, strict=True)] == [
        1
    ] * 6
    assert later["label"] == [things[0].category for things in made.things]


def test_fresh_is_refused_where_it_means_nothing(composed):
    with pytest.raises(UserError, match=r"data\.fresh means nothing to data\.source=digits: leave it out"):
        load_source(DataSettings("digits", source="digits", fresh=True))
    with pytest.raises(UserError, match=r"data\.fresh=true makes images for language models .* model=vit_tiny is none"):
        Configuration.of(composed("x", "data=scenes", "data.fresh=true", "model=vit_tiny"))


@pytest.mark.parametrize(("needs", "settings"), [("label", {"least": 0}), ("question", {"questions": ["relation"]})])
def test_a_scene_that_lacks_in_an_epoch_what_is_needed_is_as_it_was_loaded(needs, settings):
    """… where rows that lack it as they are loaded were left out."""
    scenes = SceneSettings(train=40, validation=10, test=10, most=2, **settings)
    data = load(settings_of(scenes, fresh=True), (needs,))
    assert 0 < len(data.train) < 40
    first, later = (data.fresh(data.train["id"], epoch) for epoch in (0, 3))
    again = make_scenes(scenes, "train", 0, np.array([int(each) for each in data.train["id"]]), epoch=3)
    lacks = [not things for things in again.things] if needs == "label" else [each < 0 for each in again.chosen]
    assert any(lacks) and not all(lacks)
    for row, lacking in enumerate(lacks):
        assert later[needs][row] not in (None, -1)
        assert (later["image"][row] == first["image"][row]) == lacking
