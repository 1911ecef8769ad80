"""How small lossless codecs make images: what a model of them is measured against."""

import importlib
import io
import lzma
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

_TALLEST = 16_000  # pixels: WebP takes 16,383


def codec_bits(images: Sequence[np.ndarray]) -> dict[str, tuple[float, float]]:
    """Bits a value (one channel of one pixel) of each codec that is there: of each image in a file of its own, and of
    all in one file, side by side.

    Args:
        images: uint8 `[H, W, C]` each, all of one size.
    """
    values = sum(image.size for image in images)
    sheet = _sheet(np.stack(images))
    return {name: (8 * sum(map(size, images)) / values, 8 * size(sheet) / values) for name, size in _codecs().items()}


def _codecs() -> dict[str, Callable[[np.ndarray], int]]:
    """Name → bytes of an image's file."""
    codecs: dict[str, Callable[[np.ndarray], int]] = {
        "png": lambda image: _bytes(image, "PNG", optimize=True),
        "webp": lambda image: _bytes(image, "WEBP", lossless=True, quality=100, method=6),
        "xz": lambda image: len(lzma.compress(image.tobytes(), lzma.FORMAT_XZ, preset=9 | lzma.PRESET_EXTREME)),
    }
    try:
        importlib.import_module("pillow_jxl")  # which adds the format to Pillow's
    except ImportError:
        return codecs
    # Of tiny images, the longer search does not always find the smaller file.
    return {**codecs, "jxl": lambda image: min(_bytes(image, "JXL", lossless=True, effort=each) for each in (7, 9))}


def _bytes(image: np.ndarray, kind: str, **options: bool | int) -> int:
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, kind, **options)
    return len(file.getvalue())


def _sheet(images: np.ndarray) -> np.ndarray:
    """uint8 `[N, H, W, C]` → one image, in as many columns as keep it below `_TALLEST`; what is left of it is black."""
    count, height, width, channels = images.shape
    rows = max(1, min(count, _TALLEST // height))
    columns = -(-count // rows)
    filled = np.zeros((rows * columns, height, width, channels), np.uint8)
    filled[:count] = images
    grid = filled.reshape(columns, rows, height, width, channels)
    return grid.transpose(1, 2, 0, 3, 4).reshape(rows * height, columns * width, channels)
