"""Which test images the report shows, each beside what the model read and what it answered."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from llmimg.report.record import Example
from llmimg.tasks.figures import Shown
from llmimg.tasks.measure import Table, truths_of

SHOWN = 8


def evenly(count: int) -> np.ndarray:
    """Up to `SHOWN` places out of `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(SHOWN, count)).round().astype(int))


def worst(table: Table, best: float | None) -> np.ndarray:
    """Up to `SHOWN` places of predictions.parquet whose score is lowest, the worst first.

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
    places = np.argsort(scores, kind="stable")
    return places[mistaken[places]][:SHOWN]


def make_examples(
    places: np.ndarray,
    shown: Sequence[Shown],
    table: Table,
    remark: Callable[[Mapping[str, Any]], str],
    drawn: Sequence[tuple[np.ndarray | None, np.ndarray | None]] = (),
) -> list[Example]:
    """Examples of the test split.

    Args:
        places: which rows of `table`.
        shown: the image of each place, and what was read of it.
        table: the columns of predictions.parquet.
        remark: of the task.
        drawn: truth and prediction of each place as images; empty where words say them.
    """
    pairs = drawn or [(None, None)] * len(places)
    return [
        _example({name: column[place] for name, column in table.items()}, image, pair, remark)
        for place, image, pair in zip(places.tolist(), shown, pairs, strict=True)
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
