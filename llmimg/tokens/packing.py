"""Sequences that share rows, so that fewer tokens go through a model: whole ones side by side, where rows would be
padded, or several behind the beginning that they have in common, which is read once for all of them.

A model reads such rows right where a token sees, of what stands before it, what is shared and what is its own
sequence's, and where its position is the one in that sequence.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from llmimg.tokens.layout import ANSWER, PADDING, UNLEARNED, Sequences

NOBODY, SHARED = -1, 0  # owners: of padding, and of what all sequences of a row have in common


class Packed(NamedTuple):
    """Rows of L tokens.

    Attributes:
        ids: int64 `[R, L]`.
        roles: int8 `[R, L]`.
        positions: each token's index in its sequence, int64 `[R, L]`.
        owners: whose it is, int64 `[R, L]`: `NOBODY`, `SHARED`, or the sequence's number, from 1 on.
    """

    ids: np.ndarray
    roles: np.ndarray
    positions: np.ndarray
    owners: np.ndarray

    @property
    def foretold(self) -> np.ndarray:
        """Whether what stands before a token comes before it in its sequence too, bool `[R, L]`: its label may be
        learned there."""
        before, owners = self.owners[:, :-1], self.owners[:, 1:]
        follows = (self.positions[:, 1:] == self.positions[:, :-1] + 1) & ((before == owners) | (before == SHARED))
        return np.pad(follows & (owners != NOBODY), ((0, 0), (1, 0)))


class _Stretch(NamedTuple):
    """Places `start` to `stop` of a sequence, and whose they are."""

    sequence: int
    start: int
    stop: int
    owner: int


def side_by_side(sequences: Sequences, room: int, pad: int) -> Packed:
    """Rows of `room` tokens, each with as many whole sequences as fit: the longest first, where they first fit.

    Args:
        sequences: padded on the right, each at most `room` long.
        pad: the id that fills up.
    """
    lengths = sequences.mask.sum(axis=1).tolist()
    return _laid(sequences, _filled(range(len(lengths)), lengths, room), room, pad)


def _filled(members: Iterable[int], lengths: Sequence[int], room: int) -> list[list[_Stretch]]:
    """Rows with as many whole sequences as fit: the longest first, where they first fit."""
    rows: list[list[_Stretch]] = []
    left: list[int] = []
    for each in sorted(members, key=lambda each: -lengths[each]):
        row = next((row for row, free in enumerate(left) if free >= lengths[each]), len(rows))
        if row == len(rows):
            rows.append([])
            left.append(room)
        rows[row].append(_Stretch(each, 0, lengths[each], each + 1))
        left[row] -= lengths[each]
    return rows


def behind_one_text(sequences: Sequences, counts: Sequence[int], pad: int) -> Packed:
    """A row for so many sequences each time: what they begin with alike, once, and then what is each one's own.

    The last token in front of an answer is each sequence's own, as it foretells the answer's first.

    Args:
        sequences: padded on the right, those of a row one after the other.
        pad: the id that fills up.
    """
    lengths = sequences.mask.sum(axis=1).tolist()
    ends = np.cumsum(counts).tolist()
    rows = [_behind(sequences, lengths, range(stop - count, stop)) for stop, count in zip(ends, counts, strict=True)]
    width = max((sum(each.stop - each.start for each in row) for row in rows), default=0)
    return _laid(sequences, rows, width, pad)


def _behind(sequences: Sequences, lengths: Sequence[int], members: Sequence[int]) -> list[_Stretch]:
    """A row of sequences that follow each other, behind what they begin with alike."""
    shared = _alike(Sequences(*(each[members[0] : members[-1] + 1] for each in sequences)))
    own = [_Stretch(each, shared, lengths[each], each + 1) for each in members]
    return [_Stretch(members[0], 0, shared, SHARED), *own]


def shared_or_side_by_side(sequences: Sequences, counts: Sequence[int], pad: int) -> Packed:
    """As `behind_one_text`; sequences that are alone stand side by side, in rows as wide as the others need."""
    several = [count > 1 for count in counts]
    ends = np.cumsum(counts).tolist()
    members = [list(range(stop - count, stop)) for stop, count in zip(ends, counts, strict=True)]
    lengths = sequences.mask.sum(axis=1).tolist()
    rows = [_behind(sequences, lengths, each) for each, more in zip(members, several, strict=True) if more]
    alone = [each[0] for each, more in zip(members, several, strict=True) if not more]
    width = max([sum(each.stop - each.start for each in row) for row in rows] + [lengths[each] for each in alone])
    return _laid(sequences, rows + _filled(alone, lengths, width), width, pad)


def _alike(sequences: Sequences) -> int:
    """How many tokens, the last one in front of an answer not among them, all begin with."""
    same = (sequences.ids == sequences.ids[:1]) & (sequences.roles == sequences.roles[:1]) & (sequences.mask == 1)
    answers = np.isin(sequences.roles, (ANSWER, UNLEARNED)).any(axis=0)
    begins = int(np.append(answers, True).argmax())
    return min(int(np.append(~same.all(axis=0), True).argmax()), max(begins - 1, 0))


def _laid(sequences: Sequences, rows: Sequence[Sequence[_Stretch]], width: int, pad: int) -> Packed:
    shape = len(rows), width
    packed = Packed(
        np.full(shape, pad, np.int64),
        np.full(shape, PADDING, np.int8),
        np.zeros(shape, np.int64),
        np.full(shape, NOBODY, np.int64),
    )
    for row, stretches in enumerate(rows):
        column = 0
        for sequence, start, stop, owner in stretches:
            here = row, slice(column, column := column + stop - start)
            packed.ids[here] = sequences.ids[sequence, start:stop]
            packed.roles[here] = sequences.roles[sequence, start:stop]
            packed.positions[here] = np.arange(start, stop)
            packed.owners[here] = owner
    return packed
