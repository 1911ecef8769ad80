import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.data.balance import balanced, check_balance
from llmimg.errors import UserError


@given(st.lists(st.sampled_from([0, 1, 4]), min_size=1, max_size=60), st.integers(0, 2**32 - 1), st.integers(0, 50))
def test_classes_come_equally_often_and_so_do_the_rows_of_each(labels, seed, epoch):
    labels = np.array(labels)
    positions, before = balanced(labels, seed, epoch)
    assert len(positions) == len(before) == len(labels)
    assert len({*zip(positions.tolist(), before.tolist(), strict=True)}) == len(labels)
    counts = np.bincount(labels[positions], minlength=5)[np.unique(labels)]
    assert np.ptp(counts) <= 1
    for label in np.unique(labels):
        assert np.ptp(np.bincount(positions, minlength=len(labels))[labels == label]) <= 1
    again = balanced(labels, seed, epoch)
    assert np.array_equal(positions, again[0]) and np.array_equal(before, again[1])


def test_a_class_without_a_training_image_is_named():
    check_balance(["cat", "dog"], np.array([1, 0]))
    with pytest.raises(UserError, match=r"no training image is of dog, tree: set data\.balance=false"):
        check_balance(["cat", "dog", "tree"], np.array([0, 0]))
