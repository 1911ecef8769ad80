"""Codecs against sizes that are known."""

import io
import lzma
import sys

import numpy as np
import pytest
from PIL import Image

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


def test_jpeg_xl_is_lossless_and_measured_where_it_is_installed():
    pytest.importorskip("pillow_jxl")
    images = list(np.random.default_rng(0).integers(0, 4, (5, 8, 8, 1)).astype(np.uint8) * 60)
    sizes = []
    for image in images:
        files = [io.BytesIO(), io.BytesIO()]
        for file, effort in zip(files, (7, 9), strict=True):
            Image.fromarray(image[..., 0]).save(file, "JXL", lossless=True, effort=effort)
            np.testing.assert_array_equal(np.asarray(Image.open(file)), image[..., 0])
        sizes.append(min(len(file.getvalue()) for file in files))
    assert codec_bits(images)["jxl"][0] == 8 * sum(sizes) / (5 * 64)


def test_jpeg_xl_is_left_out_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    assert codec_bits([np.zeros((8, 8, 1), np.uint8)]).keys() == {"png", "webp", "xz"}
