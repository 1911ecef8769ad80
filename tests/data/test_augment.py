import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.data import AugmentSettings, augment, augment_all, blended, example_seeds, mixing
from llmimg.data.rng import hashed
from llmimg.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (200, 6, 5, 3), dtype=np.uint8)
BOTH = AugmentSettings("both", shift=2, flip=True)


def test_the_hash_is_splitmix64():
    """The first outputs of the reference generator from states 0 and 1234567."""
    assert hashed(np.array([0, 1234567], np.uint64)).tolist() == [0xE220A8397B1DCDAF, 6457827717110365317]


@given(st.integers(-5, 2**40), st.integers(0, 500), st.permutations(range(200)), st.integers(1, 200))
def test_an_example_does_not_depend_on_its_batch(seed, epoch, order, size):
    whole = augment(IMAGES, BOTH, example_seeds(seed, epoch, range(200)))
    chosen = np.array(order[:size])
    part = augment(IMAGES[chosen], BOTH, example_seeds(seed, epoch, chosen))
    assert np.array_equal(part, whole[chosen])


def test_seeds_epochs_and_examples_all_matter():
    seeds = [example_seeds(seed, epoch, range(1000)) for seed in (0, 1, 2) for epoch in (0, 1, 2)]
    assert len(np.unique(np.concatenate(seeds))) == 9000


def test_every_result_is_a_shift_of_the_image_or_its_mirror():
    settings = AugmentSettings("both", shift=1, flip=True)
    counts = {}
    for image, result in zip(IMAGES, augment(IMAGES, settings, example_seeds(0, 0, range(200))), strict=True):
        found = []
        for flip in (False, True):
            padded = np.pad(image[:, ::-1] if flip else image, ((1, 1), (1, 1), (0, 0)), mode="edge")
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    moved = padded[1 - down : 7 - down, 1 - right : 6 - right]
                    if np.array_equal(moved, result):
                        found.append((flip, down, right))
        assert len(found) == 1
        counts[found[0]] = counts.get(found[0], 0) + 1
    assert len(counts) == 18


def test_draws_are_even():
    columns = np.arange(9, dtype=np.uint8).reshape(1, 1, 9, 1).repeat(30_000, axis=0)
    moved = augment(columns, AugmentSettings("shift", shift=2), example_seeds(3, 1, range(30_000)))[:, 0, 4, 0]
    assert np.bincount(moved)[2:7] / 30_000 == pytest.approx([0.2] * 5, abs=0.01)
    flipped = augment(columns, AugmentSettings("flip", flip=True), example_seeds(3, 1, range(30_000)))[:, 0, 0, 0]
    assert (flipped == 8).mean() == pytest.approx(0.5, abs=0.01)


def test_nothing_to_do_costs_nothing():
    assert augment(IMAGES, AugmentSettings(), np.zeros(200)) is IMAGES


def test_seeds_may_come_as_signed_numbers():
    seeds = example_seeds(0, 0, range(200))
    assert np.array_equal(augment(IMAGES, BOTH, seeds.view(np.int64)), augment(IMAGES, BOTH, seeds))


ALL = {
    "flip": {"flip": True},
    "shift": {"shift": 2},
    "rotate": {"rotate": 30},
    "scale": {"scale": 0.3},
    "shear": {"shear": 20},
    "crop": {"crop": 0.3},
    "color": {"color": 0.5},
    "cutout": {"cutout": 0.5},
}


@pytest.mark.parametrize("name", [*ALL, "all"])
@pytest.mark.parametrize("channels", [1, 3])
def test_each_change_changes_each_image_by_itself(name, channels):
    chosen = ALL.get(name) or {key: value for each in ALL.values() for key, value in each.items()}
    settings, images = AugmentSettings(name, **chosen), IMAGES[..., :channels]
    assert settings.active
    whole = augment(images, settings, example_seeds(0, 0, range(200)))
    assert whole.shape == images.shape and whole.dtype == np.uint8
    assert (whole != images).any(axis=(1, 2, 3)).mean() > 0.4
    assert not np.array_equal(whole, augment(images, settings, example_seeds(0, 1, range(200))))
    some = np.array([17, 3, 199])
    assert np.array_equal(augment(images[some], settings, example_seeds(0, 0, some)), whole[some])


@pytest.mark.parametrize("name", ["rotate", "scale", "shear"])
def test_warps_turn_about_the_middle(name):
    images = np.zeros((50, 9, 9, 1), np.uint8)
    images[:, 3:6, 3:6] = 200
    changed = augment(images, AugmentSettings(**ALL[name]), example_seeds(0, 0, range(50)))[..., 0]
    assert (changed[:, 4, 4] >= 195).all()  # bilinear weights are fractions of 32
    weights = changed.astype(float) / changed.sum(axis=(1, 2), keepdims=True)
    assert (weights.sum(axis=1) @ np.arange(9)) == pytest.approx(4, abs=0.05)
    assert (weights.sum(axis=2) @ np.arange(9)) == pytest.approx(4, abs=0.05)


def test_what_a_turn_uncovers_is_filled_as_said():
    images = np.full((50, 8, 8, 3), 90, np.uint8)
    seeds = example_seeds(0, 0, range(50))
    assert (augment(images, AugmentSettings(rotate=45, fill="edge"), seeds) == 90).all()
    black = augment(images, AugmentSettings(rotate=45, fill="black"), seeds)
    assert (black[:, 0, 0] == 0).any() and (black[:, 4, 4] == 90).all()


def test_a_turn_is_by_at_most_that_many_degrees():
    images = np.zeros((300, 41, 41, 1), np.uint8)
    images[:, 20, 36] = 255
    changed = augment(images, AugmentSettings(rotate=30), example_seeds(0, 0, range(300)))[..., 0]
    rows, columns = np.unravel_index(changed.reshape(300, -1).argmax(axis=1), (41, 41))
    angles = np.degrees(np.arctan2(rows - 20, columns - 20))
    assert np.abs(angles).max() < 33 and np.abs(angles).max() > 25 and abs(angles.mean()) < 4


def test_a_crop_enlarges_a_part():
    images = np.arange(0, 240, 4, dtype=np.uint8).reshape(1, 1, 60, 1).repeat(300, axis=0).repeat(60, axis=1)
    cut = augment(images, AugmentSettings(crop=0.25), example_seeds(0, 0, range(300)))[:, 30, :, 0].astype(int)
    wide = (cut[:, -1] - cut[:, 0]) / 236
    assert wide.min() > 0.4 and wide.max() <= 1 and cut[:, 0].min() < 20 and cut[:, -1].max() > 216


def test_colors_change_by_at_most_that_share():
    images = np.full((300, 4, 4, 1), 100, np.uint8)
    changed = augment(images, AugmentSettings(color=0.2), example_seeds(0, 0, range(300)))
    assert changed.min() >= 79 and changed.min() < 85 and changed.max() <= 121 and changed.max() > 115
    gray = IMAGES[..., :1].repeat(3, axis=3)
    changed = augment(gray, AugmentSettings(color=0.5), example_seeds(0, 0, range(200)))
    assert (changed == changed[..., :1]).all()


def test_a_square_is_cut_out():
    images = np.full((300, 8, 12, 3), 7, np.uint8)
    black = (augment(images, AugmentSettings(cutout=0.5), example_seeds(0, 0, range(300))) == 0).all(axis=3)
    sizes = black.sum(axis=(1, 2))
    assert sizes.max() == 16 and sizes.min() == 4
    assert (black.any(axis=2).sum(axis=1) * black.any(axis=1).sum(axis=1) == sizes).all()


def test_images_of_several_sizes_are_changed_each():
    images = [IMAGES[0], IMAGES[1, :3], IMAGES[2, ..., :1], IMAGES[3]]
    seeds = example_seeds(0, 0, range(4))
    for index, changed in enumerate(augment_all(images, BOTH, seeds)):
        assert np.array_equal(changed, augment(images[index][None], BOTH, seeds[index : index + 1])[0])


@given(st.floats(0.05, 4), st.integers(1, 50))
def test_mixing_keeps_the_larger_share(alpha, total):
    partners, shares = mixing(alpha, example_seeds(1, 2, range(100)), total)
    assert ((partners >= 0) & (partners < total)).all()
    assert ((shares >= 0.5) & (shares <= 1)).all()


def test_a_blend_is_the_weighted_mean():
    one, other = IMAGES[:5], IMAGES[5:10]
    mixed = blended(one, other, np.linspace(0.5, 1, 5))
    expected = [a * share + b * (1 - share) for a, b, share in zip(one, other, np.linspace(0.5, 1, 5), strict=True)]
    assert np.abs(np.stack(mixed) - np.stack(expected)).max() <= 0.5001
    assert np.array_equal(mixed[4], one[4])
    with pytest.raises(UserError, match=r"set data\.size="):
        blended([IMAGES[0]], [IMAGES[1, :3]], np.ones(1))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"shift": -1}, r"augment\.shift=-1 is out of range: it takes 0 or more pixels"),
        ({"rotate": 200}, r"augment\.rotate=200\.0 is out of range: it takes 0 to 180 degrees"),
        ({"scale": 1}, r"augment\.scale=1\.0 is out of range"),
        ({"crop": 0}, r"augment\.crop=0\.0 is out of range"),
        ({"color": 2}, r"augment\.color=2\.0 is out of range"),
        ({"cutout": -0.1}, r"augment\.cutout=-0\.1 is out of range"),
        ({"mixup": -1}, r"augment\.mixup=-1\.0 is out of range: it takes 0 or more"),
        ({"fill": "blue"}, r"no augment\.fill 'blue'"),
    ],
)
def test_what_is_out_of_range_is_refused(chosen, message):
    with pytest.raises(UserError, match=message):
        AugmentSettings(**chosen)
