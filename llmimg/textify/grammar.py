"""Lexicon and grammar: which pieces there are, and which may follow which."""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from llmimg.errors import UserError

START = "start"


@dataclass(frozen=True)
class Lexicon:
    """The finite, ordered tuple of all pieces of one textifier; a piece's id is its index in it.

    Attributes:
        pieces: the pieces; one may stand twice, if it does in two kinds.
        kinds: name → the range of ids of that kind.
    """

    pieces: tuple[str, ...]
    kinds: Mapping[str, range]

    @classmethod
    def of(cls, **kinds: Sequence[str]) -> "Lexicon":
        """One range of ids a kind, in the order given."""
        ends = list(itertools.accumulate(len(pieces) for pieces in kinds.values()))
        ranges = {name: range(end - len(pieces), end) for (name, pieces), end in zip(kinds.items(), ends, strict=True)}
        return cls(tuple(itertools.chain.from_iterable(kinds.values())), ranges)

    @property
    def dtype(self) -> np.dtype:
        """The smallest unsigned type that holds every id, 16 bits at least."""
        return np.promote_types(np.uint16, np.min_scalar_type(len(self.pieces)))

    def __len__(self) -> int:
        return len(self.pieces)

    def text(self, ids: np.ndarray) -> str:
        """The text of a sequence of piece ids: the pieces joined by nothing."""
        return "".join([self.pieces[i] for i in ids.tolist()])


@dataclass(frozen=True)
class Grammar:
    """A deterministic automaton over kinds of piece, from the state `"start"`.

    Attributes:
        lexicon: the pieces it speaks of.
        moves: state → kind → the state that follows a piece of that kind.
        final: the states in which a text may end.
    """

    lexicon: Lexicon
    moves: Mapping[str, Mapping[str, str]]
    final: frozenset[str]

    def __post_init__(self):
        # A piece may read differently at the start of a text, which is a state of its own.
        if any(START in following.values() for following in self.moves.values()):
            raise ValueError(f"No move may lead back to '{START}': it stands for the start of the text alone.")

    @functools.cached_property
    def longest(self) -> int | None:
        """How many pieces a text has at most; None where it may go on and on."""
        states = {START}
        for length in range(len({*self.moves, *self.final}) + 2):
            states = {after for state in states for after in self.moves.get(state, {}).values()}
            if not states:
                return length
        return None

    def allowed(self, state: str) -> Iterator[tuple[int, str]]:
        """The piece ids that may stand in `state`, each with the state after it."""
        for kind, after in self.moves.get(state, {}).items():
            for piece in self.lexicon.kinds[kind]:
                yield piece, after

    @functools.cached_property
    def _choices(self) -> dict[str, tuple[dict[str, tuple[int, str]], list[int]]]:
        """State → (piece text → (id, next state)) and the lengths of those pieces, longest first."""
        choices = {}
        for state in {START, *self.moves, *self.final}:
            table = {self.lexicon.pieces[piece]: (piece, after) for piece, after in self.allowed(state)}
            choices[state] = table, sorted({len(text) for text in table}, reverse=True)
        return choices

    def parse(self, text: str) -> np.ndarray:
        """The piece ids of a text, longest pieces first, stepping back where that leads nowhere.

        Raises:
            UserError: where the text cannot be read; it says from which character on.
        """
        ids, whole, end = self._read(text)
        if not whole:
            raise UserError(f"The text cannot be read from character {end} on: {text[end : end + 24]!r}.")
        return ids

    def begun(self, text: str) -> np.ndarray:
        """The piece ids of the longest beginning of a text that some text begins with."""
        return self._read(text)[0]

    def _read(self, text: str) -> tuple[np.ndarray, bool, int]:
        """The piece ids of a text, or else of as much of it as can be read; whether that is all of it; and where it
        ends."""
        trail: list[tuple[int, Iterator[tuple[int, int, str]]]] = [(0, self._readings(text, 0, START))]
        ids: list[int] = []
        dead: set[tuple[int, str]] = set()  # positions and states that lead nowhere, tried once each
        furthest, longest = 0, []
        state_at = [START]
        while trail:
            position, readings = trail[-1]
            if position == len(text) and state_at[-1] in self.final:
                return np.asarray(ids, self.lexicon.dtype), True, position
            reading = next(readings, None)
            if reading is None:
                trail.pop()
                dead.add((position, state_at.pop()))
                if ids:
                    ids.pop()
                continue
            piece, end, state = reading
            if end > furthest:
                furthest, longest = end, [*ids, piece]
            if (end, state) in dead:
                continue
            ids.append(piece)
            state_at.append(state)
            trail.append((end, self._readings(text, end, state)))
        return np.asarray(longest, self.lexicon.dtype), False, furthest

    def _readings(self, text: str, position: int, state: str) -> Iterator[tuple[int, int, str]]:
        table, lengths = self._choices[state]
        for length in lengths:
            found = table.get(text[position : position + length])
            if found is not None and position + length <= len(text):
                yield found[0], position + length, found[1]
