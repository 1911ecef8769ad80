"""Regions in words: colour, brightness, texture, place and area of each."""

import functools
from typing import Literal

import numpy as np

from llmimg.errors import UserError
from llmimg.settings import Positive, settings_of
from llmimg.textify.appearance import appearance_of, bumps, steps
from llmimg.textify.base import TEXTIFIERS, Textifier
from llmimg.textify.colours import NAMED, nearest_color, to_lab
from llmimg.textify.grammar import START, Grammar, Lexicon
from llmimg.textify.order import Order, reading_order
from llmimg.textify.pixel import as_rgb
from llmimg.textify.ragged import Ragged, ends_to_offsets
from llmimg.textify.region import cell_edges
from llmimg.textify.texture import TEXTURES, textures

BRIGHTNESS = ("very dark", "dark", "medium", "bright", "very bright")  # by CIELAB's L*, in fifths of 0 to 100
PLACES = ("top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right")
AREAS = {"tiny": 0.02, "small": 0.06, "medium": 0.15, "large": 0.4, "huge": 1.0}  # up to that part of the image


@TEXTIFIERS.register("region_words")
@settings_of("textify")
class RegionWords(Textifier):
    """Each region in readable words: `"dark blue smooth, bright white striped vertically, …"`.

    The colour's name is the one nearest to the region's mean in CIELAB; brightness is L* of that mean; texture is found
    as `llmimg.textify.texture` tells. A grid's reconstruction gives each cell its named colour, or the gray of its
    brightness; texture is lost on it.

    Attributes:
        regions: `grid`, or `slic`: superpixels (Achanta et al., PAMI 2012; scikit-image), in rows of their centres.
        grid: cells a side of the grid.
        segments: superpixels to aim at.
        order: in which the grid's cells are read.
        color, brightness, texture, place, area: what is said of a region.
        colors: names of colours: `basic` or `css`.
    """

    regions: Literal["grid", "slic"] = "grid"
    grid: Positive = 4
    segments: Positive = 16
    order: Order = "raster"
    color: bool = True
    brightness: bool = True
    texture: bool = True
    place: bool = False
    area: bool = False
    colors: Literal["basic", "css"] = "basic"

    def __post_init__(self):
        if not self._said:
            raise UserError("textify=region_words has nothing to say: set textify.color=true, or another of its words.")

    @property
    def _said(self) -> dict[str, tuple[str, ...]]:
        """What is said of a region, in order, and the words for it."""
        words = {
            "brightness": BRIGHTNESS,
            "color": tuple(NAMED[self.colors]),
            "texture": TEXTURES,
            "area": tuple(AREAS),
            "place": PLACES,
        }
        return {name: words[name] for name in words if getattr(self, name)}

    @functools.cached_property
    def grammar(self) -> Grammar:
        names = list(self._said)
        kinds = {name: [f" {word}" for word in words] for name, words in self._said.items()}
        kinds[names[0]] = [f", {word}" for word in self._said[names[0]]]
        lexicon = Lexicon.of(first=list(self._said[names[0]]), **kinds)
        moves = {name: {after: after} for name, after in zip(names, [*names[1:], names[0]], strict=True)}
        return Grammar(lexicon, {START: {"first": names[0]}, **moves}, frozenset({names[-1]}))

    def write(self, images: np.ndarray) -> Ragged:
        images = as_rgb(images)
        labels, counts = self._regions(images)
        total, (height, width) = int(counts.sum()), images.shape[1:3]
        flat = labels.reshape(-1)
        areas = np.bincount(flat, minlength=total)
        sums = np.stack([np.bincount(flat, images[..., each].reshape(-1), total) for each in range(3)], axis=1)
        means = (sums // areas[:, None]).astype(np.uint8)
        words = {}
        if self.color:
            words["color"] = nearest_color(means, np.array(list(NAMED[self.colors].values()), np.uint8), "lab")
        if self.brightness:
            words["brightness"] = np.minimum(to_lab(means)[:, 0] // 20, 4).astype(np.int64)
        if self.texture:
            words["texture"] = textures(images, labels, total)
        if self.area:
            words["area"] = np.searchsorted(list(AREAS.values()), areas / (height * width))
        if self.place:
            rows, columns = np.indices(images.shape[:3])[1:].reshape(2, -1)
            down, across = (
                (3 * (np.bincount(flat, each, total) / areas + 0.5) / side).astype(np.int64)
                for each, side in ((rows, height), (columns, width))
            )
            words["place"] = 3 * down + across
        kinds = self.lexicon.kinds
        ids = np.stack([words[name] + kinds[name].start for name in self._said], axis=1).astype(self.lexicon.dtype)
        ids[ends_to_offsets(counts)[:-1], 0] -= len(kinds["first"])
        return Ragged(ids.reshape(-1), ends_to_offsets(counts * len(self._said)))

    def _regions(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The region of each pixel, int64 `[N, H, W]`, numbered through the batch in the order of the text; and how
        many each image has, int64 `[N]`."""
        count, height, width, _ = images.shape
        if self.regions == "grid":
            rows, columns = (np.repeat(np.arange(self.grid), np.diff(edges)) for edges in self._edges(height, width))
            number = np.empty(self.grid**2, np.int64)
            number[reading_order(self.order, self.grid, self.grid)] = np.arange(self.grid**2)
            cells = number[rows[:, None] * self.grid + columns]
            return cells + np.arange(count)[:, None, None] * self.grid**2, np.full(count, self.grid**2)
        each = [_superpixels(image, self.segments) for image in images]
        counts = np.array([labels.max() + 1 for labels in each])
        return np.stack(each) + ends_to_offsets(counts)[:-1, None, None], counts

    def _edges(self, height: int, width: int) -> tuple[list[int], list[int]]:
        return cell_edges(height, width, self.grid), cell_edges(width, height, self.grid)

    def boxes(self, pieces: Ragged, images: np.ndarray) -> np.ndarray:
        labels, counts = self._regions(as_rgb(images))
        flat, total = labels.reshape(-1), int(counts.sum())
        rows, columns = np.indices(labels.shape)[1:].reshape(2, -1)
        boxes = np.tile(np.array([*labels.shape[:0:-1], 0, 0], np.int32), (total, 1))
        for each, values in enumerate((columns, rows)):
            np.minimum.at(boxes[:, each], flat, values)
            np.maximum.at(boxes[:, each + 2], flat, values + 1)
        return np.repeat(boxes, len(self._said), axis=0)

    def read(self, pieces: Ragged, height: int, width: int) -> np.ndarray | None:
        if self.regions == "slic" or not (self.color or self.brightness):
            return None
        cells, said = self.grid**2, list(self._said)
        rows = pieces.rectangle(cells * len(said)).reshape(-1, cells, len(said)).astype(np.int64)
        name = "color" if self.color else "brightness"
        word = rows[..., said.index(name)] - self.lexicon.kinds[name].start
        if name == said[0]:
            word[:, 0] += len(self.lexicon.kinds["first"])
        look = np.array(list(NAMED[self.colors].values()), np.uint8) if self.color else _GRAYS
        seen = look[np.clip(word, 0, len(look) - 1)]
        seen[np.arange(cells) >= (pieces.lengths // len(said))[:, None]] = 0
        raster = np.empty_like(seen)
        raster[:, reading_order(self.order, self.grid, self.grid)] = seen
        across, down = (np.diff(edges) for edges in reversed(self._edges(height, width)))
        whole = raster.reshape(len(pieces), self.grid, self.grid, -1)
        return whole.repeat(down, axis=1).repeat(across, axis=2)

    @property
    def piece_cells(self) -> np.ndarray | None:
        """Each word is one of those of a cell."""
        if self.regions == "slic" or not (self.color or self.brightness):
            return None
        return np.ones(len(self.lexicon), np.int64)

    def budget(self, height: int, width: int) -> int:
        return self.grid**2 * len(self._said)

    def appearance(self) -> np.ndarray | None:
        """A colour is its values, brightness and area their step, a place its row and column; texture is nothing."""
        known = {
            "brightness": steps(len(BRIGHTNESS)),
            "color": bumps(np.array(list(NAMED[self.colors].values())) / 255),
            "area": steps(len(AREAS)),
            "place": bumps(np.stack(np.divmod(np.arange(9), 3), axis=1) / 2),
        }
        names = list(self._said)
        looks = [((name, *["first"] * (name == names[0])), look) for name, look in known.items() if name in names]
        return appearance_of(self.lexicon, *looks) if looks else None


_GRAYS = np.array([[24], [71], [119], [171], [226]], np.uint8).repeat(3, axis=1)  # L* 10, 30, 50, 70, 90


def _superpixels(image: np.ndarray, segments: int) -> np.ndarray:
    """int64 `[H, W]`: SLIC's superpixels from 0, in rows of their centres, as many rows as the root of their number."""
    from skimage.segmentation import slic

    labels = slic(image, n_segments=segments, compactness=10, start_label=0, channel_axis=-1)
    _, labels = np.unique(labels, return_inverse=True)
    labels = labels.reshape(image.shape[:2])
    areas = np.bincount(labels.reshape(-1))
    rows, columns = (np.bincount(labels.reshape(-1), each.reshape(-1)) / areas for each in np.indices(labels.shape))
    band = (rows * max(1, round(len(areas) ** 0.5)) / image.shape[0]).astype(np.int64)
    number = np.empty(len(areas), np.int64)
    number[np.lexsort((columns, band))] = np.arange(len(areas))
    return number[labels]
