"""Rows of different lengths in two flat arrays, as Arrow keeps lists."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ragged:
    """N rows of integers: row i is `values[offsets[i]:offsets[i + 1]]`.

    Attributes:
        values: unsigned integers `[total]`.
        offsets: int64 `[N + 1]`, rising from 0 to `total`.
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def rectangular(cls, rows: np.ndarray) -> "Ragged":
        """From an array `[N, L]` of rows of one length."""
        count, length = rows.shape
        return cls(rows.reshape(-1), np.arange(count + 1, dtype=np.int64) * length)

    @classmethod
    def from_rows(cls, rows: Sequence[np.ndarray], dtype: np.dtype | None = None) -> "Ragged":
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        values = np.concatenate(rows) if len(rows) else np.empty(0, dtype or np.uint16)
        return cls(values if dtype is None else values.astype(dtype, copy=False), ends_to_offsets(lengths))

    @classmethod
    def side_by_side(cls, parts: Sequence["Ragged"]) -> "Ragged":
        """N rows, each what the parts have in that row, one after the other."""
        lengths = np.stack([part.lengths for part in parts], axis=1)
        ends = ends_to_offsets(lengths.reshape(-1))
        values = np.empty(ends[-1], np.result_type(*[part.values for part in parts]))
        for index, part in enumerate(parts):
            shift = ends[:-1].reshape(lengths.shape)[:, index] - part.offsets[:-1]
            values[np.repeat(shift, part.lengths) + np.arange(len(part.values))] = part.values
        return cls(values, ends[:: len(parts)])

    def rectangle(self, length: int, fill: int = 0) -> np.ndarray:
        """As an array `[N, length]`: longer rows are truncated, shorter ones filled up."""
        rows = np.full((len(self), length), fill, self.values.dtype)
        inside = np.arange(length) < self.lengths[:, None]
        rows[inside] = self.values[(self.offsets[:-1, None] + np.arange(length))[inside]]
        return rows

    @property
    def lengths(self) -> np.ndarray:
        """int64 `[N]`."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[row] for row in range(len(self)))


def ends_to_offsets(lengths: np.ndarray) -> np.ndarray:
    """Offsets int64 `[N + 1]` of rows with these lengths `[N]`."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
