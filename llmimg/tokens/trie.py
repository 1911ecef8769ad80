"""Candidates as a trie of their tokens: what they begin with alike is read once, and the last token of none at all."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Trie:
    """The nodes from which a candidate goes on, in depth-first order: node 0 is the root, where nothing is written yet.
    An edge is a token that may follow a node; a step is an edge that a candidate takes.

    Attributes:
        tokens: int64 `[N]`, the token that leads to each node; −1 of the root.
        depths: int64 `[N]`, how many tokens lead there.
        ends: int64 `[N]`, one beyond the last node below each: i lies below j, or is j, where j ≤ i < ends[j].
        edge_nodes, edge_tokens: int64 `[E]`, in the order of nodes.
        step_edges, step_candidates: int64 `[S]`, in the order of edges; S is the number of all candidates' tokens.
        candidates: how many there are.
    """

    tokens: np.ndarray
    depths: np.ndarray
    ends: np.ndarray
    edge_nodes: np.ndarray
    edge_tokens: np.ndarray
    step_edges: np.ndarray
    step_candidates: np.ndarray
    candidates: int

    @classmethod
    def of(cls, candidates: Sequence[Sequence[int]]) -> "Trie":
        """From each candidate's token ids, one or more."""
        lengths = np.array([len(each) for each in candidates])
        table = np.full((len(candidates), lengths.max()), -1, np.int64)
        table[np.arange(table.shape[1]) < lengths[:, None]] = np.concatenate(candidates)
        order = np.lexsort(table.T[::-1])
        table = table[order]

        # Prefixes are numbered as they are first met in sorted candidates, which is depth first; 0 is the empty one.
        there = table >= 0
        new = np.ones_like(there)
        new[1:] = np.logical_or.accumulate(table[1:] != table[:-1], axis=1)
        new &= there
        prefixes = np.maximum.accumulate(np.where(new, new.cumsum().reshape(new.shape), 0), axis=0)
        before = np.hstack([np.zeros((len(table), 1), np.int64), prefixes[:, :-1]])
        first = np.nonzero(new)  # where each prefix is first met
        goes_on = np.zeros(len(first[0]) + 1, bool)
        goes_on[0] = goes_on[before[first]] = True
        nodes = goes_on.cumsum() - 1  # the number of each prefix that is a node

        edge_nodes = nodes[before[first]]
        ranks = np.argsort(edge_nodes, kind="stable")
        edges = np.argsort(ranks)[prefixes[there] - 1]
        steps = np.argsort(edges, kind="stable")
        inner = goes_on[1:]
        depths = np.array([0, *first[1][inner] + 1])
        return cls(
            tokens=np.array([-1, *table[first][inner]]),
            depths=depths,
            ends=_ends(depths, np.array([-1, *edge_nodes[inner]])),
            edge_nodes=edge_nodes[ranks],
            edge_tokens=table[first][ranks],
            step_edges=edges[steps],
            step_candidates=order[np.nonzero(there)[0]][steps],
            candidates=len(candidates),
        )

    def __len__(self) -> int:
        """How many nodes there are, the root among them."""
        return len(self.tokens)

    def path(self, node: int) -> np.ndarray:
        """The nodes from the root to a node, both among them: int64."""
        return np.flatnonzero(self.ends[: node + 1] > node)

    def chunks(self, most: int) -> Iterator[tuple[np.ndarray, int, int]]:
        """All nodes but the root, so many at once: the nodes above a chunk's first, and the chunk, from start to stop.
        Nodes above any other one of a chunk are in it, and no chunk is longer than the first.

        Args:
            most: nodes of a chunk, those above it among them; raised to what the deepest node needs.
        """
        most, start = max(most, int(self.depths.max())), 1
        while start < len(self):
            above = self.path(start)[1:-1]
            stop = min(start + most - len(above), len(self))
            yield above, start, stop
            start = stop

    @property
    def tips(self) -> np.ndarray:
        """The nodes with none below, int64: a path to each of them passes all nodes."""
        return np.flatnonzero(self.ends == np.arange(len(self)) + 1)


@functools.lru_cache(maxsize=8)
def trie_of(candidates: tuple[tuple[int, ...], ...]) -> Trie:
    """The same, made once for the same candidates."""
    return Trie.of(candidates)


def _ends(depths: np.ndarray, parents: np.ndarray) -> np.ndarray:
    ends = np.arange(len(depths)) + 1
    for depth in range(depths.max(), 0, -1):
        level = np.flatnonzero(depths == depth)
        np.maximum.at(ends, parents[level], ends[level])
    return ends
