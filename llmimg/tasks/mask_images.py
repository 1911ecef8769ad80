"""Masks on their images: brought to size, coloured, and as PNG files of class numbers."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from llmimg.atomic import replacing
from llmimg.data.annotations.moving import VOID
from llmimg.data.placement import Placement, stretched
from llmimg.tasks.base import Row
from llmimg.tasks.drawing import class_colours, enlarged

_GRAY = 128  # of void
_SHOWN = 0.35  # how much of the image is seen through its mask
_SWATCH = 32  # pixels
_BYTE, _TWO_BYTES = 255, 65535


@dataclass(frozen=True, eq=False)
class Mask:
    """Classes of an image.

    Attributes:
        cells: class numbers, uint8 `[h, w]`, 255 for void.
        seen: whether they are spread evenly over what the model sees, rather than over the image.
        size: (height, width) of the image; None fits to any.
        placement: of the image in what the model sees; None where it is that.
        pieces: how many it was written with, where it was.
        problem: why an answer could not be read, or not to its end.
    """

    cells: np.ndarray
    seen: bool = False
    size: tuple[int, int] | None = None
    placement: Placement | None = None
    pieces: int | None = None
    problem: str | None = None

    def on(self, row: Row) -> Self:
        """As it lies on the image of a row."""
        placement = row.get("placement") if self.seen else None
        return dataclasses.replace(self, size=tuple(row["size"]), placement=placement)

    def full(self, size: tuple[int, int] | None = None) -> np.ndarray:
        """uint8 `[*size]`, by the nearest cell; void where the model saw nothing. The size is the image's own, if it is
        not given."""
        own = self.size or self.cells.shape
        mask = stretched(self.cells, own if self.placement is None else self.placement.size)
        if self.placement is not None:
            mask = self.placement.inverse(own).mask(mask, VOID)
        return mask if size is None else stretched(mask, size)

    def shares(self, classes: int) -> np.ndarray:
        """The share of its pixels that each class has, and of those that are void: float64 `[classes + 1]`."""
        mask = self.full()
        return np.bincount(mask.reshape(-1), minlength=VOID + 1)[[*range(classes), VOID]] / mask.size


def draw_mask(image: np.ndarray, mask: np.ndarray, classes: int, ground: int | None = None) -> np.ndarray:
    """The colours of a mask over its image in gray, enlarged as boxes are: uint8 `[H', W', 3]`.

    Args:
        image: uint8 `[H, W, C]`.
        mask: class numbers, uint8 `[H, W]`, 255 for void, which is gray.
        classes: how many there are.
        ground: the class that is left without a colour.
    """
    gray = image.mean(axis=2, keepdims=True)
    mixed = np.where((mask == ground)[..., None], gray, _SHOWN * gray + (1 - _SHOWN) * _colours(classes)[mask])
    return enlarged(mixed.round().astype(np.uint8))[0]


def swatches(classes: int) -> tuple[np.ndarray, ...]:
    """A square of the colour of each class, and of void: uint8 `[32, 32, 3]` each."""
    colours = _colours(classes)[[*range(classes), VOID]]
    return tuple(np.broadcast_to(colour, (_SWATCH, _SWATCH, 3)) for colour in colours)


def _colours(classes: int) -> np.ndarray:
    """uint8 `[256, 3]`, by class number."""
    colours = np.full((VOID + 1, 3), _GRAY, np.uint8)
    colours[:classes] = class_colours(classes)
    return colours


def write_mask(file: Path, mask: np.ndarray, numbers: Sequence[int]) -> None:
    """Write a PNG file of class numbers: with the colours of drawings as its palette, or in 16 bits where a number is
    above 255. Void is 255, or 65,535 in 16 bits; where that is a class's own number, the highest that is none's.

    Args:
        mask: indices in `numbers`, uint8 `[H, W]`, 255 for void.
        numbers: of each class.
    """
    from PIL import Image

    most = _BYTE if max(numbers) <= _BYTE else _TWO_BYTES
    table = np.full(VOID + 1, max(set(range(most - VOID, most + 1)) - set(numbers)))
    table[: len(numbers)] = numbers
    if most == _BYTE:
        picture = Image.fromarray(table[mask].astype(np.uint8))
        palette = np.full((VOID + 1, 3), _GRAY, np.uint8)
        palette[list(numbers)] = class_colours(len(numbers))
        picture.putpalette(palette.tobytes())
    else:
        picture = Image.fromarray(table[mask].astype(np.uint16))
    with replacing(file) as part:
        picture.save(part, "PNG")
