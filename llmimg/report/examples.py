"""Which test images the report shows, each beside what the model read and what it answered."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from llmimg.report.record import Example
from llmimg.tasks.figures import Shown
from llmimg.tasks.measure import Table, truths_of

SHOWN = 8


def evenly(count: int) -> np.ndarray:
    """Up to `SHOWN` indices out of `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(SHOWN, count)).round().astype(int))


def worst(table: Table, best: float | None) -> np.ndarray:
    """Up to `SHOWN` rows of predictions.parquet whose score is lowest, the worst first.

    Args:
        best: the score than which none is better: that is no mistake. Where it is not known (None), a prediction in
            the words of the truth is none.
    """
    scores, truths, predictions = np.array(table["score"], np.float64), truths_of(table), table.get("prediction")
    if best is not None:
        mistaken = scores < best
    elif truths is not None and predictions is not None:
        mistaken = np.array([truth != said for truth, said in zip(truths, predictions, strict=True)], bool)
    else:
        mistaken = np.ones(len(scores), bool)
    indices = np.argsort(scores, kind="stable")
    return indices[mistaken[indices]][:SHOWN]


def make_examples(
    indices: np.ndarray,
    shown: Sequence[Shown],
    table: Table,
    remark: Callable[[Mapping[str, Any]], str],
    drawn: Sequence[tuple[np.ndarray | None, np.ndarray | None]] = (),
) -> list[Example]:
    """Examples of the test split.

    Args:
        indices: which rows of `table`.
        shown: the image of each index, and what was read of it.
        table: the columns of predictions.parquet.
        remark: of the task.
        drawn: truth and prediction of each index as images; empty where words say them.
    """
    pairs = drawn or [(None, None)] * len(indices)
    return [
        _example({name: column[index] for name, column in table.items()}, image, pair, remark)
        for index, image, pair in zip(indices.tolist(), shown, pairs, strict=True)
    ]


def _example(
    row: Mapping[str, Any],
    shown: Shown,
    drawn: tuple[np.ndarray | None, np.ndarray | None],
    remark: Callable[[Mapping[str, Any]], str],
) -> Example:
    truth = truths_of({name: [value] for name, value in row.items()})
    return Example(
        id=str(row["id"]),
        **vars(shown),
        truth=str(truth[0]) if truth else "",
        prediction=str(row.get("prediction", "")),
        score=float(row["score"]),
        remark=remark(row),
        truth_drawn=drawn[0],
        prediction_drawn=drawn[1],
    )
