"""Scores of several labels an image: scikit-learn's, of the same rows as often."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, log_loss

from llmimg.errors import UserError
from llmimg.metrics.labels import Labels

# Of each image and class: whether it holds, whether it is said to, and one of few probabilities: many are equal.
CELLS = st.tuples(st.booleans(), st.booleans(), st.sampled_from([0.0, 0.2, 0.5, 0.5000001, 0.9]))


@st.composite
def scored(draw) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    images, classes = draw(st.integers(1, 12)), draw(st.integers(2, 4))  # of one, they know no labels
    cells = draw(st.lists(CELLS, min_size=images * classes, max_size=images * classes))
    truth, said, probabilities = (np.array(each).reshape(images, classes) for each in zip(*cells, strict=True))
    truth[0, 0] = True
    return truth, said, probabilities


@given(scored(), st.integers(0, 100))
def test_they_are_scikit_learns_of_rows_as_often_as_weights_say(of_rows, seed):
    truth, said, probabilities = of_rows
    weights = np.random.default_rng(seed).integers(0, 4, len(truth))
    weights[0] = max(weights[0], 1)
    rows = np.repeat(np.arange(len(truth)), weights)
    found = Labels(truth, said, probabilities).values(weights)
    truth, said, probabilities = truth[rows], said[rows], probabilities[rows]
    known = truth.any(axis=0)
    precision = average_precision_score(truth[:, known], probabilities[:, known], average=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        macro = f1_score(truth, said, average="macro", zero_division=np.nan)
        micro = f1_score(truth, said, average="micro")
    expected = {"map": np.mean(precision), "f1_micro": micro, "f1_macro": macro}
    assert found == pytest.approx({**expected, "exact_match": accuracy_score(truth, said)})


def test_each_class_and_each_row_by_itself():
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]], bool)
    said = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], bool)
    probabilities = np.array([[0.9, 0.1, 0.1], [0.3, 0.8, 0.2], [0.4, 0.1, 0.7]])
    score = Labels(truth, said, probabilities)
    by_class = score.by_class()
    np.testing.assert_array_equal(by_class["images"], [2, 1, 0])
    np.testing.assert_allclose(by_class["average_precision"], [(1 + 2 / 3) / 2, 1, np.nan])
    np.testing.assert_allclose(by_class["precision"], [1, 1, 0])
    np.testing.assert_allclose(by_class["recall"], [0.5, 1, np.nan])
    np.testing.assert_allclose(by_class["f1"], [2 / 3, 1, 0])
    np.testing.assert_allclose(score.per_row(), [1, 2 / 3, 0])
    np.testing.assert_allclose(Labels(truth, truth, probabilities).per_row(), 1)  # nothing is, and nothing is said
    pairs = zip(truth.T, probabilities.T, strict=True)
    expected = np.mean([log_loss(one, other, labels=[0, 1]) for one, other in pairs])
    assert score.loss() == pytest.approx(expected)


def test_intervals_hold_their_score():
    rng = np.random.default_rng(0)
    truth = rng.random((60, 3)) < 0.4
    probabilities = np.clip(truth * 0.3 + rng.random(truth.shape) * 0.7, 0, 1)
    found = Labels(truth, probabilities >= 0.5, probabilities).metrics()
    for name in ("map", "f1_micro", "f1_macro", "exact_match"):
        assert 0 <= found[f"{name}_low"] < found[name] < found[f"{name}_high"] <= 1
    alone = Labels(truth, probabilities >= 0.5, probabilities).metrics(intervals=False)
    assert alone == {name: found[name] for name in ("map", "f1_micro", "f1_macro", "exact_match")}


@pytest.mark.parametrize(
    ("truth", "probabilities", "message"),
    [
        (np.zeros((0, 2), bool), np.zeros((0, 2)), "There is no image to score"),
        (np.zeros((3, 2), bool), np.zeros((3, 2)), "None of the 3 images to score has a label"),
        (np.ones((3, 2), bool), np.array([[0.1, 0.2], [np.nan, 1], [0, 1]]), "diverged: .* for 1 of 3 images"),
    ],
)
def test_what_cannot_be_scored_is_said(truth, probabilities, message):
    with pytest.raises(UserError, match=message):
        Labels(truth, truth, probabilities)
