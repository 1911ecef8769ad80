"""In which order the cells of a grid are read."""

import functools
from collections.abc import Callable
from typing import Literal

import numpy as np


def raster(rows: int, columns: int) -> np.ndarray:
    """Row by row, each from the left."""
    return np.arange(rows * columns)


def snake(rows: int, columns: int) -> np.ndarray:
    """Row by row, every second one from the right: neighbours in the text are neighbours in the image."""
    cells = np.arange(rows * columns).reshape(rows, columns)
    cells[1::2] = cells[1::2, ::-1]
    return cells.reshape(-1)


def hilbert(rows: int, columns: int) -> np.ndarray:
    """Along Hilbert's curve (1891) through the smallest enclosing square of a power of two; cells outside are left
    out."""
    side = 1 << (max(rows, columns) - 1).bit_length()
    cell = np.arange(side * side)
    x, y, rest, step = np.zeros_like(cell), np.zeros_like(cell), cell.copy(), 1
    while step < side:
        right = (rest >> 1) & 1
        down = (rest ^ right) & 1
        turned = down == 0
        mirrored = turned & (right == 1)
        x, y = np.where(mirrored, step - 1 - x, x), np.where(mirrored, step - 1 - y, y)
        x, y = np.where(turned, y, x), np.where(turned, x, y)
        x, y, rest, step = x + step * right, y + step * down, rest >> 2, step * 2
    inside = (x < columns) & (y < rows)
    return (y * columns + x)[inside]


def center_out(rows: int, columns: int) -> np.ndarray:
    """From the middle outwards by distance, around each ring by angle."""
    row, column = np.indices((rows, columns)).reshape(2, -1)
    down, right = 2 * row - (rows - 1), 2 * column - (columns - 1)  # whole numbers, so that distances tie exactly
    return np.lexsort((np.arctan2(down, right), down**2 + right**2))


def coarse_to_fine(rows: int, columns: int) -> np.ndarray:
    """Every 2^k-th cell of every 2^k-th row, then those between, down to each: a small picture first, then a larger."""
    row, column = np.indices((rows, columns)).reshape(2, -1)
    both = row | column
    lowest = np.where(both == 0, rows * columns + 1, both & -both)  # the coarsest grid that a cell stands on
    return np.lexsort((np.arange(rows * columns), -lowest))


Order = Literal["raster", "snake", "hilbert", "center_out", "coarse_to_fine"]
ORDERS: dict[Order, Callable[[int, int], np.ndarray]] = {
    "raster": raster,
    "snake": snake,
    "hilbert": hilbert,
    "center_out": center_out,
    "coarse_to_fine": coarse_to_fine,
}


@functools.lru_cache(maxsize=64)
def reading_order(name: Order, rows: int, columns: int) -> np.ndarray:
    """int64 `[rows · columns]`: the cell (counted row by row) that stands at each position of the text."""
    order = ORDERS[name](rows, columns).astype(np.int64)
    order.setflags(write=False)  # it is shared
    return order
