"""A grammar over one vocabulary's token ids: what may be written next, for whole batches at once.

Made by subset construction (Rabin and Scott 1959): the tokens of one piece may begin another's, so that a state stands
for every way of reading what was written so far.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from llmimg.errors import UserError
from llmimg.textify import START
from llmimg.tokens.lookup import Way

_NEVER = 2**30  # cells: more than any budget
_MOST_STATES = 100_000


class _Position(NamedTuple):
    """Where a reading stands: in a state of the grammar, so many nodes into the tokens of what is being written, and
    how many cells it has filled beyond the state's cheapest reading."""

    state: str
    node: int
    extra: int


@dataclass(frozen=True)
class Automaton:
    """Which token may follow which, as tables; state 0 is the start, the last one that after the end.

    Attributes:
        alphabet: int64 `[A]`, the token ids that an answer can have, the end last.
        after: int32 `[S, A]`, the next state; −1 where a token is not allowed.
        cost: int32 `[S, A]`, cells that a token fills from there; all 0 where pieces fill none.
        need: int32 `[S]`, the fewest cells from there to an end.
    """

    alphabet: np.ndarray
    after: np.ndarray
    cost: np.ndarray
    need: np.ndarray
    _tries: Mapping[str, "_Trie"] = field(repr=False)
    _final: frozenset[str] = field(repr=False)

    @classmethod
    def of(cls, ways: Mapping[str, Sequence[Way]], final: frozenset[str], end: int) -> "Automaton":
        """From what may be written in each state of a grammar.

        Args:
            final: the states of the grammar in which an answer may end.
            end: the token id that ends it.

        Raises:
            UserError: a grammar and tokens that would need more states than can be held.
        """
        tries = {state: _Trie.of(each) for state, each in ways.items()}
        subsets, edges, ends = _subsets(tries, final)
        alphabet = sorted({token for _, token, _, _ in edges})
        column_of = {token: column for column, token in enumerate(alphabet)}
        states, width, done = len(subsets) + 1, len(alphabet) + 1, len(subsets)
        after, cost = np.full((states, width), -1, np.int32), np.zeros((states, width), np.int32)
        for one, token, other, cells in edges:
            after[one, column_of[token]], cost[one, column_of[token]] = other, cells
        for one, cells in [*ends, (done, 0)]:
            after[one, -1], cost[one, -1] = done, cells
        return cls(np.array([*alphabet, end], np.int64), after, cost, _need(after, cost), tries, final)

    @classmethod
    def free(cls, tokens: Sequence[int], end: int) -> "Automaton":
        """Of any of these token ids in any order, one or more."""
        alphabet = [token for token in tokens if token != end]
        after = np.ones((3, len(alphabet) + 1), np.int32)
        after[:, -1] = 2
        after[0, -1] = after[2, :-1] = -1
        cost = np.zeros_like(after)
        return cls(np.array([*alphabet, end], np.int64), after, cost, _need(after, cost), {}, frozenset())

    def fills(self, most: int) -> np.ndarray:
        """Whether an answer can go on from a state and fill exactly so many cells: bool `[S, most + 1]`."""
        one, column = np.nonzero(self.after >= 0)
        other, cells = self.after[one, column], self.cost[one, column]
        starts, states = np.flatnonzero(np.diff(one, prepend=-1)), np.unique(one)
        found = np.zeros((len(self.after), most + 1), bool)
        found[-1, 0] = True
        for left in range(most + 1):
            within = cells <= left
            before = None
            while before is None or (found[:, left] != before).any():  # tokens that fill nothing lead on
                before = found[:, left].copy()
                reached = within & found[other, np.where(within, left - cells, 0)]
                found[states, left] |= np.logical_or.reduceat(reached, starts)
        return found

    def longest(self, most: int) -> int:
        """How many tokens the longest answer has that fills exactly so many cells, its end among them; 0 where there is
        none. Tokens that fill nothing may not go round in a circle."""
        one, column = np.nonzero(self.after >= 0)
        inner = one < len(self.after) - 1
        one, column = one[inner], column[inner]
        other, cells = self.after[one, column], self.cost[one, column]
        starts, states = np.flatnonzero(np.diff(one, prepend=-1)), np.unique(one)
        found = np.full((len(self.after), most + 1), -_NEVER, np.int64)
        found[-1, 0] = 0
        for left in range(most + 1):
            within, before = cells <= left, None
            while before is None or (found[:, left] != before).any():
                before = found[:, left].copy()
                tokens = np.where(within, found[other, np.where(within, left - cells, 0)] + 1, -_NEVER)
                found[states, left] = np.maximum(found[states, left], np.maximum.reduceat(tokens, starts))
        return max(int(found[0, most]), 0)

    def read(self, tokens: Sequence[int], whole: bool = True) -> tuple[np.ndarray, np.ndarray] | None:
        """The piece ids that were written as these token ids, int64 `[L]`, and for each token the index of its piece
        among them, int64 `[T]`; of one that is a run of pieces, of the first. The end and what stands behind it is left
        out. None where the tokens are none of an answer, or break off before one could end.

        Args:
            whole: whether it must be an answer from beginning to end; else it is read up to its last whole piece, and
                tokens behind that are left out.
        """
        written = list(tokens)
        end = int(self.alphabet[-1])
        if end in written:
            written = written[: written.index(end)]
        trail: list[dict[tuple[str, int], tuple[tuple[str, int], tuple[int, ...]]]] = []
        here = {(START, 0)}
        for token in written:
            found: dict[tuple[str, int], tuple[tuple[str, int], tuple[int, ...]]] = {}
            for state, node in sorted(here):
                trie = self._tries.get(state)
                if trie is None or token not in trie.children[node]:
                    continue
                child = trie.children[node][token]
                for way in trie.whole[child]:
                    found.setdefault((way.after, 0), ((state, node), way.pieces))
                if trie.children[child]:
                    found.setdefault((state, child), ((state, node), ()))
            trail.append(found)
            here = set(found)
        last = next(((state, node) for state, node in sorted(here) if node == 0 and state in self._final), None)
        if last is None and whole:
            return None
        if last is None:
            while trail and not any(node == 0 for _, node in trail[-1]):
                trail.pop()
            last = next((each for each in sorted(trail[-1]) if each[1] == 0), (START, 0)) if trail else (START, 0)
        runs: list[tuple[int, ...]] = []  # the pieces that end with each token
        for found in reversed(trail):
            last, run = found[last]
            runs.insert(0, run)
        pieces = np.array(list(itertools.chain(*runs)), np.int64)
        return pieces, np.cumsum([0, *map(len, runs)][:-1], dtype=np.int64)


@dataclass(frozen=True)
class _Trie:
    """The ways of one state, by their tokens; node 0 is the root.

    Attributes:
        children: node → token → node.
        whole: node → the ways that are written when it is reached.
    """

    children: list[dict[int, int]]
    whole: list[list[Way]]

    @classmethod
    def of(cls, ways: Sequence[Way]) -> "_Trie":
        trie = cls([{}], [[]])
        for way in ways:
            node = 0
            for token in way.tokens:
                if token not in trie.children[node]:
                    trie.children[node][token] = len(trie.children)
                    trie.children.append({})
                    trie.whole.append([])
                node = trie.children[node][token]
            trie.whole[node].append(way)
        return trie


Edge = tuple[int, int, int, int]  # state, token, next state, cells


def _subsets(
    tries: Mapping[str, _Trie], final: frozenset[str]
) -> tuple[list[frozenset[_Position]], list[Edge], list[tuple[int, int]]]:
    """The states, the edges between them, and those that may end, each with the cells its cheapest reading has to
    count yet."""
    start = frozenset([_Position(START, 0, 0)])
    numbers, subsets = {start: 0}, [start]
    edges: list[Edge] = []
    ends: list[tuple[int, int]] = []
    for number, subset in enumerate(subsets):  # which grows meanwhile
        reached: dict[int, set[_Position]] = {}
        for position in subset:
            for token, readings in _steps(tries, position.state, position.node).items():
                reached.setdefault(token, set()).update(
                    _Position(state, node, position.extra + cells) for state, node, cells in readings
                )
        extras = [position.extra for position in subset if position.node == 0 and position.state in final]
        if extras:
            ends.append((number, min(extras)))
        for token, positions in reached.items():
            base = min(position.extra for position in positions)
            others = frozenset(position._replace(extra=position.extra - base) for position in positions)
            if others not in numbers:
                numbers[others] = len(subsets)
                subsets.append(others)
            edges.append((number, token, numbers[others], base))
        if len(subsets) > _MOST_STATES:
            raise UserError(
                "The answers of this task need too many states to be held to them with this tokenizer: take "
                "vocabulary=own, or fewer pieces."
            )
    return subsets, edges, ends


def _steps(tries: Mapping[str, _Trie], state: str, node: int) -> dict[int, list[tuple[str, int, int]]]:
    """Token → where it leads from a node: state, node and cells."""
    trie = tries.get(state)
    if trie is None:
        return {}
    found: dict[int, list[tuple[str, int, int]]] = {}
    for token, child in trie.children[node].items():
        found[token] = [(way.after, 0, way.cells) for way in trie.whole[child]]
        if trie.children[child]:
            found[token].append((state, child, 0))
    return found


def _need(after: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """The fewest cells from each state to the last one (Bellman 1958)."""
    one, column = np.nonzero(after >= 0)
    other, cells = after[one, column], cost[one, column]
    need = np.full(len(after), _NEVER, np.int32)
    need[-1] = 0
    while True:
        before = need.copy()
        np.minimum.at(need, one, before[other] + cells)
        if (need == before).all():
            return need
