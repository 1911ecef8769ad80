import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.textify.order import ORDERS, reading_order


@given(st.sampled_from(list(ORDERS)), st.integers(1, 40), st.integers(1, 40))
def test_every_cell_is_read_once(name, rows, columns):
    assert sorted(reading_order(name, rows, columns)) == list(range(rows * columns))


@pytest.mark.parametrize("side", [1, 2, 4, 8, 32])
@pytest.mark.parametrize("name", ["snake", "hilbert"])
def test_neighbours_in_the_text_are_neighbours_in_the_image(name, side):
    row, column = np.divmod(reading_order(name, side, side), side)
    assert (np.abs(np.diff(row)) + np.abs(np.diff(column)) == 1).all()


def test_orders_of_small_grids():
    assert reading_order("raster", 2, 3).tolist() == [0, 1, 2, 3, 4, 5]
    assert reading_order("snake", 2, 3).tolist() == [0, 1, 2, 5, 4, 3]
    assert reading_order("center_out", 3, 3)[0] == 4
    assert set(reading_order("center_out", 3, 3)[-4:]) == {0, 2, 6, 8}
    assert reading_order("coarse_to_fine", 4, 4).tolist()[:4] == [0, 2, 8, 10]


def test_a_hilbert_curve_stays_near():
    """A quarter of the text is a quarter of the image."""
    row, column = np.divmod(reading_order("hilbert", 8, 8)[:16], 8)
    assert np.ptp(row) == np.ptp(column) == 3
