import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.errors import UserError
from llmimg.metrics.image import psnr_db
from llmimg.textify import make
from llmimg.textify.codebook import nearest_codes


def pictures(count: int, seed: int = 0, channels: int = 1) -> np.ndarray:
    """Smooth ones: uint8 `[count, 12, 15, channels]`."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 5, channels)).astype(float)
    fine = coarse.repeat(3, axis=1).repeat(3, axis=2)
    return ((fine + np.roll(fine, 1, axis=1) + np.roll(fine, 1, axis=2)) / 3).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_quality_grows_with_every_word(channels):
    training, images = list(pictures(60, channels=channels)), pictures(20, 1, channels)
    quality, lengths = [], []
    for words in (1, 2, 3, 4):
        textifier = make("patch_words", words=words, codes=32)
        textifier = textifier.with_state(textifier.learn(training))
        pieces = textifier.write(images)
        quality.append(psnr_db(list(images), list(textifier.read(pieces, 12, 15))))
        lengths.append(len(pieces[0]))
    assert quality == sorted(set(quality))
    assert lengths == [12, 24, 36, 48]


def test_as_many_patterns_as_patches_lose_nothing():
    images = pictures(2)
    patches = images.reshape(2, 4, 3, 5, 3).swapaxes(2, 3).reshape(40, 9)
    different = len(np.unique(patches, axis=0))
    textifier = make("patch_words", words=1, patch=3, codes=different)
    textifier = textifier.with_state(textifier.learn(list(images)))
    pieces = textifier.write(images)
    assert (textifier.read(pieces, 12, 15) == images).all()
    assert textifier.texts(pieces)[0].startswith("a") and " a" in textifier.texts(pieces)[0]


@given(st.integers(0, 1000))
def test_the_nearest_code_is_the_nearest(seed):
    draw = np.random.default_rng(seed)
    size = draw.integers(1, 200)
    vectors, codes = draw.integers(-255, 256, (20, size)), draw.integers(-255, 256, (7, size)).astype(np.int16)
    distance = ((vectors[:, None] - codes.astype(np.int64)) ** 2).sum(axis=-1)
    assert (nearest_codes(vectors.astype(np.int16), codes) == distance.argmin(axis=1)).all()


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"words": 0}, "textify.words=0 is out of range: it takes 1 to 16"),
        ({"codes": 1}, "textify.codes=1 is out of range"),
        ({"patch": 0}, "textify.patch=0 is out of range"),
        ({"order": "rastr"}, "did you mean 'raster'"),
    ],
)
def test_what_it_cannot_be_set_to(chosen, message):
    with pytest.raises(UserError, match=message):
        make("patch_words", **chosen)
