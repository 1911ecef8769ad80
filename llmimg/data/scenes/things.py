"""How a thing is drawn: the patch of every digit or shape in every size.

A digit is one of scikit-learn's 1,797 handwritten images of 8x8, scaled linearly; each split has images of its own. A
shape is drawn eight times as fine as its pixels and averaged. A pixel is painted where at least a quarter of it is
covered, and left alone otherwise, so that what is painted, its box and its mask are the same.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

SHAPES = ("circle", "square", "triangle", "cross")
COLORS = {
    "red": (230, 40, 40),
    "green": (40, 190, 60),
    "blue": (60, 90, 245),
    "yellow": (240, 220, 40),
    "cyan": (40, 210, 220),
    "magenta": (225, 60, 220),
    "orange": (245, 135, 20),
    "white": (240, 240, 240),
}
_FINE = 8  # sub-pixels a side
_PAINTED = 64  # the least coverage, of 255
_DIGIT_PARTS = {"train": (0, 1293), "validation": (1293, 1437), "test": (1437, 1797)}  # of scikit-learn's images


@dataclass(frozen=True)
class Things:
    """All that can be drawn. Patch number e · len(sizes) + s is exemplar e in size s.

    Attributes:
        names: of the classes.
        colors: names of the colours; none where there is only one.
        paints: uint8 [colours, C].
        coverage: uint8 [patches, S, S], 0 where nothing is painted; the painted pixels begin at the upper left corner.
        heights, widths: int64 [patches], of the painted pixels' box.
        areas: int64 [patches], painted pixels.
        categories: int64 [exemplars], the class of each.
        exemplars: split → int64, which exemplars its scenes may use.
        sizes: how many sizes there are.
    """

    names: tuple[str, ...]
    colors: tuple[str, ...]
    paints: np.ndarray
    coverage: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    areas: np.ndarray
    categories: np.ndarray
    exemplars: Mapping[str, np.ndarray]
    sizes: int


@functools.lru_cache(maxsize=8)
def make_things(kind: str, sizes: tuple[int, ...]) -> Things:
    """Draw every "digits" or "shapes" in these sizes (pixels a side)."""
    if kind == "digits":
        return _digits(sizes)
    patches = [_shape(name, size) for name in SHAPES for size in sizes]
    everywhere = dict.fromkeys(_DIGIT_PARTS, np.arange(len(SHAPES)))
    paints = np.array(list(COLORS.values()), np.uint8)
    return _things(SHAPES, tuple(COLORS), paints, patches, np.arange(len(SHAPES)), everywhere, sizes)


def _digits(sizes: tuple[int, ...]) -> Things:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = np.round(pixels.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    patches = [cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR) for image in images for size in sizes]
    exemplars = {split: np.arange(*part) for split, part in _DIGIT_PARTS.items()}
    names = tuple(str(number) for number in range(10))
    white = np.array([[255]], np.uint8)
    return _things(names, (), white, patches, np.asarray(labels, np.int64), exemplars, sizes)


def _things(names, colors, paints, patches, categories, exemplars, sizes) -> Things:
    side = sizes[-1]
    coverage = np.zeros((len(patches), side, side), np.uint8)
    heights, widths = np.zeros((2, len(patches)), np.int64)
    for number, patch in enumerate(patches):
        painted = patch >= _PAINTED
        rows, columns = np.flatnonzero(painted.any(1)), np.flatnonzero(painted.any(0))
        tight = np.where(painted, patch, 0)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        heights[number], widths[number] = tight.shape
        coverage[number, : tight.shape[0], : tight.shape[1]] = tight
    areas = (coverage > 0).sum(axis=(1, 2))
    return Things(names, colors, paints, coverage, heights, widths, areas, categories, exemplars, len(sizes))


def _shape(name: str, size: int) -> np.ndarray:
    """uint8 [size, size]: how much of each pixel the shape covers, 255 being all."""
    axis = (np.arange(size * _FINE) + 0.5) / (size * _FINE) * 2 - 1  # −1 to 1 from edge to edge
    y, x = axis[:, None], axis[None]
    inside = {
        "circle": x**2 + y**2 <= 1,
        "square": np.maximum(abs(x), abs(y)) <= 1,
        "triangle": abs(x) <= (y + 1) / 2,
        "cross": np.minimum(abs(x), abs(y)) <= 1 - 2 * round(size / 3) / size,  # arms begin between two pixels
    }[name]
    share = inside.reshape(size, _FINE, size, _FINE).mean(axis=(1, 3))
    return np.round(share * 255).astype(np.uint8)
