"""Masks as grids of a few cells, and what each cell holds."""

import numpy as np

from llmimg.data.annotations.moving import VOID
from llmimg.data.placement import nearest_pixels, stretched


def pooled(mask: np.ndarray, grid: tuple[int, int], classes: int, last: int | None = None) -> np.ndarray:
    """What most pixels of each cell are of.

    A cell's pixels are those that it gives its class to when the grid is stretched back over the image, so that
    what is lost there and back is as little as can be. Void pixels do not vote, unless all of a cell are. Where
    classes tie, `last` loses, and the lower number wins.

    Args:
        mask: class numbers, uint8 `[H, W]`, 255 for void.
        grid: rows and columns; where there are more of them than pixels, a cell takes its nearest pixel's class.
        classes: how many there are, K.

    Returns:
        uint8 `[*grid]`.
    """
    height, width = (max(pixels, cells) for pixels, cells in zip(mask.shape, grid, strict=True))
    mask = stretched(mask, (height, width))
    cell = nearest_pixels(height, grid[0])[:, None] * grid[1] + nearest_pixels(width, grid[1])
    votes = class_counts(mask, cell, grid[0] * grid[1], classes)
    standing = 2 * votes
    if last is not None:
        standing[:, last] -= 1
    return np.where(votes.any(axis=1), standing.argmax(axis=1), VOID).astype(np.uint8).reshape(grid)


def class_counts(mask: np.ndarray, group: np.ndarray, groups: int, classes: int) -> np.ndarray:
    """How many pixels of each class each group has, int64 `[groups, K]`; void ones are not counted.

    Args:
        mask: class numbers, 255 for void.
        group: int, of the same shape, the group of each pixel.
    """
    known = mask != VOID
    pair = group[known] * classes + mask[known]
    return np.bincount(pair, minlength=groups * classes).reshape(groups, classes)
