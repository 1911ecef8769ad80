import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import CSS4_COLORS

from llmimg.errors import UserError
from llmimg.textify import make
from llmimg.textify.colours import NAMED, nearest_color


def image(*rows: list[str]) -> np.ndarray:
    """uint8 `[1, H, W, 3]` of CSS colours."""
    pixels = [[tuple(bytes.fromhex(CSS4_COLORS[name][1:])) for name in row] for row in rows]
    return np.array(pixels, np.uint8)[None]


def texts(textifier, images: np.ndarray) -> list[str]:
    return textifier.texts(textifier.write(images))


def test_names_of_colours():
    pixels = image(["navy", "red", "white"], ["skyblue", "black", "yellow"])
    assert texts(make("palette", colors="css"), pixels) == ["navy red white skyblue black yellow"]
    assert texts(make("palette", colors="basic"), pixels)[0].split()[1:3] == ["red", "white"]
    assert texts(make("palette", colors="basic"), pixels)[0].endswith("black yellow")


def test_runs_and_row_marks():
    pixels = image(["navy"] * 4 + ["red"], ["red"] * 5)
    for chosen, text in [
        ({}, "navy navy navy navy red red red red red red"),
        ({"longest_run": 16}, "navy ×4 red ×6"),
        ({"longest_run": 3}, "navy ×3 navy red ×3 red ×3"),
        ({"row_marks": True}, "navy navy navy navy red\nred red red red red"),
        ({"longest_run": 16, "row_marks": True}, "navy ×4 red\nred ×5"),
    ]:
        textifier = make("palette", colors="css", **chosen)
        pieces = textifier.write(pixels)
        assert textifier.texts(pieces) == [text]
        assert (textifier.read(pieces, 2, 5) == pixels).all()
    boxes = textifier.boxes(pieces, pixels).tolist()
    assert boxes == [[0, 0, 4, 1], [0, 0, 4, 1], [4, 0, 5, 1], [0, 0, 5, 1], [0, 1, 5, 2], [0, 1, 5, 2]]


def test_orders_change_where_words_stand():
    pixels = image(["navy", "red"], ["white", "black"])
    for order, text in [
        ("snake", "navy red black white"),
        ("hilbert", "navy white black red"),
        ("coarse_to_fine", "navy red white black"),
    ]:
        textifier = make("palette", colors="css", order=order)
        assert texts(textifier, pixels) == [text]
        assert (textifier.read(textifier.write(pixels), 2, 2) == pixels).all()


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=20), st.sampled_from(["lab", "rgb"]))
def test_the_nearest_colour_is_the_nearest(colors, space):
    from skimage.color import rgb2lab

    colors = np.array(colors, np.uint8)
    palette = np.array(list(NAMED["css"].values()), np.uint8)
    points, known = (rgb2lab(each / 255) if space == "lab" else each.astype(float) for each in (colors, palette))
    distance = np.linalg.norm(points[:, None] - known, axis=-1)
    chosen = nearest_color(colors, palette, space)
    assert np.allclose(distance[np.arange(len(colors)), chosen], distance.min(axis=1))


def test_css_names_are_css():
    assert {name: "#" + bytes(value).hex() for name, value in NAMED["css"].items()}.items() <= {
        name: value.lower() for name, value in CSS4_COLORS.items()
    }.items()
    assert len(NAMED["css"]) == len(set(CSS4_COLORS.values())) == 139


def test_a_fitted_palette_goes_from_dark_to_light_and_holds_its_colours():
    pixels = image(["navy", "red", "white", "yellow"] * 5)
    textifier = make("palette", colors="fitted", count=4)
    textifier = textifier.with_state(textifier.learn([pixels[0]]))
    assert texts(textifier, pixels)[0].startswith("0 1 3 2")
    assert (textifier.read(textifier.write(pixels), *pixels.shape[1:3]) == pixels).all()


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"colors": "bassic"}, "no textify.colors 'bassic': did you mean 'basic'"),
        ({"count": 1}, "textify.count=1 is out of range"),
        ({"longest_run": 0}, "textify.longest_run=0 is out of range"),
        ({"order": "hilbert", "row_marks": True}, "textify.order=hilbert has no rows to mark"),
        ({"order": "rastr"}, "did you mean 'raster'"),
        ({"fit_images": 0}, "textify.fit_images=0 is out of range"),
    ],
)
def test_what_it_cannot_be_set_to(chosen, message):
    with pytest.raises(UserError, match=message):
        make("palette", **chosen)
