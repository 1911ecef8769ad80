import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.feature import graycomatrix, graycoprops

from llmimg.errors import UserError
from llmimg.textify import make
from llmimg.textify.texture import TEXTURES, contrast, textures


def pattern(name: str, side: int, period: int) -> np.ndarray:
    """uint8 `[side, side]`, dark and light by turns."""
    row, column = np.indices((side, side)) // period
    diagonal = np.indices((side, side))
    light = {
        "striped horizontally": row % 2,
        "striped vertically": column % 2,
        "checkered": (row + column) % 2,
        "falling": (diagonal[1] - diagonal[0]) // period % 2,
        "rising": (diagonal[1] + diagonal[0]) // period % 2,
    }[name]
    return (40 + 170 * light).astype(np.uint8)


@pytest.mark.parametrize("side", [8, 16, 32, 64])
@pytest.mark.parametrize("period", [2, 3, 4])
@pytest.mark.parametrize("name", ["striped horizontally", "striped vertically", "checkered", "falling", "rising"])
def test_textures_by_name(name, side, period):
    expected = "striped diagonally" if name in ("falling", "rising") else name
    image = pattern(name, side, period)[None, ..., None]
    found = textures(image, np.zeros(image.shape[:3], np.int64), 1)
    assert TEXTURES[found[0]] == expected


@pytest.mark.parametrize("side", [8, 16, 32])
def test_noise_is_grainy_and_flat_is_smooth(side):
    images = np.random.default_rng(0).integers(0, 256, (50, side, side, 1)).astype(np.uint8)
    labels = np.zeros(images.shape[:3], np.int64) + np.arange(50)[:, None, None]
    names = [TEXTURES[each] for each in textures(images, labels, 50)]
    assert names.count("grainy") >= 45
    assert {TEXTURES[each] for each in textures(images // 32 + 100, labels, 50)} == {"smooth"}


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_tiny_regions_have_a_texture_too(shape):
    image = np.full((1, *shape, 1), 7, np.uint8)
    assert textures(image, np.zeros((1, *shape), np.int64), 1).tolist() == [TEXTURES.index("smooth")]


@given(
    st.integers(0, 100),
    st.sampled_from([((0, 1), 0), ((1, 0), np.pi / 2), ((1, 1), np.pi / 4), ((1, -1), 3 * np.pi / 4)]),
)
def test_contrast_is_haralicks(seed, way):
    image = np.random.default_rng(seed).integers(0, 256, (9, 7)).astype(np.uint8)
    (down, right), angle = way
    matrix = graycomatrix(image, [1], [angle], symmetric=True)
    ours = contrast(image[None].astype(np.int32), np.zeros((1, 9, 7), np.int64), 1, down, right)
    assert ours[0] == pytest.approx(graycoprops(matrix, "contrast")[0, 0])


def test_a_picture_in_words():
    image = np.zeros((1, 8, 16, 3), np.uint8)
    image[:, :, 8:] = 255
    image[:, 4:, :8] = (255, 0, 0)
    text = "very dark black smooth, very bright white smooth, medium red smooth, very bright white smooth"
    textifier = make("region_words", grid=2)
    assert textifier.texts(textifier.write(image)) == [text]
    assert (textifier.read(textifier.write(image), 8, 16) == image).all()
    said = make("region_words", grid=2, brightness=False, texture=False, place=True, area=True)
    assert said.texts(said.write(image))[0].split(", ")[0] == "black large top left"


def test_superpixels_follow_the_picture():
    image = np.zeros((1, 32, 32, 3), np.uint8)
    image[:, :, 16:] = (255, 255, 0)
    textifier = make("region_words", regions="slic", segments=4, texture=False, brightness=False)
    pieces = textifier.write(image)
    words, boxes = textifier.texts(pieces)[0].split(", "), textifier.boxes(pieces, image)
    assert set(words) == {"black", "yellow"}
    for word, (left, _, right, _) in zip(words, boxes, strict=True):
        assert right <= 16 if word == "black" else left >= 16


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"regions": "gird"}, "no textify.regions 'gird': did you mean 'grid'"),
        ({"grid": 0}, "textify.grid=0 is out of range"),
        ({"color": False, "brightness": False, "texture": False}, "has nothing to say"),
    ],
)
def test_what_it_cannot_be_set_to(chosen, message):
    with pytest.raises(UserError, match=message):
        make("region_words", **chosen)
