"""Texture words, from the contrast of gray-level co-occurrence (Haralick, Shanmugam and Dinstein, 1973).

The contrast of a region at an offset is the mean squared difference between the brightness of its pixels and of those
that lie so far from them. It is what scikit-image's `graycoprops(graycomatrix(…), "contrast")` gives, here for all
regions of a batch at once, and without the matrix.
"""

import numpy as np

from llmimg.textify.pixel import brightness

TEXTURES = (
    "smooth",
    "striped horizontally",
    "striped vertically",
    "striped diagonally",
    "checkered",
    "grainy",
)
_SMOOTH = 16.0**2  # neighbours that differ by less than 16 of 255 on (quadratic) average, whichever way one goes
_ALONG = 0.3  # along stripes there is less than this part of the contrast across
_SQUARES = (1, 2, 3, 4, 6, 8)  # sides of a checkerboard's squares, in pixels, that are looked for
_CORRELATED = 0.5


def textures(images: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """int64 `[count]`: the index in `TEXTURES` of each region.

    With contrasts between neighbours in four directions: `smooth`, if all are small. `striped` along the direction of
    least contrast, if that is less than 0.3 of the next. `checkered`, if there is a side s at which pixels s to the
    right and s below are unlike (correlation below −0.5) and those s to the right and below are alike (above 0.5). Else
    `grainy`.

    Args:
        images: uint8 `[N, H, W, C]`.
        labels: int `[N, H, W]`, the region of each pixel, from 0 to count − 1.
    """
    gray = brightness(images).astype(np.int32)
    across, down, falling, rising = (contrast(gray, labels, count, *each) for each in ((0, 1), (1, 0), (1, 1), (1, -1)))
    four = np.nan_to_num(np.stack([across, down, falling, rising]))
    ordered = np.sort(four, axis=0)
    found = np.full(count, TEXTURES.index("grainy"))
    # Correlation is 1 − contrast / (2 · variance).
    flat, areas = labels.reshape(-1), np.maximum(np.bincount(labels.reshape(-1), minlength=count), 1)
    mean, square = (np.bincount(flat, each.reshape(-1), count) / areas for each in (gray, gray**2))
    spread = np.maximum(2 * (square - mean**2), 1e-9)
    for side in _SQUARES:
        if side >= min(gray.shape[1:]):
            break
        right, below, both = (
            1 - contrast(gray, labels, count, *each) / spread for each in ((0, side), (side, 0), (side, side))
        )
        found[(right < -_CORRELATED) & (below < -_CORRELATED) & (both > _CORRELATED)] = TEXTURES.index("checkered")
    names = np.array([TEXTURES.index(f"striped {way}") for way in ("horizontally", "vertically", *["diagonally"] * 2)])
    striped = ordered[0] < _ALONG * ordered[1]  # neither diagonal of a fine checkerboard differs: none is least
    found[striped] = names[four.argmin(axis=0)][striped]
    found[four.max(axis=0) < _SMOOTH] = TEXTURES.index("smooth")
    return found


def contrast(gray: np.ndarray, labels: np.ndarray, count: int, down: int, right: int) -> np.ndarray:
    """The mean squared difference between pixels of a region and those `down` (0 or more) and `right` of them in the
    same region: float64 `[count]`, NaN where there are none.

    Args:
        gray: brightness, int32 `[N, H, W]`.
        labels, count: as of `textures`.
    """
    height, width = gray.shape[1:]
    here = slice(max(0, -right), width - max(0, right))
    there = slice(max(0, right), width - max(0, -right))
    first, second = (slice(None), slice(0, height - down), here), (slice(None), slice(down, height), there)
    same = labels[first] == labels[second]
    region = labels[first][same]
    difference = (gray[first] - gray[second])[same]
    pairs = np.bincount(region, minlength=count)
    with np.errstate(invalid="ignore"):
        return np.bincount(region, difference**2, count) / np.where(pairs, pairs, np.nan)
