"""Masks as pictures: coloured over their image, and as PNG files of class numbers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from llmimg.data.annotations.moving import VOID

_SMALLEST = 256  # pixels along the shorter side of a drawing
_SHOWN = 0.35  # how much of the image is seen through its mask
_BYTE, _TWO_BYTES = 255, 65535


def palette() -> np.ndarray:
    """uint8 `[256, 3]`: the colour of each class number, as Pascal VOC has them: 0 is black, 255 is light gray."""
    numbers, colours = np.arange(256), np.zeros((256, 3), np.int64)
    for bit in range(8):  # three bits of the number at a time go to red, green and blue, the lowest to the highest bit
        for channel in range(3):
            if 3 * bit + channel < 8:
                colours[:, channel] |= (numbers >> (3 * bit + channel) & 1) << (7 - bit)
    return colours.astype(np.uint8)


def painted(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A mask's colours over its image in gray, small ones enlarged by a whole factor: uint8 `[f·H, f·W, 3]`.

    Args:
        image: uint8 `[H, W, C]`.
        mask: class numbers, uint8 `[H, W]`, 255 for void.
    """
    gray = image.mean(axis=2, keepdims=True)
    mixed = (_SHOWN * gray + (1 - _SHOWN) * palette()[mask]).round().astype(np.uint8)
    factor = -(-_SMALLEST // min(mask.shape))
    return mixed.repeat(factor, axis=0).repeat(factor, axis=1)


def write_mask(file: Path, mask: np.ndarray, numbers: Sequence[int]) -> None:
    """A PNG file of class numbers: with a palette, or in 16 bits where one is above 255. Void is 255, or 65,535 in
    16 bits; where that is a class's own number, the highest that is none's.

    Args:
        mask: places in `numbers`, uint8 `[H, W]`, 255 for void.
        numbers: of each class.
    """
    from PIL import Image

    most = _BYTE if max(numbers) <= _BYTE else _TWO_BYTES
    table = np.full(VOID + 1, max(set(range(most - VOID, most + 1)) - set(numbers)), np.int64)
    table[: len(numbers)] = numbers
    told = table[mask]
    if most == _BYTE:
        picture = Image.fromarray(told.astype(np.uint8))
        picture.putpalette(palette().tobytes())
    else:
        picture = Image.fromarray(told.astype(np.uint16))
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file, "PNG")
