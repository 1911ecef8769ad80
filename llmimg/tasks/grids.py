"""A grid of labels as text, and back: by rows with columns, or by run lengths.

Void cells (255) are written as what stands on their left in the row, and at its beginning as what stands on their
right, so that they cost no piece of their own. A piece that names a void cell (that where a run begins, or ends) is not
learned.
"""

import abc
import functools
from dataclasses import dataclass

import numpy as np

from llmimg.data.annotations.moving import VOID
from llmimg.settings import settings_of
from llmimg.textify import START, Grammar, Lexicon, Ragged
from llmimg.textify.appearance import appearance_of, bumps
from llmimg.textify.base import words
from llmimg.textify.runs import WordsOfPixels
from llmimg.tokens.sample import Pieces


@dataclass(frozen=True)
class GridText(abc.ABC):
    """One way to write a grid of labels.

    Attributes:
        names: of the classes, K.
        grid: rows and columns, R and C.
        ground: the class that is not written, where there is one and the format leaves it out.
    """

    names: tuple[str, ...]
    grid: tuple[int, int]
    ground: int | None = None

    @functools.cached_property
    @abc.abstractmethod
    def grammar(self) -> Grammar:
        """The pieces and their order."""

    @property
    @abc.abstractmethod
    def longest(self) -> int:
        """How many pieces a text has at most."""

    @property
    def cells(self) -> np.ndarray | None:
        """How many cells each piece fills, int64 `[P]`, where a text fills all R · C; None where it need not."""
        return None

    @abc.abstractmethod
    def appearance(self) -> np.ndarray:
        """What its pieces look like, as `Task.appearance`: a coordinate is its number, a class itself and no other."""

    @abc.abstractmethod
    def write(self, labels: np.ndarray) -> Pieces:
        """Class numbers, uint8 `[R, C]`, 255 for void → pieces, and which of them are learned."""

    @abc.abstractmethod
    def read(self, pieces: np.ndarray, finished: bool = True) -> np.ndarray:
        """Pieces int64 `[L]` → class numbers, uint8 `[R, C]`; what they leave open is 255.

        Args:
            finished: whether the text came to its end, rather than broke off behind these pieces.
        """


class RowText(GridText):
    """Each row that has something: its number, and of each run of a label the label with its first column, and the last
    one: `" row3 car 0-4 tree 9-15"`.

    What no run covers is of the ground class, or void where there is none.
    """

    @functools.cached_property
    def _written(self) -> np.ndarray:
        """int64: the classes that are written."""
        return np.array([label for label in range(len(self.names)) if label != self.ground])

    @functools.cached_property
    def grammar(self) -> Grammar:
        """A row's number is above those before, a column behind the last: which they are is kept as states."""
        rows, columns = map(range, self.grid)
        kinds = {f"row {row}": [f" row{row}"] for row in rows}
        kinds |= {f"from {left}": [f" {self.names[label]} {left}" for label in self._written] for left in columns}
        kinds |= {f"to {right}": [f"-{right}"] for right in columns}
        moves: dict[str, dict[str, str]] = {START: {f"row {row}": f"row {row}" for row in rows}}
        for row in rows:
            below = {f"row {other}": f"row {other}" for other in rows[row + 1 :]}
            begins = [(f"from {left}", f"row {row} from {left}") for left in columns]
            moves[f"row {row}"] = dict(begins)
            for column in columns:
                ends = {f"to {right}": f"row {row} to {right}" for right in columns[column:]}
                moves[f"row {row} from {column}"] = ends
                moves[f"row {row} to {column}"] = dict(begins[column + 1 :]) | below
        final = {f"row {row} to {column}" for row in rows for column in columns}
        return Grammar(Lexicon.of(**kinds), moves, frozenset({START, *final}))

    @property
    def longest(self) -> int:
        rows, columns = self.grid
        return rows * (1 + 2 * columns)

    @property
    def _starts(self) -> tuple[int, int]:
        """The first piece that begins a run, and the first that ends one."""
        rows, columns = self.grid
        return rows, rows + columns * len(self._written)

    def appearance(self) -> np.ndarray:
        (rows, columns), count, (begin, end) = self.grid, len(self._written), self._starts
        edges, classes = bumps(np.arange(columns + 1)[:, None] / columns), np.eye(count)
        found = np.full((end + columns, 2 * edges.shape[1] + count), np.nan, np.float32)
        down, across, label = np.split(found, [edges.shape[1], 2 * edges.shape[1]], axis=1)
        down[:begin] = bumps((np.arange(rows)[:, None] + 0.5) / rows)
        across[begin:end], across[end:] = edges[:-1].repeat(count, axis=0), edges[1:]
        label[begin:end] = np.tile(classes, (columns, 1))
        return found

    def write(self, labels: np.ndarray) -> Pieces:
        filled, known = _filled(labels), labels != VOID
        columns = self.grid[1]
        starts = np.flatnonzero(np.diff(filled, axis=1, prepend=-1 - filled[:, :1].astype(np.int64)))
        row, left = np.divmod(starts, columns)
        right = np.append(starts[1:], labels.size) - 1 - row * columns
        label = filled[row, left]
        kept = label != VOID if self.ground is None else (label != VOID) & (label != self.ground)
        row, left, right, label = row[kept], left[kept], right[kept], label[kept]
        begin, end = self._starts
        ids = np.stack([row, begin + left * len(self._written) + np.searchsorted(self._written, label), end + right])
        learned = np.stack([np.ones(len(row), bool), known[row, left], known[row, right]])
        told = np.ones((3, len(row)), bool)
        told[0] = np.diff(row, prepend=-1) > 0  # a row is named once
        return Pieces(ids.T[told.T], learned.T[told.T])

    def read(self, pieces: np.ndarray, finished: bool = True) -> np.ndarray:
        begin, end = self._starts
        labels = np.full(self.grid, VOID if self.ground is None else self.ground, np.uint8)
        row = column = reached = 0
        label = VOID
        for piece in pieces.tolist():
            if piece < begin:
                row, reached = piece, piece * self.grid[1]
                continue
            if piece < end:
                column, index = divmod(piece - begin, len(self._written))
                label, right = self._written[index], column
            else:
                right = piece - end
            labels[row, column : right + 1] = label
            reached = row * self.grid[1] + right + 1
        if not finished:
            labels.reshape(-1)[reached:] = VOID
        return labels


@settings_of("task")
class Labels(WordsOfPixels):
    """Masks, uint8 `[N, H, W, 1]`, as one word a pixel, that of its class."""

    names: tuple[str, ...] = ()
    _open = VOID

    def _words(self) -> dict[str, list[str]]:
        return words(list(self.names))

    def _word_of(self, images: np.ndarray) -> np.ndarray:
        return (images[..., 0] + self._size).astype(self.lexicon.dtype)

    def _look(self) -> np.ndarray:
        return np.arange(self._size, dtype=np.uint8)[:, None]

    def appearance(self) -> np.ndarray:
        return appearance_of(self.lexicon, (("first", "next"), np.eye(self._size)), *self._look_of_counts())

    def of_known(self, pieces: Ragged, known: np.ndarray) -> np.ndarray:
        """Whether the first cell of each word, and the last of each count, is known: bool `[pieces]`; a row mark names
        none.

        Args:
            known: bool `[N · H · W]`.
        """
        word_at, length = self._lengths(pieces)
        found = np.ones(len(pieces.values), bool)
        end = np.cumsum(length)
        found[word_at] = known[end - length]
        found[word_at[length > 1] + 1] = known[end[length > 1] - 1]
        return found


class RunText(GridText):
    """Row by row each run of a label, and its length where it is more than one cell, as Text4Seg's row-wise run-length
    encoding (Lan et al., ICLR 2025): `"sky ×10 tree ×6\\nsky ×16\\n…"`.

    All cells are written; void rows as the row above.
    """

    @functools.cached_property
    def _labels(self) -> Labels:
        return Labels(longest_run=self.grid[1], row_marks=True, names=self.names)

    @functools.cached_property
    def grammar(self) -> Grammar:
        """A run ends in its row, and a row mark stands behind each full one: how far a row is filled is kept as
        states."""
        lexicon, width = self._labels.lexicon, self.grid[1]
        kinds = dict(lexicon.kinds)
        first = kinds.pop("count", range(0)).start
        kinds |= {f"count {count}": range(first + count - 2, first + count - 1) for count in range(2, width + 1)}
        moves = {START: {"first": "1"}, "row": {"first": "1"}}
        for filled in range(1, width + 1):
            after = {"next": f"{filled + 1}"} if filled < width else {"row": "row"}
            counts = {f"count {count}": f"{filled + count - 1} counted" for count in range(2, width - filled + 2)}
            moves |= {f"{filled}": after | counts, f"{filled} counted": after}
        return Grammar(Lexicon(lexicon.pieces, kinds), moves, frozenset({f"{width}", f"{width} counted"}))

    @property
    def longest(self) -> int:
        rows, columns = self.grid
        return rows * columns + rows - 1

    @functools.cached_property
    def cells(self) -> np.ndarray:
        cells, kinds = np.zeros(len(self._labels.lexicon), np.int64), self._labels.lexicon.kinds
        for name in ("first", "next"):
            cells[kinds[name].start : kinds[name].stop] = 1
        if "count" in kinds:
            cells[kinds["count"].start : kinds["count"].stop] = np.arange(1, self.grid[1])
        return cells

    def appearance(self) -> np.ndarray:
        return self._labels.appearance()

    def write(self, labels: np.ndarray) -> Pieces:
        filled = _filled(_filled(labels).T).T
        filled = np.where(filled == VOID, 0, filled).astype(np.uint8)  # nothing is known of any
        pieces = self._labels.write(filled[None, ..., None])
        return Pieces(pieces.values.astype(np.int64), self._labels.of_known(pieces, (labels != VOID).reshape(-1)))

    def read(self, pieces: np.ndarray, finished: bool = True) -> np.ndarray:
        written = Ragged.from_rows([np.asarray(pieces)], self._labels.lexicon.dtype)
        return self._labels.read(written, *self.grid)[0, ..., 0]


FORMATS: dict[str, type[GridText]] = {"rows": RowText, "runs": RunText}


def _filled(labels: np.ndarray) -> np.ndarray:
    """Void cells as what is known on their left, or at the row's beginning on their right; rows that are void through
    and through stay so."""
    known = labels != VOID
    nearest = np.maximum.accumulate(np.where(known, np.arange(labels.shape[1]), -1), axis=1)
    nearest = np.where(nearest < 0, known.argmax(axis=1)[:, None], nearest)
    return np.take_along_axis(labels, nearest, axis=1)
