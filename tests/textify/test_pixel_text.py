import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmimg.errors import UserError
from llmimg.textify import make
from llmimg.textify.pixel import RAMP, brightness

EVERY_VALUE = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
IMAGES = arrays(np.uint8, st.tuples(*[st.integers(1, 6)] * 3, st.sampled_from([1, 3])))


def test_gray_writes_each_pixel_as_its_level_in_raster_order():
    image = np.array([[0, 15, 16], [128, 240, 255]], np.uint8)[None, ..., None]
    textifier = make("gray", levels=16)
    assert textifier.texts(textifier.write(image)) == ["0 0 1 8 15 15"]


def test_a_ramp_writes_one_character_a_pixel_from_none_to_most_ink():
    image = np.array([[0, 255], [0, 255]], np.uint8)[None, ..., None]
    textifier = make("gray", style="ramp", levels=2)
    assert textifier.texts(textifier.write(image)) == [" $ $"]
    whole = make("gray", style="ramp", levels=70)
    assert len(set(RAMP)) == len(RAMP) == 70
    assert "".join(dict.fromkeys(whole.texts(whole.write(EVERY_VALUE))[0])) == RAMP


def test_rgb_writes_three_words_a_pixel():
    image = np.array([[[1, 2, 3], [254, 255, 0]]], np.uint8)[None]
    textifier = make("rgb")
    assert textifier.texts(textifier.write(image)) == ["1 2 3 254 255 0"]
    assert textifier.boxes(textifier.write(image), image).tolist() == [[0, 0, 1, 1]] * 3 + [[1, 0, 2, 1]] * 3


@given(st.integers(2, 256))
def test_levels_are_of_even_width_and_rise_with_the_value(levels):
    textifier = make("gray", levels=levels)
    written = np.array(textifier.texts(textifier.write(EVERY_VALUE))[0].split(), int)
    assert written.tolist() == [value * levels // 256 for value in range(256)]
    widths = np.bincount(written, minlength=levels)
    assert {256 // levels, -(-256 // levels)} >= set(widths.tolist())


@given(IMAGES, st.integers(2, 256))
def test_the_reconstruction_is_within_half_a_level(images, levels):
    """|error| ≤ ⌊w / 2⌋ for levels of w = ⌈256 / levels⌉ values: none at 256."""
    for textifier, original in [
        (make("rgb", levels=levels), np.broadcast_to(images, (*images.shape[:3], 3))),
        (make("gray", levels=levels), brightness(images)[..., None]),
        (make("gray", style="ramp", levels=min(levels, 70)), brightness(images)[..., None]),
    ]:
        bound = -(-256 // textifier.levels) // 2
        back = textifier.read(textifier.write(images), *images.shape[1:3])
        assert back.shape == original.shape
        assert np.abs(back.astype(int) - original.astype(int)).max() <= bound


@given(IMAGES)
def test_256_levels_lose_nothing(images):
    rgb, gray = make("rgb", levels=256), make("gray", levels=256)
    assert (rgb.read(rgb.write(images), *images.shape[1:3]) == images).all()
    ink = images[..., :1]
    assert (gray.read(gray.write(ink), *images.shape[1:3]) == ink).all()


@given(arrays(np.uint8, st.tuples(*[st.integers(1, 5)] * 3, st.just(3))))
def test_brightness_is_the_integer_form_of_bt_601(images):
    weighted = [(77 * r + 150 * g + 29 * b + 128) // 256 for r, g, b in images.reshape(-1, 3).tolist()]
    assert brightness(images).reshape(-1).tolist() == weighted


@given(IMAGES)
def test_boxes_are_one_pixel_each_in_raster_order(images):
    count, height, width, _ = images.shape
    pixels = [[x, y, x + 1, y + 1] for y in range(height) for x in range(width)]
    gray, rgb = make("gray"), make("rgb")
    assert gray.boxes(gray.write(images), images).tolist() == pixels * count
    assert rgb.boxes(rgb.write(images), images).tolist() == [box for box in pixels for _ in range(3)] * count


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("gray", {"levels": 1}, r"textify\.levels=1 is out of range: it takes 2 to 256"),
        ("rgb", {"levels": 257}, r"textify\.levels=257 is out of range"),
        ("gray", {"levels": 71, "style": "ramp"}, r"textify\.levels=71 is more than the ramp's 70 characters"),
        ("gray", {"style": "rampe"}, r"textify\.style 'rampe': did you mean 'ramp'"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name, settings, message):
    with pytest.raises(UserError, match=message):
        make(name, **settings)
