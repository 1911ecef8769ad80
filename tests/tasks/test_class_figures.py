"""What is drawn of classes, counted by hand."""

import numpy as np
import pytest

from llmimg.tasks.class_figures import class_figures

TRUTHS, SAID = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0, 1])
NAMES = ("ant", "bee", "cat", "dog")


def test_confusions_and_classes():
    matrix, bars = class_figures(TRUTHS, SAID, NAMES)
    assert matrix.values.tolist() == [[1, 2, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert matrix.rows == matrix.columns == bars.names == NAMES and "would be right for 50.0 %" in matrix.meaning
    assert bars.columns["images"].tolist() == [3, 2, 1, 0] and bars.columns["right"].tolist() == [1, 1, 0, 0]
    np.testing.assert_allclose(bars.columns["accuracy (recall)"], [1 / 3, 1 / 2, 0, np.nan])
    np.testing.assert_allclose(bars.columns["precision"], [1 / 2, 1 / 4, np.nan, np.nan])
    assert bars.words["most often mistaken for"] == ("bee (2)", "ant (1)", "bee (1)", "")
    assert set(bars.units) == set(bars.columns)


def test_reliability_has_a_point_for_each_sureness_that_there_is():
    probabilities = np.full((6, 4), 0.1)
    probabilities[np.arange(6), SAID] = 0.7
    *_, curve = class_figures(TRUTHS, SAID, NAMES, probabilities)
    (sure, right), (_, images) = curve.lines.values()
    assert curve.diagonal and images == pytest.approx([1])
    assert (sure, right) == (pytest.approx([0.7]), pytest.approx([1 / 3]))
