import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.data.shots import draw_shots
from llmimg.errors import UserError


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 30), st.integers(0, 100))
def test_shots_are_of_all_classes_as_evenly_as_goes(labels, count, seed):
    broken, rows = [7, 7, 7], np.arange(3, 3 + len(labels))  # of a class that no whole image has
    labels = np.array([*broken, *labels])
    if count > len(rows):
        with pytest.raises(UserError, match=r"task\.shots"):
            draw_shots(labels, rows, count, seed)
        return
    shots = draw_shots(labels, rows, count, seed)
    assert len(set(shots)) == count and set(shots) <= set(rows)
    assert np.array_equal(shots, draw_shots(labels, rows, count, seed))
    drawn = np.bincount(labels[shots], minlength=5) if count else np.zeros(5, int)
    there = np.bincount(labels[rows], minlength=5)
    # No class has two more than another that could have had one more.
    assert all(drawn[a] <= drawn[b] + 1 for a in range(5) for b in range(5) if drawn[b] < there[b])


def test_shots_differ_with_the_seed():
    labels = np.arange(100) % 5
    assert len({tuple(draw_shots(labels, np.arange(100), 5, seed)) for seed in range(20)}) > 15
