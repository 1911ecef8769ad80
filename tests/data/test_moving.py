"""Boxes and masks are where the image shows them, whatever was done to it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.data import AugmentSettings, Decoding, augment_all, augment_annotations, example_seeds, fitted
from llmimg.data.placement import FITS

ANY = {
    "flip": st.booleans(),
    "shift": st.integers(0, 6),
    "rotate": st.sampled_from([0, 10, 180]),
    "scale": st.sampled_from([0, 0.4]),
    "shear": st.sampled_from([0, 25]),
    "crop": st.sampled_from([1, 0.3]),
}
ONE_BY_ONE = [{"flip": True}, {"shift": 5}, {"rotate": 180}, {"scale": 0.5}, {"shear": 40}, {"crop": 0.2}]


@st.composite
def painted(draw):
    """A picture of a white rectangle on black, its box, and its mask."""
    height, width = draw(st.integers(12, 40)), draw(st.integers(12, 40))
    y, x = draw(st.integers(0, height - 5)), draw(st.integers(0, width - 5))
    high, wide = draw(st.integers(5, height - y)), draw(st.integers(5, width - x))
    mask = np.zeros((height, width), np.uint8)
    mask[y : y + high, x : x + wide] = 1
    return mask[..., None] * np.uint8(255), {"bbox": [[x, y, wide, high]], "category": [7]}, mask


def around(mask):
    """The box x0, y0, x1, y1 around what a mask marks."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def check(image, objects, mask):
    """The painted rectangle, its box and its mask say the same: no pixel that is mostly the rectangle's lies outside
    of the box, and the rectangle touches each side of it."""
    shade = image[..., 0]
    assert len(objects["category"]) == len(objects["bbox"]) <= 1
    if not objects["bbox"]:
        assert not (shade >= 128).any()
    for x, y, width, height in objects["bbox"]:
        assert min(x, y) >= -1e-6 and x + width <= shade.shape[1] + 1e-6 and y + height <= shade.shape[0] + 1e-6
        if min(width, height) > 2 and (shade >= 128).any():
            x0, y0, x1, y1 = around(shade >= 128) - [x, y, x + width, y + height]
            assert min(x0, y0, -x1, -y1) > -0.6
            x0, y0, x1, y1 = around(shade > 0) - [x, y, x + width, y + height]
            assert max(x0, y0, -x1, -y1) < 1
    # A mask goes another way only where the rectangle's border runs through a pixel.
    assert not ((mask == 1) & (shade == 0)).any() and not ((mask == 0) & (shade == 255)).any()


def augmented(images, settings, seeds, objects, masks):
    """Images, boxes and masks, each moved."""
    sizes = [image.shape[:2] for image in images]
    return (
        augment_all(images, settings, seeds),
        *augment_annotations(sizes, settings, seeds, objects, masks),
    )


@given(painted(), st.fixed_dictionaries(ANY), st.integers(0, 2**30))
def test_a_painted_box_is_found_where_the_moved_box_says(row, chosen, seed):
    image, objects, mask = row
    # Black, so that no edge is repeated to look like more of the rectangle.
    settings = AugmentSettings("any", fill="black", **chosen)
    (moved,), (boxes,), (marked,) = augmented([image], settings, [seed], [objects], [mask])
    check(moved, boxes, np.where(marked == 255, 0, marked))


@pytest.mark.parametrize("chosen", ONE_BY_ONE)
def test_each_motion_moves_all_three(chosen):
    """The middle of the rectangle is where its box and its mask have theirs, and it moved."""
    mask = np.zeros((31, 41), np.uint8)
    mask[4:9, 6:15] = 1
    images, count = [mask[..., None] * np.uint8(255)] * 50, 50
    objects = [{"bbox": [[6, 4, 9, 5]], "category": [0]}] * count
    settings = AugmentSettings("one", fill="black", **chosen)
    moved = augmented(images, settings, example_seeds(0, 0, range(count)), objects, [mask] * count)
    for image, boxes, marked in zip(*moved, strict=True):
        check(image, boxes, np.where(marked == 255, 0, marked))
    boxes = {tuple(box) for each in moved[1] for box in each["bbox"]}
    assert len(boxes) > 1


@given(painted(), st.integers(8, 50), st.integers(8, 50), st.sampled_from(FITS))
def test_a_painted_box_is_found_where_the_fitted_box_says(row, height, width, fit):
    image, objects, mask = row
    decoding = Decoding((height, width), fit)
    boxes, marked = fitted(decoding, image.shape[:2], objects, mask)
    moved = decoding.fitted(image)
    assert marked.shape == moved.shape[:2] == (height, width)
    white = np.zeros(moved.shape, np.uint8) if fit in ("pad", "middle") else None
    if white is not None:  # what the padding covers is white too: it is void in the mask
        moved = np.where((marked == 255)[..., None], white, moved)
    seen = moved[..., 0] >= 128
    for x, y, wide, high in boxes["bbox"]:
        if min(wide, high) > 3 and seen.any():
            assert np.abs(around(seen) - [x, y, x + wide, y + high]).max() <= 1
            assert np.abs(around(marked == 1) - [x, y, x + wide, y + high]).max() <= 1


def test_masks_are_never_mixed_nor_void():
    random = np.random.default_rng(0)
    masks = [random.integers(0, 3, (9, 7 + index % 3), dtype=np.uint8) for index in range(20)]
    settings = AugmentSettings("x", True, 2, "edge", 20, 0.2, 10, 0.5, 0.3, 0.3)
    _, turned = augment_annotations(
        [mask.shape for mask in masks], settings, example_seeds(1, 2, range(20)), None, masks
    )
    assert set(np.unique(np.concatenate([mask.ravel() for mask in turned]))) <= {0, 1, 2}


def test_colour_and_cutout_leave_what_lies_on_the_image():
    image, objects = np.full((8, 8, 3), 90, np.uint8), {"bbox": [[1.0, 2.0, 3.0, 4.0]], "category": [1]}
    mask = np.arange(64, dtype=np.uint8).reshape(8, 8)
    changed, boxes, masks = augmented([image], AugmentSettings("x", color=0.5, cutout=0.5), [3], [objects], [mask])
    assert (changed[0] != image).any() and boxes[0] == objects and np.array_equal(masks[0], mask)


def test_what_leaves_the_image_is_clipped_or_dropped():
    objects = {"bbox": [[0, 0, 4, 4], [6, 6, 4, 4]], "category": [1, 2], "iscrowd": [False, True]}
    boxes, mask = fitted(Decoding((4, 4), "middle"), (10, 10), objects, np.full((10, 10), 3, np.uint8))
    assert boxes == {"bbox": [[0, 0, 1, 1], [3, 3, 1, 1]], "category": [1, 2], "iscrowd": [False, True]}
    boxes, _ = fitted(Decoding((2, 2), "middle"), (10, 10), objects)
    assert boxes == {"bbox": [], "category": [], "iscrowd": []}
    assert fitted(Decoding(), (10, 10), None, mask)[1] is mask
