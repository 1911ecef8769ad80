"""Where what is right comes among all that it is held against."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

_MOST_SCORES = 2**20  # at once

Scores = Callable[[slice], np.ndarray]  # some queries → float64 [Q, M], of each and all that it is held against


class Ranked(NamedTuple):
    """What a query finds.

    Attributes:
        rank: of the best that is right, from 1; what scores as much as it and is wrong comes before it.
        first: int64 `[K]`, those that score most, the best first.
        scores: float64 `[K]`, theirs.
        nats: what its right ones cost, on average, as softmax takes the scores, each beside the wrong ones alone.
    """

    rank: int
    first: np.ndarray
    scores: np.ndarray
    nats: float


def ranked(
    scores: Scores, right: Sequence[Sequence[int]], among: int, count: int = 0, temperature: float = 1.0
) -> Iterator[Ranked]:
    """What each query finds, without the scores of all being there at once.

    Args:
        scores: gives those of some queries.
        right: of each query which are right, one at least.
        among: how many each is held against.
        count: how many of the first to give.
        temperature: what scores are divided by before softmax.
    """
    step = max(_MOST_SCORES // max(among, 1), 1)
    for start in range(0, len(right), step):
        some = slice(start, min(start + step, len(right)))
        found = scores(some)
        hits = np.zeros(found.shape, bool)
        for row, each in enumerate(right[some]):
            hits[row, list(each)] = True
        first = np.argsort(-found, axis=1, kind="stable")[:, :count] if count else np.empty((len(found), 0), np.int64)
        wrong = np.logaddexp.reduce(np.where(hits, -np.inf, found / temperature), axis=1)
        nats = [
            float(np.mean(np.logaddexp(0, wrong[row] - found[row, list(each)] / temperature))) if len(each) else 0.0
            for row, each in enumerate(right[some])
        ]
        yield from map(Ranked, best_rank(found, hits).tolist(), first, np.take_along_axis(found, first, axis=1), nats)


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
