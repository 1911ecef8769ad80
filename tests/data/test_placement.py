import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.data import placement_of
from llmimg.data.placement import FITS

side = st.integers(1, 40)


@given(side, side, side, side, st.sampled_from(FITS), st.sampled_from([1, 3]))
def test_any_size_to_any_size(height, width, new_height, new_width, fit, channels):
    placement = placement_of((height, width), (new_height, new_width), fit)
    image = np.full((height, width, channels), 9, np.uint8)
    moved = placement.image(image, fill=200)
    assert moved.shape == (new_height, new_width, channels) and moved.dtype == np.uint8
    assert set(np.unique(moved)) <= ({9, 200} if fit in ("pad", "middle") else {9})
    assert np.array_equal(placement.mask(image[..., 0], 200), moved[..., 0])
    whole = placement.boxes(np.array([[0, 0, width, height]]))[0]
    top, left, bottom, right = placement.target
    assert np.allclose(whole, [left, top, right, bottom])


@given(st.data(), side, side, side, side, st.sampled_from(FITS))
def test_there_and_back(data, height, width, new_height, new_width, fit):
    placement = placement_of((height, width), (new_height, new_width), fit)
    back = placement.inverse((height, width))
    top, left, bottom, right = placement.source
    x0, x1 = sorted(data.draw(st.lists(st.floats(left, right), min_size=2, max_size=2)))
    y0, y1 = sorted(data.draw(st.lists(st.floats(top, bottom), min_size=2, max_size=2)))
    boxes = np.array([[x0, y0, x1, y1], [0, 0, width, height]])
    assert np.allclose(back.boxes(placement.boxes(boxes)), [boxes[0], [left, top, right, bottom]])


@given(side, side, side, side, st.sampled_from(FITS))
def test_a_mask_comes_back(height, width, new_height, new_width, fit):
    """Exactly where no pixel is lost on the way; what was not seen is of no class."""
    placement = placement_of((height, width), (new_height, new_width), fit)
    mask = np.random.default_rng(0).integers(0, 9, (height, width), dtype=np.uint8)
    back = placement.inverse((height, width)).mask(placement.mask(mask, 255), 255)
    top, left, bottom, right = placement.source
    seen = np.zeros((height, width), bool)
    seen[top:bottom, left:right] = True
    assert back.shape == mask.shape and (back[~seen] == 255).all() and (back[seen] < 9).all()
    y, x, below, behind = placement.target
    if below - y >= bottom - top and behind - x >= right - left:
        assert np.array_equal(back[seen], mask[seen])


@given(side, side, st.sampled_from(FITS))
def test_the_same_size_changes_nothing(height, width, fit):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    placement = placement_of((height, width), (height, width), fit)
    assert np.array_equal(placement.image(image), image)
    assert np.array_equal(placement.mask(image[..., 0], 0), image[..., 0])
    boxes = np.array([[0.0, 0.0, width / 2, height]])
    assert np.allclose(placement.boxes(boxes), boxes)


def test_crop_takes_the_middle():
    image = np.arange(6, dtype=np.uint8)[None, :, None].repeat(2, axis=0)
    assert placement_of((2, 6), (2, 2), "crop").image(image)[0, :, 0].tolist() == [2, 3]
    assert placement_of((2, 6), (2, 2), "crop").boxes(np.array([[1, 0, 3, 1], [0, 0, 1, 1]])).tolist() == [
        [0, 0, 1, 1],
        [0] * 2 + [0, 1],
    ]


@given(side, side, side, side)
def test_the_middle_is_as_it_was(height, width, new_height, new_width):
    image = np.random.default_rng(0).integers(0, 200, (height, width, 1), dtype=np.uint8)
    placement = placement_of((height, width), (new_height, new_width), "middle")
    moved = placement.image(image, fill=255)
    (top, left, bottom, right), (y, x, below, behind) = placement.source, placement.target
    assert np.array_equal(moved[y:below, x:behind], image[top:bottom, left:right])
    assert (below - y, behind - x) == (min(height, new_height), min(width, new_width))
    assert abs(top - (height - bottom)) <= 1 and abs(y - (new_height - below)) <= 1
    assert (moved == 255).sum() == new_height * new_width - (below - y) * (behind - x)


def test_pad_keeps_everything_on_white():
    image = np.zeros((2, 4, 1), np.uint8)
    assert placement_of((2, 4), (4, 4), "pad").image(image)[..., 0].tolist() == [[255] * 4, [0] * 4, [0] * 4, [255] * 4]
    assert placement_of((2, 4), (4, 4), "pad").boxes(np.array([[1, 0, 2, 1]])).tolist() == [[1, 1, 2, 2]]


def test_shrinking_averages_and_masks_do_not_mix():
    image = np.array([[0, 100, 10, 20]], np.uint8)[..., None]
    assert placement_of((1, 4), (1, 2), "stretch").image(image).ravel().tolist() == [50, 15]
    assert placement_of((1, 4), (1, 2), "stretch").mask(np.array([[1, 1, 7, 7]]), 0).tolist() == [[1, 7]]


@pytest.mark.parametrize("fit", FITS)
def test_a_sliver_takes_little_memory(fit):
    assert placement_of((1, 100_000), (224, 224), fit).image(np.zeros((1, 100_000, 3), np.uint8)).shape == (224, 224, 3)
