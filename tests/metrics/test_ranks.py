"""Where what is right comes among all."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llmimg.metrics.ranks import best_rank, hit_matrix, recall


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_rank_counts_all_wrong_ones_that_score_as_much(queries, texts, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, (queries, texts)).astype(float)  # ties
    hits = rng.random((queries, texts)) < 0.3
    hits[np.arange(queries), rng.integers(texts, size=queries)] = True
    for rank, row, right in zip(best_rank(scores, hits), scores, hits, strict=True):
        best = max(score for score, is_right in zip(row, right, strict=True) if is_right)
        assert rank == 1 + sum(score >= best and not is_right for score, is_right in zip(row, right, strict=True))


def test_captions_that_several_images_have_are_hits_of_each():
    hits = hit_matrix([["a", "b"], ["b"], ["c"]], ("a", "b", "c"))
    assert hits.tolist() == [[True, True, False], [False, True, False], [False, False, True]]


def test_recall_is_the_share_of_ranks_among_the_first():
    assert recall([[1, 6], [2], [11]], 5).tolist() == [0.5, 1, 0]
