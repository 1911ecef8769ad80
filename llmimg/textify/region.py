"""Regions as text: a describing word for each cell of a grid."""

import functools
import itertools

import numpy as np

from llmimg.errors import UserError
from llmimg.settings import Positive, settings_of
from llmimg.textify.appearance import appearance_of, steps
from llmimg.textify.base import TEXTIFIERS, Textifier
from llmimg.textify.grammar import START, Grammar, Lexicon
from llmimg.textify.order import Order, reading_order
from llmimg.textify.pixel import as_rgb
from llmimg.textify.ragged import Ragged

# Few enough bytes of images that they stay in the processor's cache from one sum to the next.
_CHUNK = 3 * 2**17


@TEXTIFIERS.register("region_color")
@settings_of("textify")
class RegionColor(Textifier):
    """The mean colour of each cell, row by row: `region_color_124_127_146 region_color_118_…`.

    Means are truncated to whole numbers; the grid divides the image as `np.array_split` does, so sides need not be
    multiples of it. A gray image is written with three equal means. With `grid=4` on 32×32 images this is the text of
    the article that the project starts from.

    Attributes:
        grid: cells a side, from 1 to the image's shorter side.
        order: in which cells are read.
    """

    grid: Positive = 4
    order: Order = "raster"

    @functools.cached_property
    def grammar(self) -> Grammar:
        numbers = [str(value) for value in range(256)]
        lexicon = Lexicon.of(first=["region_color_"], next=[" region_color_"], mark=["_"], mean=numbers)
        moves = {
            START: {"first": "red"},
            "red": {"mean": "red_"},
            "red_": {"mark": "green"},
            "green": {"mean": "green_"},
            "green_": {"mark": "blue"},
            "blue": {"mean": "more"},
            "more": {"next": "red"},
        }
        return Grammar(lexicon, moves, frozenset({"more"}))

    @functools.cached_property
    def _template(self) -> np.ndarray:
        """The pieces of any image, `[grid², 6]`, with the lowest mean where means stand."""
        kinds = self.lexicon.kinds
        cell = [kinds[kind].start for kind in ("next", "mean", "mark", "mean", "mark", "mean")]
        template = np.tile(np.array(cell, self.lexicon.dtype), (self.grid**2, 1))
        template[0, 0] = kinds["first"].start
        return template

    def write(self, images: np.ndarray) -> Ragged:
        ids = np.empty((len(images), *self._template.shape), self.lexicon.dtype)
        ids[:] = self._template
        means = self._means(images)
        ids[:, :, 1::2] += means if self.order == "raster" else means[:, self._order]
        return Ragged.rectangular(ids.reshape(len(images), -1))

    def boxes(self, pieces: Ragged, images: np.ndarray) -> np.ndarray:
        height, width = images.shape[1:3]
        rows, columns = self._edges(height, width), self._edges(width, height)
        cells = [
            (left, top, right, bottom)
            for top, bottom in itertools.pairwise(rows)
            for left, right in itertools.pairwise(columns)
        ]
        return np.tile(np.repeat(np.asarray(cells, np.int32)[self._order], 6, axis=0), (len(pieces), 1))

    def read(self, pieces: Ragged, height: int, width: int) -> np.ndarray:
        cells, black = self.grid**2, self.lexicon.kinds["mean"].start
        means = np.empty((len(pieces), cells, 3), self.lexicon.dtype)
        means[:, self._order] = pieces.rectangle(6 * cells, black).reshape(-1, cells, 6)[..., 1::2] - black
        means = means.reshape(-1, self.grid, self.grid, 3)
        row_of = np.repeat(np.arange(self.grid), np.diff(self._edges(height, width)))
        column_of = np.repeat(np.arange(self.grid), np.diff(self._edges(width, height)))
        return means.astype(np.uint8)[:, row_of][:, :, column_of]

    @property
    def piece_cells(self) -> np.ndarray:
        """Each mean is one of the three of a cell."""
        cells = np.zeros(len(self.lexicon), np.int64)
        cells[np.array(self.lexicon.kinds["mean"])] = 1
        return cells

    def budget(self, height: int, width: int) -> int:
        return 3 * self.grid**2

    def appearance(self) -> np.ndarray:
        """A mean is its value, whichever channel it is of; what stands around them is nothing."""
        return appearance_of(self.lexicon, (("mean",), steps(256)))

    @property
    def _order(self) -> np.ndarray:
        return reading_order(self.order, self.grid, self.grid)

    def _edges(self, side: int, other: int) -> list[int]:
        return cell_edges(side, other, self.grid)

    def _means(self, images: np.ndarray) -> np.ndarray:
        """Mean colours, truncated: `[N, grid², 3]` of the lexicon's type."""
        images = as_rgb(images)
        count, height, width, _ = images.shape
        rows, columns = self._edges(height, width), self._edges(width, height)
        areas = np.outer(np.diff(rows), np.repeat(np.diff(columns), 3))
        # Rows of a band are added as vectors; columns then by a product with a matrix of zeros and ones, which floats
        # of enough digits hold exactly. Both together are several times faster than a sum over four axes.
        exact = np.float32 if 255 * areas.max() < 2**24 else np.float64
        column_of = np.repeat(np.arange(self.grid), np.diff(columns))
        gather = np.kron(column_of[:, None] == np.arange(self.grid), np.eye(3)).astype(exact)
        sums = np.empty((count, self.grid, self.grid * 3), np.min_scalar_type(255 * areas.max()))
        row_dtype = np.min_scalar_type(255 * (-(-height // self.grid)))
        longer = height % self.grid
        step = max(1, _CHUNK // images[0].size)
        for start in range(0, count, step):
            chunk = images[start : start + step]
            for bands in (slice(0, longer), slice(longer, self.grid)):  # those of one height at once
                if bands.start < bands.stop:
                    top, bottom = rows[bands.start], rows[bands.stop]
                    band_height = (bottom - top) // (bands.stop - bands.start)
                    band = chunk[:, top:bottom].astype(row_dtype).reshape(-1, band_height, width * 3)
                    added = _added(band) @ gather
                    sums[start : start + step, bands] = added.reshape(len(chunk), -1, gather.shape[1])
        means = sums // areas.astype(sums.dtype)
        return means.astype(self.lexicon.dtype).reshape(count, self.grid**2, 3)


def _added(rows: np.ndarray) -> np.ndarray:
    """`[N, H, W]` → `[N, W]`: the sum over H, halves added to halves, so that the vectors are long."""
    while (height := rows.shape[1]) > 1:
        folded = rows[:, : height // 2] + rows[:, height // 2 : height // 2 * 2]
        if height % 2:
            folded[:, 0] += rows[:, -1]
        rows = folded
    return rows[:, 0]


def cell_edges(side: int, other: int, grid: int) -> list[int]:
    """Where the cells of one side begin, and where the last ends: the first `side % grid` are one pixel longer.

    Raises:
        UserError: where the shorter of both sides has fewer pixels than cells.
    """
    if grid > min(side, other):
        raise UserError(
            f"An image whose shorter side is {min(side, other)} pixels cannot be cut into textify.grid={grid} cells a "
            "side: lower textify.grid or raise data.size."
        )
    size, longer = divmod(side, grid)
    return [cell * size + min(cell, longer) for cell in range(grid + 1)]
