"""A trie of candidates, against prefixes in a dictionary."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llmimg.tokens.trie import Trie, trie_of

CANDIDATES = st.lists(
    st.lists(st.integers(0, 4), min_size=1, max_size=5).map(tuple), min_size=1, max_size=20, unique=True
)


def prefix(trie: Trie, node: int) -> tuple[int, ...]:
    return tuple(trie.tokens[trie.path(node)[1:]].tolist())


@given(CANDIDATES)
def test_nodes_are_what_candidates_go_on_from(candidates):
    trie = Trie.of(candidates)
    prefixes = [prefix(trie, node) for node in range(len(trie))]
    assert set(prefixes) == {one[:index] for one in candidates for index in range(len(one))}
    assert len(set(prefixes)) == len(prefixes) and prefixes == sorted(prefixes)
    assert trie.depths.tolist() == list(map(len, prefixes))
    below = [[other for other in range(len(trie)) if prefixes[other][: len(one)] == one] for one in prefixes]
    assert [list(range(node, end)) for node, end in enumerate(trie.ends)] == below
    assert trie.tips.tolist() == [node for node, found in enumerate(below) if len(found) == 1]


@given(CANDIDATES)
def test_steps_spell_the_candidates(candidates):
    trie = Trie.of(candidates)
    edges = [
        (*prefix(trie, node), token) for node, token in zip(trie.edge_nodes, trie.edge_tokens.tolist(), strict=True)
    ]
    assert len(set(edges)) == len(edges) and (np.diff(trie.edge_nodes) >= 0).all()
    steps = sorted(
        (candidate, edges[edge]) for edge, candidate in zip(trie.step_edges, trie.step_candidates, strict=True)
    )
    assert steps == sorted(
        (number, one[: index + 1]) for number, one in enumerate(candidates) for index in range(len(one))
    )
    assert (np.diff(trie.step_edges) >= 0).all()
    assert trie.candidates == len(candidates)


@given(CANDIDATES, st.integers(0, 12))
def test_chunks_hold_what_is_above_their_nodes(candidates, most):
    trie = Trie.of(candidates)
    sizes, found = [], []
    for above, start, stop in trie.chunks(most):
        nodes = [*above.tolist(), *range(start, stop)]
        assert all(set(trie.path(node)[1:].tolist()) <= set(nodes) for node in nodes)
        assert set(above.tolist()) < set(trie.path(start).tolist())
        sizes.append(len(nodes))
        found += range(start, stop)
    assert found == list(range(1, len(trie)))
    assert all(size <= max(most, max(map(len, candidates)) - 1) and size <= sizes[0] for size in sizes)


def test_the_same_candidates_have_the_same_trie():
    assert trie_of(((1, 2), (3,))) is trie_of(((1, 2), (3,)))
