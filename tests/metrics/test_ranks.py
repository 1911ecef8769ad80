"""Where what is right comes among all."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llmimg.metrics.ranks import best_rank, ranked, recall


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_rank_counts_all_wrong_ones_that_score_as_much(queries, texts, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, (queries, texts)).astype(float)  # ties
    hits = rng.random((queries, texts)) < 0.3
    hits[np.arange(queries), rng.integers(texts, size=queries)] = True
    for rank, row, right in zip(best_rank(scores, hits), scores, hits, strict=True):
        best = max(score for score, is_right in zip(row, right, strict=True) if is_right)
        assert rank == 1 + sum(score >= best and not is_right for score, is_right in zip(row, right, strict=True))


def test_what_is_ranked_a_few_queries_at_a_time_is_as_of_the_whole_matrix():
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, 300, (1100, 1300)).astype(float)  # more than are ranked at once; ties
    right = [rng.choice(1300, size=1 + query % 3, replace=False).tolist() for query in range(1100)]
    hits = np.zeros(matrix.shape, bool)
    for query, each in enumerate(right):
        hits[query, each] = True
    asked = []

    def scores(some: slice) -> np.ndarray:
        asked.append(some)
        return matrix[some]

    found = list(ranked(scores, right, 1300, 4))
    assert len(asked) > 1
    assert [each.rank for each in found] == best_rank(matrix, hits).tolist()
    order = np.argsort(-matrix, axis=1, kind="stable")[:, :4]
    assert np.array_equal([each.first for each in found], order)
    assert np.array_equal([each.scores for each in found], np.take_along_axis(matrix, order, axis=1))
    assert [len(each.first) for each in ranked(scores, right[:2], 1300)] == [0, 0]


def test_recall_is_the_share_of_ranks_among_the_first():
    assert recall([[1, 6], [2], [11]], 5).tolist() == [0.5, 1, 0]
