import numpy as np
import pytest

from llmimg.errors import UserError
from llmimg.textify import Ragged, make

NAMES = ["sift", "orb", "akaze", "kaze", "brisk"]


def square(side: int = 48) -> np.ndarray:
    """White on black, from a third to two thirds: uint8 `[1, side, side, 1]`."""
    image = np.zeros((1, side, side, 1), np.uint8)
    image[:, side // 3 : 2 * side // 3, side // 3 : 2 * side // 3] = 255
    return image


@pytest.mark.parametrize("name", NAMES)
def test_an_image_without_keypoints_has_a_text(name):
    textifier = make(name)
    blank = np.zeros((1, 5, 9, 3), np.uint8)
    pieces = textifier.write(blank)
    assert textifier.texts(pieces) == ["none"]
    assert textifier.boxes(pieces, blank).tolist() == [[0, 0, 9, 5]]
    assert textifier.read(pieces, 5, 9) is None


@pytest.mark.parametrize("name", NAMES)
def test_keypoints_lie_on_the_square(name):
    textifier = make(name, cells=12)
    words = textifier.texts(textifier.write(square()))[0].split()
    points = [(int(x[1:]), int(y[1:])) for x, y in zip(words[::4], words[1::4], strict=True)]
    assert points
    assert all(2 <= x <= 9 and 2 <= y <= 9 for x, y in points)  # the square goes from 4 to 7


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", [28, 64])
def test_what_stands_at_the_edge_is_seen(name, side):
    """Small images are mostly edge. A square 2 pixels from it, in each direction, of the sizes that detectors like."""
    textifier, middle = make(name, cells=side), side // 3
    for edge in range(4):
        near = []
        for size in (side // 8, side // 6, side // 4):
            far = side - size - 2
            left, top = [(2, middle), (far, middle), (middle, 2), (middle, far)][edge]
            image = np.zeros((1, side, side, 1), np.uint8)
            image[:, top : top + size, left : left + size] = 255
            words = textifier.texts(textifier.write(image))[0].split()
            points = [(int(x[1:]), int(y[1:])) for x, y in zip(words[::4], words[1::4], strict=False)]
            near += [(x, y) for x, y in points if max(abs(x - left - size / 2), abs(y - top - size / 2)) < size]
        assert near


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_with_and_without_keypoints(name):
    noise = np.random.default_rng(0).integers(0, 256, (1, 48, 48, 1)).astype(np.uint8)
    textifier = make(name, points=3)
    pieces = textifier.write(np.concatenate([np.zeros_like(noise), noise, square(), np.zeros_like(noise)]))
    assert pieces.lengths[[0, 3]].tolist() == [1, 1]
    assert pieces.lengths[1] == 3 * 4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (3, 1), (5, 7), (17, 16), (200, 31)])
def test_images_of_any_size_are_written(name, shape):
    """With the least enlargement, on which detectors would otherwise fail or crash."""
    images = np.random.default_rng(0).integers(0, 256, (3, *shape, 3)).astype(np.uint8)
    textifier = make(name, min_side=16)
    pieces = textifier.write(images)
    assert [textifier.grammar.parse(text).tolist() for text in textifier.texts(pieces)] == [
        row.tolist() for row in pieces
    ]
    left, top, right, bottom = textifier.boxes(pieces, images).T
    assert ((left >= 0) & (left < right) & (right <= shape[1])).all()
    assert ((top >= 0) & (top < bottom) & (bottom <= shape[0])).all()


@pytest.mark.parametrize("name", NAMES)
def test_visual_words_are_the_same_in_any_batch(name):
    """Floats and bits alike: a codebook is learned of them, and each image's words do not depend on the others."""
    images = np.random.default_rng(1).integers(0, 256, (4, 24, 24, 1)).astype(np.uint8)
    textifier = make(name, points=8, codes=6, min_side=64)
    state = textifier.learn(list(images))
    assert len(state["codes"]) == 6
    textifier = textifier.with_state(state)
    together = textifier.texts(textifier.write(images))
    assert [textifier.texts(textifier.write(image[None]))[0] for image in images] == together
    assert len({word for text in together for word in text.split() if word.startswith("word")}) > 1


def test_boxes_are_where_the_words_say():
    textifier = make("sift", cells=10, scales=6)
    pieces = textifier.lexicon.kinds
    row = np.array([[pieces["first"][4], pieces["y"][6], pieces["size"][5], pieces["angle"][0]]])
    written = Ragged.rectangular(row.astype(textifier.lexicon.dtype))
    boxes = textifier.boxes(written, np.zeros((1, 100, 100, 1), np.uint8))
    left, top, right, bottom = boxes[0]
    assert (boxes == boxes[0]).all()
    assert left < 45 < right and top < 65 < bottom
    assert 64 <= right - left <= 74  # the last of six steps from 1/64 to 1: its middle is 64^(−1/12) of 100, cut at 0


def test_surf_says_what_it_needs():
    with pytest.raises(UserError, match=r"OPENCV_ENABLE_NONFREE.*take textify=sift"):
        make("surf").write(square())


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"points": 0}, "textify.points=0 is out of range: it takes 1 to 1000"),
        ({"codes": 1}, "textify.codes=1 is out of range: it takes 0, or 2 to 32768"),
        ({"cells": 1}, "textify.cells=1"),
        ({"fit_images": 0}, "textify.fit_images=0"),
        ({"min_side": 15}, "textify.min_side=15 is out of range: it takes 16 to 1024"),
    ],
)
def test_what_it_cannot_be_set_to(chosen, message):
    with pytest.raises(UserError, match=message):
        make("sift", **chosen)
