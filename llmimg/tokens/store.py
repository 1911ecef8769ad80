"""Prepared image ids on disk, read without copying."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from llmimg.textify import Ragged


@dataclass(frozen=True)
class ImageIds:
    """The image ids of one split, memory-mapped, in the order of its rows.

    Attributes:
        chunks: the rows, as Arrow's record batches hold them.
        starts: int64, the row at which each chunk begins, and after them the number of rows.
        problems: row → why the image there is broken; its row is empty.
        seconds: what it took to prepare them, whenever that was.
        pixels: the hash of each row's image (`llmimg.data.identity`), None where it is broken; empty of plain text.
    """

    chunks: tuple[Ragged, ...]
    starts: np.ndarray
    problems: dict[int, str]
    seconds: float = math.nan
    pixels: tuple[str | None, ...] = ()

    @classmethod
    def open(cls, files: Sequence[Path], seconds: float = math.nan) -> "ImageIds":
        """From Arrow files with the columns `image_ids` and `problem`, and of images `pixels`, one after the other."""
        table = read_tables(files)
        lists = table["image_ids"].chunks
        # A chunk's offsets may begin behind its values' first element; Ragged's then simply point there.
        chunks = tuple(Ragged(each.values.to_numpy(), each.offsets.to_numpy().astype(np.int64)) for each in lists)
        problems = table["problem"]
        broken = (
            np.flatnonzero(problems.is_valid().to_numpy(zero_copy_only=False))
            if problems.null_count < len(problems)
            else []
        )
        starts = np.concatenate([[0], np.cumsum([len(chunk) for chunk in chunks], dtype=np.int64)])
        told = {int(index): problems[int(index)].as_py() for index in broken}
        hashes = table["pixels"].to_pylist() if "pixels" in table.column_names else []
        return cls(chunks, starts, told, seconds, tuple(None if pixels is None else pixels.hex() for pixels in hashes))

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, row: int) -> np.ndarray:
        """Unsigned integers `[L]`, a view."""
        chunk = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.chunks[chunk][row - int(self.starts[chunk])]

    @property
    def whole(self) -> np.ndarray:
        """The rows whose image is not broken, int64, ascending: what may be counted."""
        return np.setdiff1d(np.arange(len(self)), np.fromiter(self.problems, np.int64, len(self.problems)))

    def entropy(self) -> float:
        """Bits a token: the entropy of how often each occurs, which no code of single tokens can go below."""
        counts = np.zeros(0, np.int64)
        for chunk in self.chunks:
            found = np.bincount(chunk.values[chunk.offsets[0] : chunk.offsets[-1]], minlength=len(counts))
            found[: len(counts)] += counts
            counts = found
        shares = counts[counts > 0] / max(counts.sum(), 1)
        return float(-(shares * np.log2(shares)).sum())

    @property
    def lengths(self) -> np.ndarray:
        """Tokens an image, int64 `[N]`; 0 where it is broken."""
        return np.concatenate([np.empty(0, np.int64), *(chunk.lengths for chunk in self.chunks)])


def read_tables(files: Sequence[Path]) -> pa.Table:
    """Arrow files of the same columns, mapped into memory, as one table."""
    return pa.concat_tables([pa.ipc.open_stream(pa.memory_map(str(file))).read_all() for file in files])
