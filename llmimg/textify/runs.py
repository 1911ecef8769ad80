"""What textifiers of one word a pixel share: words in reading order, run lengths, row marks."""

import functools
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from llmimg.errors import UserError
from llmimg.settings import settings_of
from llmimg.textify.appearance import appearance_of, bumps
from llmimg.textify.base import Textifier, words
from llmimg.textify.grammar import START, Grammar, Lexicon
from llmimg.textify.order import Order, reading_order
from llmimg.textify.ragged import Ragged, ends_to_offsets


@settings_of("textify")
class WordsOfPixels(Textifier):
    """One word a pixel. A subclass says which words there are, which one each pixel has, and what each looks like.

    Attributes:
        order: in which pixels are read.
        longest_run: from 2 on, equal words in a row are written once, with their number: `" navy ×7"`; longer runs are
            cut. 1 writes every pixel.
        row_marks: whether a line break parts the rows (in raster and snake order); runs end there then.
    """

    order: Order = "raster"
    longest_run: Annotated[int, Field(ge=1, le=1024)] = 1
    row_marks: bool = False

    _open: ClassVar[int] = 0  # the value of pixels that no word tells

    def __post_init__(self):
        if self.row_marks and self.order not in ("raster", "snake"):
            raise UserError(f"textify.order={self.order} has no rows to mark: set textify.row_marks=false.")

    def _words(self) -> dict[str, list[str]]:
        """The kinds `first` and `next`: word k as it stands at the start of a row or text, and after another."""
        raise NotImplementedError

    def _word_of(self, images: np.ndarray) -> np.ndarray:
        """`[N, H, W]` of the lexicon's type: the piece of kind `next` of each pixel."""
        raise NotImplementedError

    def _look(self) -> np.ndarray:
        """uint8 `[words, C]`: the pixel that each word gives back."""
        raise NotImplementedError

    @functools.cached_property
    def grammar(self) -> Grammar:
        kinds = self._words()
        after: dict[str, str] = {"next": "word"}
        if self.longest_run > 1:
            kinds["count"] = [f" ×{count}" for count in range(2, self.longest_run + 1)]
        if self.row_marks:
            kinds["row"] = ["\n"]
            after["row"] = "row"
        moves = {START: {"first": "word"}, "word": dict(after)}
        if self.longest_run > 1:
            moves["word"]["count"] = "counted"
            moves["counted"] = dict(after)
        if self.row_marks:
            moves["row"] = {"first": "word"}
        return Grammar(Lexicon.of(**kinds), moves, frozenset(moves.keys() - {START, "row"}))

    @property
    def _size(self) -> int:
        return len(self.lexicon.kinds["first"])

    def write(self, images: np.ndarray) -> Ragged:
        count, height, width, _ = images.shape
        ids = self._word_of(images).reshape(count, -1)
        if self.order != "raster":
            ids = ids[:, reading_order(self.order, height, width)]
        if self.longest_run == 1 and not self.row_marks:
            ids[:, 0] -= self.lexicon.dtype.type(self._size)
            return Ragged.rectangular(ids)
        return self._in_runs(ids, width)

    def _in_runs(self, ids: np.ndarray, width: int) -> Ragged:
        """Words `[N, cells]` in reading order → pieces, with counts and row marks."""
        cells, flat = ids.shape[1], ids.reshape(-1)
        position = np.arange(len(flat))
        begins_row = position % (width if self.row_marks else cells) == 0
        changes = begins_row | np.concatenate([[True], flat[1:] != flat[:-1]])
        run_start = np.maximum.accumulate(np.where(changes, position, 0))
        start = np.flatnonzero((position - run_start) % self.longest_run == 0)  # long runs are cut
        length = np.diff(start, append=len(flat))
        marked = begins_row[start] & (start % cells > 0)
        counted = length > 1
        end = ends_to_offsets(marked + 1 + counted)
        values = np.empty(end[-1], self.lexicon.dtype)
        word_at = end[:-1] + marked
        values[word_at] = flat[start] - self._size * begins_row[start]
        if self.row_marks:
            values[end[:-1][marked]] = self.lexicon.kinds["row"].start
        if self.longest_run > 1:
            values[word_at[counted] + 1] = length[counted] - 2 + self.lexicon.kinds["count"].start
        first_run = np.searchsorted(start, np.arange(len(ids) + 1) * cells)
        return Ragged(values, end[first_run])

    def _lengths(self, pieces: Ragged) -> tuple[np.ndarray, np.ndarray]:
        """Where the words are among the pieces, and over how many pixels each goes: int64 `[words]` both."""
        word_at = np.flatnonzero(pieces.values < 2 * self._size)
        length = np.ones(len(word_at), np.int64)
        if self.longest_run > 1:
            count = self.lexicon.kinds["count"]
            after = np.append(pieces.values.astype(np.int64), 0)[word_at + 1]
            counted = (after >= count.start) & (after < count.stop)
            length[counted] = after[counted] - count.start + 2
        return word_at, length

    def boxes(self, pieces: Ragged, images: np.ndarray) -> np.ndarray:
        """A word's and its count's box holds the run; a row mark's is the row it ends."""
        height, width = images.shape[1:3]
        cells = pixel_boxes(height, width)[reading_order(self.order, height, width)]
        if self.longest_run == 1 and not self.row_marks:
            return np.tile(cells, (len(pieces), 1))
        word_at, length = self._lengths(pieces)
        start = ends_to_offsets(length)[:-1]
        every = np.tile(cells, (len(pieces), 1))
        low = np.minimum.reduceat(every[:, :2], start, axis=0)
        high = np.maximum.reduceat(every[:, 2:], start, axis=0)
        # A piece that is no word stands behind the word it belongs to.
        owner = np.searchsorted(word_at, np.arange(len(pieces.values)), side="right") - 1
        boxes = np.concatenate([low, high], axis=1)[owner]
        if self.row_marks:
            at = pieces.values == self.lexicon.kinds["row"].start
            boxes[at, 0], boxes[at, 2] = 0, width
        return boxes

    def read(self, pieces: Ragged, height: int, width: int) -> np.ndarray:
        """Row marks carry nothing that the words do not: they are passed over."""
        word_at, length = self._lengths(pieces)
        words_before = np.searchsorted(word_at, pieces.offsets)
        word = pieces.values[word_at].astype(np.int64) % self._size
        spread = Ragged(np.repeat(word, length), ends_to_offsets(length)[words_before])
        seen = spread.rectangle(height * width, self._size)
        raster = np.empty_like(seen)
        raster[:, reading_order(self.order, height, width)] = seen
        look = self._look()
        look = np.concatenate([look, np.full_like(look[:1], self._open)])
        return look[raster].reshape(len(pieces), height, width, -1)

    @property
    def piece_cells(self) -> np.ndarray:
        """A word is one pixel, a count all others of its run."""
        cells = np.zeros(len(self.lexicon), np.int64)
        cells[: 2 * self._size] = 1
        if self.longest_run > 1:
            cells[np.array(self.lexicon.kinds["count"])] = np.arange(1, self.longest_run)
        return cells

    def budget(self, height: int, width: int) -> int:
        return height * width

    def appearance(self) -> np.ndarray:
        """A word is its pixel's values, a count its number's logarithm; a row mark is nothing."""
        return appearance_of(self.lexicon, (("first", "next"), bumps(self._look() / 255)), *self._look_of_counts())

    def _look_of_counts(self) -> list[tuple[tuple[str, ...], np.ndarray]]:
        counts = np.log(np.arange(2, self.longest_run + 1)) / np.log(max(self.longest_run, 2))
        return [(("count",), bumps(counts[:, None]))] if len(counts) else []


def pixel_boxes(height: int, width: int) -> np.ndarray:
    """int32 `[H·W, 4]`: one box a pixel, in raster order."""
    top, left = np.indices((height, width)).reshape(2, -1)
    return np.stack([left, top, left + 1, top + 1], axis=1).astype(np.int32)


def numbers(count: int) -> dict[str, list[str]]:
    """The words "0", "1", … as kinds `first` and `next`."""
    return words([str(number) for number in range(count)])
