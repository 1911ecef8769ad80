"""Made-up scenes: what is said of a picture is true of its pixels."""

import dataclasses
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from llmimg.data.scenes.make import SPLITS, make_scenes, scene_words
from llmimg.data.scenes.settings import SceneSettings
from llmimg.data.scenes.things import COLORS, make_things
from llmimg.errors import UserError

NUMBERS = np.arange(40)


@st.composite
def scene_settings(draw, **fixed):
    kind = fixed.get("things") or draw(st.sampled_from(["shapes", "digits"]))
    sizes = draw(st.sets(st.integers(8, 15), min_size=1, max_size=3))
    least = draw(st.integers(0, 2))
    given = {
        "things": kind,
        "sizes": tuple(sorted(sizes)),
        "canvas": draw(st.tuples(st.integers(30, 48), st.integers(30, 48))),
        "least": least,
        "most": max(1, least + draw(st.integers(0, 4))),
        "overlap": draw(st.sampled_from([0.0, 0.2, 0.6])),
        "clutter": draw(st.sampled_from([0, 3])),
        "noise": draw(st.sampled_from([0.0, 9.0])),
    }
    return SceneSettings(**{**given, **fixed})


def rows(scenes):
    """Everything that is known of each scene."""
    parts = (scenes.things, scenes.captions, scenes.questions, scenes.chosen.tolist())
    return [
        (image.tobytes(), mask.tobytes(), *each)
        for image, mask, *each in zip(scenes.images, scenes.masks, *parts, strict=True)
    ]


@settings(max_examples=15)
@given(scene_settings(), st.sampled_from(SPLITS), st.permutations(range(12)))
def test_a_scene_is_a_function_of_its_numbers_alone(wanted, split, order):
    together = rows(make_scenes(wanted, split, 3, np.arange(12)))
    assert rows(make_scenes(wanted, split, 3, np.array(order))) == [together[number] for number in order]
    assert rows(make_scenes(wanted, split, 3, np.array(order[:1])))[0] == together[order[0]]


def test_seed_split_and_epoch_give_other_scenes():
    made = [make_scenes(SceneSettings(), *key[:2], NUMBERS, key[2]) for key in
            (("train", 0, 0), ("train", 1, 0), ("train", 0, 1), ("test", 0, 0), ("validation", 0, 0))]  # fmt: skip
    for one, other in combinations(made, 2):
        assert not set(map(repr, one.things)) >= set(map(repr, other.things))
        assert not {row[0] for row in rows(one)} & {row[0] for row in rows(other)}


@settings(max_examples=25)
@given(scene_settings(noise=0.0, clutter=0))
def test_boxes_and_masks_are_those_of_the_painted_pixels(wanted):
    scenes = make_scenes(wanted, "train", 0, NUMBERS)
    for image, mask, things in zip(scenes.images, scenes.masks, scenes.things, strict=True):
        # The ground is one gray, and nothing that is painted has it.
        ground = image[mask == 0]
        assert ground.min() == ground.max()
        assert ((image != ground[0]).any(axis=2) == (mask > 0)).all()
        inside = np.zeros(mask.shape, bool)
        for thing in things:
            x, y, width, height = thing.box
            assert width > 0 and height > 0 and x >= 0 and y >= 0
            assert x + width <= mask.shape[1] and y + height <= mask.shape[0]
            own = mask[y : y + height, x : x + width] == thing.category + 1
            assert own.any(axis=0)[[0, -1]].all() and own.any(axis=1)[[0, -1]].all()  # to all four edges
            inside[y : y + height, x : x + width] = True
        assert not mask[~inside].any()
        for thing in things if not wanted.overlap else ():  # then boxes lie apart, and each holds one thing
            x, y, width, height = thing.box
            assert set(np.unique(mask[y : y + height, x : x + width])) <= {0, thing.category + 1}


@settings(max_examples=15)
@given(scene_settings(noise=9.0, clutter=3))
def test_noise_and_clutter_change_pixels_alone(wanted):
    still = dataclasses.replace(wanted, noise=0.0, clutter=0)
    noisy, clean = (make_scenes(each, "test", 1, np.arange(8)) for each in (wanted, still))
    assert [row[1:] for row in rows(noisy)] == [row[1:] for row in rows(clean)]
    difference = abs(noisy.images.astype(float) - clean.images)
    assert difference.any()
    if wanted.things == "shapes":  # squares cover all their pixels: no clutter lies over them
        assert difference[noisy.masks == 2].max(initial=0) <= 3 * wanted.noise


@settings(max_examples=15)
@given(scene_settings(noise=0.0, clutter=0, things="shapes", most=6), st.sampled_from([0.0, 0.3, 0.6]))
def test_no_more_of_a_thing_is_hidden_than_was_said(wanted, overlap):
    wanted = dataclasses.replace(wanted, overlap=overlap)
    scenes = make_scenes(wanted, "train", 2, NUMBERS)
    whole = make_things(wanted.things, wanted.sizes).areas.reshape(-1, len(wanted.sizes))
    hidden = []
    for mask, things in zip(scenes.masks, scenes.things, strict=True):
        for thing in things:
            if sum(other.category == thing.category for other in things) == 1:
                seen = (mask == thing.category + 1).sum()
                hidden.append(1 - seen / whole[thing.category, thing.size])
    assert max(hidden, default=0) <= overlap + 1e-9
    assert min(hidden, default=0) >= 0


def test_overlap_happens_where_it_is_allowed():
    def touching(overlap):
        scenes = make_scenes(SceneSettings(overlap=overlap, least=4), "train", 0, NUMBERS)
        return sum(
            one[0] <= other[0] + other[2] and other[0] <= one[0] + one[2]
            and one[1] <= other[1] + other[3] and other[1] <= one[1] + one[3]
            for things in scenes.things for one, other in combinations([thing.box for thing in things], 2)
        )  # fmt: skip

    assert touching(0.0) == 0 < touching(0.4)


def test_as_many_things_as_are_asked_for():
    counts = [len(things) for things in make_scenes(SceneSettings(least=2, most=3), "test", 0, NUMBERS).things]
    assert set(counts) == {2, 3}
    empty = make_scenes(SceneSettings(least=0, most=1), "test", 0, NUMBERS)
    assert {len(things) for things in empty.things} == {0, 1}
    nothing = [index for index, things in enumerate(empty.things) if not things]
    assert not empty.masks[nothing].any()
    assert {empty.captions[index] for index in nothing} == {"Nothing."}
    assert all(("count", "How many shapes are there?", "0") in empty.questions[index] for index in nothing)


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match=r"Scenes of 9 things or more, 15 pixels a side, do not fit on 32 by 40 \(data"):
        make_scenes(SceneSettings(least=9, most=9, sizes=(15,), canvas=(32, 40)), "train", 0, NUMBERS)


@pytest.mark.parametrize("kind", ["shapes", "digits"])
def test_splits_never_share_a_layout(kind):
    """Though there are so few that each split alone has some of them twice."""
    few = SceneSettings(things=kind, canvas=(8, 10), sizes=(8,), most=1, noise=0.0)
    numbers = np.arange(1500)
    found = {split: make_scenes(few, split, 0, numbers) for split in SPLITS}
    layouts = {
        split: {(mask.tobytes(), repr(things)) if kind == "shapes" else image.tobytes()
                for image, mask, things in zip(made.images, made.masks, made.things, strict=True)}
        for split, made in found.items()
    }  # fmt: skip
    assert all(1 < len(each) < 1500 for each in layouts.values())
    for one, other in combinations(SPLITS, 2):
        assert not layouts[one] & layouts[other]


def test_digits_of_each_split_are_images_of_their_own():
    """Scenes of single digits as large as scikit-learn's: each is found again among its images."""
    digits, originals = load_digits(), {}
    for number, image in enumerate(digits.images):
        pixels = np.round(image * 255 / 16)
        pixels[pixels < 64] = 0
        lines, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
        tight = pixels[lines[0] : lines[-1] + 1, columns[0] : columns[-1] + 1]
        originals.setdefault((tight.shape, (tight > 0).tobytes()), set()).add(number)
    used = {}
    for split in SPLITS:
        scenes = make_scenes(SceneSettings(things="digits", sizes=(8,), most=1, noise=0.0), split, 0, np.arange(600))
        used[split] = set()
        for mask, (thing,) in zip(scenes.masks, scenes.things, strict=True):
            x, y, width, height = thing.box
            numbers = originals[(height, width), (mask[y : y + height, x : x + width] > 0).tobytes()]
            assert thing.category in digits.target[list(numbers)]
            used[split] |= numbers if len(numbers) == 1 else set()
    assert max(used["train"]) < min(used["validation"]) <= max(used["validation"]) < min(used["test"])
    assert all(len(each) > 80 for each in used.values())


def test_every_shape_color_and_size_can_be_told_from_its_pixels():
    wanted = SceneSettings(noise=0.0, most=1)
    scenes = make_scenes(wanted, "train", 0, np.arange(400))
    words, seen = scene_words(wanted), set()
    for index, (image, (thing,)) in enumerate(zip(scenes.images, scenes.things, strict=True)):
        x, y, width, height = thing.box
        crop = image[y : y + height, x : x + width]
        assert (width, height) == (wanted.sizes[thing.size],) * 2
        painted = scenes.masks[index, y : y + height, x : x + width] > 0
        share, corners = painted.mean(), painted[[0, 0, -1, -1], [0, -1, 0, -1]]
        found = {
            "square": share == 1,
            "cross": share < 0.7 and not corners.any(),
            "circle": 0.7 < share < 0.95 and not corners.any(),
            "triangle": 0.4 < share < 0.65 and painted[-1].all() and painted[0].mean() < 0.4,
        }
        name = words.names[thing.category]
        assert [each for each, holds in found.items() if holds] == [name]
        assert (crop == COLORS[words.colors[thing.color]]).all(axis=2).sum() > 0.5 * painted.sum()
        seen.add((name, thing.color, thing.size))
    assert len(seen) > 90  # of 4 · 8 · 3


def test_the_pages_picture_is_what_its_code_draws(tmp_path, monkeypatch):
    from PIL import Image

    docs = Path(__file__).parents[2] / "docs"
    (code,) = re.findall(r"```python\n(import numpy.*?)```", (docs / "data.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert np.array_equal(Image.open(tmp_path / "scenes.png"), Image.open(docs / "scenes.png"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"things": "digit"}, r"There is no data\.scenes\.things 'digit': did you mean 'digits'"),
        ({"train": 0}, r"data\.scenes\.train=0 is out of range"),
        ({"most": 0}, r"data\.scenes\.most=0 is out of range"),
        ({"least": 5}, r"data\.scenes\.least=5 is out of range: it takes 0 to 4"),
        ({"canvas": 12}, r"data\.scenes\.canvas=12 is out of range: it takes 13 to 1024 \(as large as"),
        ({"canvas": (32, 12), "things": "digits"}, r"data\.scenes\.canvas=12 is out of range: it takes 16"),
        ({"sizes": (12, 8)}, r"data\.scenes\.sizes is \[12, 8\]: it takes one to three"),
        ({"sizes": ()}, r"data\.scenes\.sizes is \[\]"),
        ({"sizes": (8, 9, 10, 11)}, r"one to three sizes"),
        (
            {"sizes": (7, 9), "things": "digits"},
            r"data\.scenes\.sizes=7 is out of range: it takes 8 to 1024 \(to be told apart as digits\)",
        ),
        ({"overlap": 1.0}, r"data\.scenes\.overlap=1\.0 is out of range"),
        ({"clutter": -1}, r"data\.scenes\.clutter=-1 is out of range"),
        ({"noise": -0.5}, r"data\.scenes\.noise=-0\.5 is out of range"),
        ({"questions": ("colour",)}, r"data\.scenes\.questions 'colour': did you mean 'color'"),
        ({"questions": ("count", "count")}, r"data\.scenes\.questions must be"),
        ({"questions": ()}, r"data\.scenes\.questions must be"),
        ({"questions": ("color",), "things": "digits"}, "'color' cannot be asked, as the digits have no colour"),
        ({"questions": ("size",), "sizes": (9,)}, "'size' cannot be asked, as the shapes have one size"),
    ],
)
def test_a_wrong_setting_is_named(wrong, message):
    with pytest.raises(UserError, match=message):
        SceneSettings(**wrong)
