"""Where things lie: how many, which, in what size and colour, for many scenes at once.

Things are placed one after the other, the largest first, later ones on top. One that finds no room is tried in the
sizes below its own, and then left out. A scene that has too few is begun again.

Which split a layout may appear in is decided by the layout itself, by a hash of all its things: a scene whose layout
belongs to another split is begun again too. So no scene of one split is one of another, whatever the numbers.
"""

from dataclasses import dataclass, fields

import numpy as np

from llmimg.data.rng import hashed, integers
from llmimg.data.scenes.settings import SceneSettings
from llmimg.data.scenes.things import Things
from llmimg.errors import UserError

_SHARES = {"test": (0, 1), "validation": (1, 2), "train": (2, 10)}  # of the ten that layouts' hashes fall to
_TRIES = 12  # positions, in each size
_BEGINNINGS = 1000  # of one scene
_TOGETHER = 16
_HOPELESS = 500  # scenes begun, none of which had room for what it must have
_STREAMS = 1000  # random numbers set aside for each thing


@dataclass(frozen=True)
class Layout:
    """N scenes of up to K things, in the order in which they are painted.

    Attributes:
        patch, color: int64 [N, K], numbers in `Things`.
        top, left: int64 [N, K], of the patch in the canvas.
        placed: bool [N, K].
        owner: uint8 [N, H, W], 0 or 1 + the number (below K) of the thing that is seen there.
        cover: uint8 [N, H, W], how much of the pixel that covers, of 255.
    """

    patch: np.ndarray
    color: np.ndarray
    top: np.ndarray
    left: np.ndarray
    placed: np.ndarray
    owner: np.ndarray
    cover: np.ndarray

    @classmethod
    def empty(cls, scenes: int, settings: SceneSettings) -> "Layout":
        patch, color, top, left = (np.zeros((scenes, settings.most), np.int64) for _ in range(4))
        owner, cover = (np.zeros((scenes, *settings.canvas), np.uint8) for _ in range(2))
        return cls(patch, color, top, left, np.zeros((scenes, settings.most), bool), owner, cover)

    def __setitem__(self, rows: np.ndarray, other: "Layout") -> None:
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(other, field.name)

    def __getitem__(self, rows: np.ndarray) -> "Layout":
        return Layout(*(getattr(self, field.name)[rows] for field in fields(self)))


def lay_out(things: Things, settings: SceneSettings, split: str, seeds: np.ndarray) -> Layout:
    """The layouts that `seeds` (uint64 [N]) stand for, none of which another split has.

    Raises:
        UserError: where so many things do not fit.
    """
    layout = Layout.empty(len(seeds), settings)
    pending, begun, fitting, beginning = np.arange(len(seeds)), 0, 0, 0
    while len(pending) and beginning < _BEGINNINGS and (fitting or begun <= _HOPELESS):
        # Of few scenes many beginnings are tried together; the first that is good counts.
        together = min(len(seeds) // len(pending), _TOGETHER)
        beginnings = np.arange(beginning, beginning + together, dtype=np.uint64) << np.uint64(32)
        tried = _Placing(things, settings, (seeds[pending][:, None] + beginnings).reshape(-1))
        tried = tried.placed(things.exemplars[split])
        enough = tried.placed.sum(axis=1) >= settings.least
        good = (enough & belongs(tried, split)).reshape(-1, together)
        found = np.flatnonzero(good.any(axis=1))
        layout[pending[found]] = tried[found * together + good[found].argmax(axis=1)]
        begun, fitting, beginning = begun + len(enough), fitting + enough.sum(), beginning + together
        pending = np.delete(pending, found)
    if not len(pending):
        return layout
    size = " by ".join(map(str, settings.canvas))
    raise UserError(
        f"Scenes of {settings.least} things or more, {' or '.join(map(str, settings.sides))} pixels a side, do not fit "
        f"on {size} (data.scenes.least): take fewer, smaller ones, a larger canvas or more overlap."
    )


def belongs(layout: Layout, split: str) -> np.ndarray:
    """bool [N]: whether the split may have these; a scene without things is every split's."""
    kinds = (layout.patch << 44) + (layout.color << 36) + (layout.top << 18) + layout.left
    whole = np.where(layout.placed, hashed(kinds), np.uint64(0)).sum(axis=1, dtype=np.uint64)  # in whatever order
    low, high = _SHARES[split]
    share = hashed(whole) % np.uint64(10)
    return ((low <= share) & (share < high)) | ~layout.placed.any(axis=1)


class _Placing:
    """Scenes while things are put in them."""

    def __init__(self, things: Things, settings: SceneSettings, seeds: np.ndarray):
        self.things, self.settings, self.seeds = things, settings, seeds
        self.side = things.coverage.shape[1]
        self.layout = Layout.empty(len(seeds), settings)
        height, width = settings.canvas
        # Patches stand out over the canvas by what is not painted.
        self.owner, self.cover = np.zeros((2, len(seeds), height + self.side, width + self.side), np.uint8)
        self.seen = np.zeros((len(seeds), settings.most), np.int64)  # pixels of each thing

    def placed(self, exemplars: np.ndarray) -> Layout:
        settings, things, most = self.settings, self.things, self.settings.most
        count = settings.least + integers(self.seeds, 0, most - settings.least + 1)
        streams = range(_STREAMS, _STREAMS * (most + 1), _STREAMS)
        drawn = [
            np.stack([integers(self.seeds, stream + which, bound) for stream in streams], axis=1)
            for which, bound in enumerate((things.sizes, len(exemplars), len(things.paints)))
        ]
        rank = np.where(np.arange(most) < count[:, None], drawn[0], -1)
        order = np.argsort(-rank, axis=1, kind="stable")
        size, exemplar, color = (np.take_along_axis(each, order, axis=1) for each in drawn)
        for number in range(most):
            rows = np.flatnonzero(count > number)
            self._settle(number, exemplars[exemplar[:, number]], size[:, number], color[:, number], rows)
        height, width = self.settings.canvas
        self.layout.owner[:] = self.owner[:, :height, :width]
        self.layout.cover[:] = self.cover[:, :height, :width]
        return self.layout

    def _settle(self, number: int, exemplar, size, color, rows: np.ndarray) -> None:
        """Put the thing `number`, int64 [N] each of what it is, into the scenes `rows`, wherever there is room."""
        things, (height, width) = self.things, self.settings.canvas
        stream = _STREAMS * (number + 1)
        for attempt in range(_TRIES * things.sizes):
            if not len(rows):
                return
            patch = exemplar[rows] * things.sizes + np.maximum(size[rows] - attempt // _TRIES, 0)
            seeds = self.seeds[rows]
            top = integers(seeds, stream + 3 + 2 * attempt, height - things.heights[patch] + 1)
            left = integers(seeds, stream + 4 + 2 * attempt, width - things.widths[patch] + 1)
            fits, hidden = self._fits(rows, patch, color[rows], top, left)
            self.seen[rows[fits]] -= hidden[fits]
            self._put(number, rows[fits], patch[fits], color[rows[fits]], top[fits], left[fits])
            rows = rows[~fits]

    def _fits(self, rows, patch, color, top, left) -> tuple[np.ndarray, np.ndarray]:
        """Whether a thing may lie there, bool [n], and how much of each earlier one it would hide, int64 [n, K]."""
        things, there = self.things, self.layout[rows]
        near = (
            there.placed
            & (top[:, None] <= there.top + things.heights[there.patch])
            & (there.top <= (top + things.heights[patch])[:, None])
            & (left[:, None] <= there.left + things.widths[there.patch])
            & (there.left <= (left + things.widths[patch])[:, None])
        )
        hidden = np.zeros(near.shape, np.int64)
        if not self.settings.overlap:
            return ~near.any(axis=1), hidden
        under = self.owner.reshape(-1)[self._window(rows, top, left)]
        under = np.where(things.coverage[patch] > 0, under, 0)
        for number in np.unique(under[under > 0]) - 1:
            hidden[:, number] = (under == number + 1).sum(axis=(1, 2))
        left_over = self.seen[rows] - hidden
        enough = left_over >= np.ceil((1 - self.settings.overlap) * things.areas[there.patch])
        # Two of one colour would be seen as one.
        merged = near & (there.color == color[:, None]) & bool(things.colors)
        return (enough | ~there.placed).all(axis=1) & ~merged.any(axis=1), hidden

    def _put(self, number: int, rows, patch, color, top, left) -> None:
        layout, coverage = self.layout, self.things.coverage[patch]
        layout.patch[rows, number], layout.color[rows, number] = patch, color
        layout.top[rows, number], layout.left[rows, number] = top, left
        layout.placed[rows, number] = True
        self.seen[rows, number] = self.things.areas[patch]
        painted = coverage > 0
        indices = self._window(rows, top, left)[painted]
        self.owner.reshape(-1)[indices] = number + 1
        self.cover.reshape(-1)[indices] = coverage[painted]

    def _window(self, rows, top, left) -> np.ndarray:
        """int64 [n, S, S]: the indices of a patch's pixels in the flat maps."""
        _, height, width = self.owner.shape
        reach = np.arange(self.side)
        start = (rows * height + top) * width + left
        return start[:, None, None] + reach[:, None] * width + reach
