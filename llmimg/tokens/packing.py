"""Whole sequences side by side in rows of one length, so that less of a batch is padding."""

from collections.abc import Sequence

import numpy as np


def pack(sequences: Sequence[np.ndarray], room: int, pad: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of `room` tokens, each with as many whole sequences as fit: the longest first, where they first fit.

    Args:
        sequences: token ids, each at most `room` long.

    Returns:
        int64 `[R, room]` each: token ids; each token's place in its sequence; and whose it is (−1: padding).
    """
    rows: list[list[int]] = []
    left: list[int] = []
    for owner in sorted(range(len(sequences)), key=lambda each: -len(sequences[each])):
        row = next((row for row, free in enumerate(left) if free >= len(sequences[owner])), len(rows))
        if row == len(rows):
            rows.append([])
            left.append(room)
        rows[row].append(owner)
        left[row] -= len(sequences[owner])
    ids, positions, owners = (np.full((len(rows), room), fill, np.int64) for fill in (pad, 0, -1))
    for row, members in enumerate(rows):
        start = 0
        for owner in members:
            place = slice(start, start := start + len(sequences[owner]))
            ids[row, place] = sequences[owner]
            positions[row, place] = np.arange(len(sequences[owner]))
            owners[row, place] = owner
    return ids, positions, owners
