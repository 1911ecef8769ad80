import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.data import AugmentSettings, augment, example_seeds
from llmimg.data.draws import _mix
from llmimg.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (200, 6, 5, 3), dtype=np.uint8)
BOTH = AugmentSettings("both", shift=2, flip=True)


def test_the_hash_is_splitmix64():
    """The first outputs of the reference generator from states 0 and 1234567."""
    assert _mix(np.array([0, 1234567], np.uint64)).tolist() == [0xE220A8397B1DCDAF, 6457827717110365317]


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


def test_a_negative_shift_is_refused():
    with pytest.raises(UserError, match=r"augment\.shift is -1"):
        AugmentSettings(shift=-1)
