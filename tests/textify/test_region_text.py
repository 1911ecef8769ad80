import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmimg.errors import UserError
from llmimg.textify import make


@st.composite
def grids_and_images(draw):
    """A grid of 1 to 8 cells a side, and a batch of images that can be cut into it."""
    grid = draw(st.integers(1, 8))
    sides = st.integers(grid, grid + 12)
    shape = (draw(st.integers(1, 3)), draw(sides), draw(sides), draw(st.sampled_from([1, 3])))
    return grid, draw(arrays(np.uint8, shape))


def cells(image: np.ndarray, grid: int) -> list[np.ndarray]:
    """The cells of an image `[H, W, …]`, row by row, as np.array_split cuts them."""
    return [cell for band in np.array_split(image, grid, axis=0) for cell in np.array_split(band, grid, axis=1)]


def plainly_written(image: np.ndarray, grid: int) -> str:
    """The article's listing, for any grid and size."""
    colour = np.broadcast_to(image, (*image.shape[:2], 3))
    means = ([int(np.mean(cell[..., channel])) for channel in range(3)] for cell in cells(colour, grid))
    return " ".join(f"region_color_{red}_{green}_{blue}" for red, green, blue in means)


def test_the_text_of_the_article_to_the_letter():
    image = np.array(
        [
            [[10, 20, 30], [11, 21, 32], [255, 255, 255], [255, 255, 255]],
            [[0, 0, 0], [0, 0, 3], [1, 2, 3], [1, 2, 4]],
        ],
        np.uint8,
    )
    textifier = make("region_color", grid=2)
    assert textifier.texts(textifier.write(image[None])) == [
        "region_color_10_20_31 region_color_255_255_255 region_color_0_0_1 region_color_1_2_3"
    ]


def test_a_cifar_image_is_sixteen_regions():
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    textifier = make("region_color")
    texts = textifier.texts(textifier.write(images))
    assert texts == [plainly_written(image, 4) for image in images]
    assert [len(text.split()) for text in texts] == [16] * 5


@given(grids_and_images())
def test_means_are_truncated_over_the_cells_of_array_split(drawn):
    grid, images = drawn
    textifier = make("region_color", grid=grid)
    assert textifier.texts(textifier.write(images)) == [plainly_written(image, grid) for image in images]


@given(grids_and_images())
def test_the_reconstruction_gives_each_cell_its_mean(drawn):
    grid, images = drawn
    height, width = images.shape[1:3]
    textifier = make("region_color", grid=grid)
    back = textifier.read(textifier.write(images), height, width)
    for image, made in zip(images, back, strict=True):
        colour = np.broadcast_to(image, (height, width, 3))
        for cell, flat in zip(cells(colour, grid), cells(made, grid), strict=True):
            assert (flat == [int(cell[..., channel].mean()) for channel in range(3)]).all()


@given(grids_and_images())
def test_boxes_are_the_cells_of_array_split(drawn):
    grid, images = drawn
    height, width = images.shape[1:3]
    textifier = make("region_color", grid=grid)
    boxes = textifier.boxes(textifier.write(images), images).reshape(len(images), grid**2, 6, 4)
    assert (boxes == boxes[:1, :, :1]).all()  # the same in every image, and for the six pieces of a cell
    pixels = np.stack(np.indices((height, width)), axis=-1)
    for (left, top, right, bottom), cell in zip(boxes[0, :, 0], cells(pixels, grid), strict=True):
        assert (pixels[top:bottom, left:right] == cell).all()


@pytest.mark.parametrize("shape", [(1200, 900), (257, 3), (1, 1)])
def test_sums_of_large_bright_cells_do_not_overflow(shape):
    textifier = make("region_color", grid=1)
    white = np.full((1, *shape, 3), 255, np.uint8)
    assert textifier.texts(textifier.write(white)) == ["region_color_255_255_255"]


@pytest.mark.parametrize("shape", [(3, 9), (9, 3)])
def test_a_grid_finer_than_the_image_is_refused_with_the_numbers(shape):
    textifier = make("region_color", grid=4)
    with pytest.raises(UserError, match=r"shorter side is 3 pixels .* textify\.grid=4 .* raise data\.size"):
        textifier.write(np.zeros((1, *shape, 3), np.uint8))


def test_a_grid_below_one_is_refused():
    with pytest.raises(UserError, match=r"textify\.grid=0 is out of range"):
        make("region_color", grid=0)
