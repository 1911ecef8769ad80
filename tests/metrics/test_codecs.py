"""Codecs against sizes that are known."""

import lzma

import numpy as np

from llmimg.metrics.codecs import codec_bits


def test_bits_are_those_of_the_files():
    images = list(np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3)).astype(np.uint8))
    found = codec_bits(images)
    alone = sum(8 * len(lzma.compress(each.tobytes(), preset=9 | lzma.PRESET_EXTREME)) for each in images)
    assert found["xz"][0] == alone / (9 * 16 * 16 * 3)
    assert all(8 <= together <= each for each, together in found.values())  # noise cannot be made smaller


def test_what_is_the_same_in_all_images_costs_once():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 1)).astype(np.uint8)
    alone, together = codec_bits([image] * 50)["xz"]
    assert together < alone / 10
