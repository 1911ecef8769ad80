"""What holds for each textifier, whatever it writes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmimg.textify import Textifier, make


@st.composite
def textifiers(draw) -> Textifier:
    kind = draw(st.sampled_from(["gray", "ramp", "rgb", "region_color"]))
    if kind == "region_color":
        return make("region_color", grid=draw(st.integers(1, 8)))
    if kind == "ramp":
        return make("gray", style="ramp", levels=draw(st.integers(2, 70)))
    return make(kind, levels=draw(st.integers(2, 256)))


@st.composite
def batches(draw, smallest: int = 1) -> np.ndarray:
    """uint8 `[N, H, W, C]`."""
    height, width = draw(st.tuples(*[st.integers(smallest, smallest + 9)] * 2))
    return draw(arrays(np.uint8, (draw(st.integers(1, 4)), height, width, draw(st.sampled_from([1, 3])))))


@given(textifiers(), st.data())
@settings(max_examples=150)
def test_pieces_text_boxes_and_the_way_back_agree(textifier, data):
    images = data.draw(batches(smallest=getattr(textifier, "grid", 1)))
    count, height, width, _ = images.shape
    pieces = textifier.write(images)
    texts = textifier.texts(pieces)
    assert len(pieces) == len(texts) == count
    assert pieces.values.dtype == textifier.lexicon.dtype

    # Text is the pieces joined by nothing, and is read as the same pieces.
    assert texts == ["".join(textifier.lexicon.pieces[piece] for piece in row) for row in pieces]
    assert [row.tolist() for row in textifier.grammar.parse_all(texts)] == [row.tolist() for row in pieces]

    # The boxes lie inside the image, one a piece, and cover it.
    boxes = textifier.boxes(pieces, images)
    assert boxes.shape == (len(pieces.values), 4)
    assert boxes.dtype == np.int32
    left, top, right, bottom = boxes.T
    assert (left >= 0).all() and (left < right).all() and (right <= width).all()
    assert (top >= 0).all() and (top < bottom).all() and (bottom <= height).all()
    for row in range(count):
        covered = np.zeros((height, width), bool)
        for x0, y0, x1, y1 in boxes[pieces.offsets[row] : pieces.offsets[row + 1]]:
            covered[y0:y1, x0:x1] = True
        assert covered.all()

    # An image made from text is written as that text.
    back = textifier.read(pieces, height, width)
    assert back.dtype == np.uint8
    assert back.shape[:3] == images.shape[:3]
    assert textifier.texts(textifier.write(back)) == texts


@given(textifiers(), st.data())
def test_an_images_text_does_not_depend_on_the_batch_it_is_in(textifier, data):
    images = data.draw(batches(smallest=getattr(textifier, "grid", 1)))
    together = textifier.texts(textifier.write(images))
    assert [textifier.texts(textifier.write(image[None]))[0] for image in images] == together
    order = data.draw(st.permutations(range(len(images))))
    assert textifier.texts(textifier.write(images[order])) == [together[place] for place in order]


@given(textifiers(), st.data())
def test_a_gray_image_and_its_colour_copy_have_the_same_text(textifier, data):
    images = data.draw(batches(smallest=getattr(textifier, "grid", 1)))[..., :1]
    in_colour = np.repeat(images, 3, axis=-1)
    assert textifier.texts(textifier.write(images)) == textifier.texts(textifier.write(in_colour))


@given(textifiers())
def test_settings_make_it_again(textifier):
    assert make(**textifier.settings()) == textifier


@pytest.mark.parametrize("name", ["gray", "rgb", "region_color"])
@pytest.mark.parametrize("shape", [(2, 301, 77, 3), (1, 64, 511, 1), (300, 9, 8, 3)])
def test_large_images_and_large_batches_are_written_as_small_ones_are(name, shape):
    textifier = make(name)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    pieces = textifier.write(images)
    last = textifier.write(images[-1:])
    assert (pieces[shape[0] - 1] == last[0]).all()
    assert (textifier.grammar.parse(textifier.texts(last)[0]) == last[0]).all()
