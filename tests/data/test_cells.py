"""Masks as grids of cells: what most pixels of each are of."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llmimg.data import VOID
from llmimg.data.cells import class_counts, pooled
from llmimg.data.placement import nearest_pixels, stretched

sides = st.integers(1, 12)
seeds = st.integers(0, 2**32 - 1)


def made_up(height: int, width: int, seed: int, classes: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).choice([*range(classes), VOID], (height, width)).astype(np.uint8)


@given(sides, sides, sides, sides, seeds)
def test_a_grid_lies_where_it_was_taken_from(rows, columns, factor_down, factor_across, seed):
    grid = made_up(rows, columns, seed)
    size = rows * factor_down, columns * factor_across
    assert (pooled(stretched(grid, size), grid.shape, 4) == grid).all()


@given(sides, sides, sides, sides, seeds, st.sampled_from([None, 0, 2]))
def test_what_most_pixels_of_a_cell_are_of(height, width, rows, columns, seed, last):
    mask = made_up(height, width, seed)
    found = pooled(mask, (rows, columns), 4, last)
    # The pixels that a cell gives its class to; where it gives it to none, the nearest one.
    cells = stretched(np.arange(rows * columns).reshape(rows, columns), (height, width))
    near = stretched(np.arange(height * width).reshape(height, width), (rows, columns)).reshape(-1)
    for cell, label in enumerate(found.reshape(-1)):
        if rows <= height and columns <= width:
            pixels = mask[cells == cell]
        elif rows > height and columns > width:
            pixels = mask.reshape(-1)[near[cell : cell + 1]]
        else:
            continue
        votes = np.bincount(pixels[pixels != VOID], minlength=4)
        if not votes.any():
            assert label == VOID
            continue
        best = np.flatnonzero(votes == votes.max())
        assert label == (best[0] if len(best) == 1 or best[0] != last else best[1])


def test_ties_go_to_what_stands_out():
    mask = np.array([[0, 1], [2, VOID]], np.uint8)
    assert pooled(mask, (1, 1), 3).item() == 0
    assert pooled(mask, (1, 1), 3, last=0).item() == 1
    assert pooled(mask, (1, 1), 3, last=1).item() == 0
    assert pooled(np.full((2, 2), VOID, np.uint8), (1, 1), 3, last=0).item() == VOID


def test_the_nearest_pixel_is_that_in_the_middle():
    assert nearest_pixels(4, 4).tolist() == [0, 1, 2, 3]
    assert nearest_pixels(2, 6).tolist() == [1, 4]
    assert nearest_pixels(6, 2).tolist() == [0, 0, 0, 1, 1, 1]
    assert nearest_pixels(1, 1).tolist() == [0]


def test_classes_are_counted_by_group():
    mask = np.array([[0, 1, 1], [VOID, 0, 1]], np.uint8)
    group = np.array([[0, 0, 1], [1, 1, 1]])
    assert class_counts(mask, group, 3, 2).tolist() == [[1, 1], [1, 2], [0, 0]]
