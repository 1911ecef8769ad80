"""Where what is right comes among all that it is held against."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def hit_matrix(own: Sequence[Sequence[str]], pool: Sequence[str]) -> np.ndarray:
    """Which texts of a pool are an image's own: bool `[images, texts]`."""
    number = {text: index for index, text in enumerate(pool)}
    hits = np.zeros((len(own), len(pool)), bool)
    for row, texts in enumerate(own):
        hits[row, [number[text] for text in texts]] = True
    return hits


def best_rank(scores: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """The rank, from 1, of the best that is right, int64 `[Q]`; what scores as much as it and is wrong comes before it.

    Args:
        scores: float `[Q, M]`, of each query and all that it is held against.
        hits: which are right, bool `[Q, M]`, one a query at least.
    """
    best = np.where(hits, scores, -np.inf).max(axis=1, keepdims=True)
    return 1 + ((scores >= best) & ~hits).sum(axis=1)


def recall(ranks: Sequence[Any] | np.ndarray, most: int) -> np.ndarray:
    """Of each query the share of its ranks, int `[R]` each, that are among the first `most`: float64 `[Q]`."""
    return np.array([np.mean(np.asarray(each) <= most) for each in ranks], np.float64)
