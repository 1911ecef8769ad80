"""Pixels as text: brightness, or red, green and blue, as words."""

import functools
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from llmimg.errors import UserError
from llmimg.settings import settings_of
from llmimg.textify.appearance import appearance_of, bumps
from llmimg.textify.base import TEXTIFIERS, Textifier
from llmimg.textify.grammar import START, Grammar, Lexicon
from llmimg.textify.order import Order, reading_order
from llmimg.textify.ragged import Ragged
from llmimg.textify.runs import WordsOfPixels, numbers, pixel_boxes

# Seventy characters by the ink they lay down, none to most (Paul Bourke, "Character representation of grey scale
# images", 1997): on a dark page the sparse ones look dark.
RAMP = " .'`^\",:;Il!i><~+_-?][}{1)(|\\/tfjrxnuvczXYUJCLQ0OZmwqpdbkhao*#MW&8%B@$"

Levels = Annotated[int, Field(ge=2, le=256)]


def _level_of(levels: int) -> np.ndarray:
    """int64 `[256]`: the level of each value, ⌊value · levels / 256⌋."""
    return np.arange(256) * levels // 256


def _value_of(levels: int) -> np.ndarray:
    """uint8 `[levels]`: the middle of each level, the value itself at 256 levels."""
    level = np.arange(levels)
    low, high = -(-level * 256 // levels), -(-(level + 1) * 256 // levels) - 1
    return ((low + high) // 2).astype(np.uint8)


@TEXTIFIERS.register("gray")
@settings_of("textify")
class Gray(WordsOfPixels):
    """Each pixel's brightness as one word, or as one character of a density ramp.

    Colour becomes brightness by the integer form of ITU-R BT.601, (77 R + 150 G + 29 B + 128) / 256, which leaves gray
    as it is.

    Attributes:
        levels: 2 to 256 (to 70 as a ramp); lossless for gray images at 256.
        style: `numbers` (`"0 7 15"`) or `ramp` (`" .@"`).
        order, longest_run, row_marks: as in `WordsOfPixels`.
    """

    levels: Levels = 16
    style: Literal["numbers", "ramp"] = "numbers"

    def __post_init__(self):
        super().__post_init__()
        if self.style == "ramp" and self.levels > len(RAMP):
            raise UserError(f"textify.levels={self.levels} is more than the ramp's {len(RAMP)} characters: lower it.")
        if self.style == "ramp" and self.longest_run > 1:
            raise UserError("textify.style=ramp writes characters, which cannot be counted: set textify.longest_run=1.")

    def _words(self) -> dict[str, list[str]]:
        if self.style == "numbers":
            return numbers(self.levels)
        chosen = np.linspace(0, len(RAMP) - 1, self.levels).round().astype(int)
        characters: list[str] = [RAMP[index] for index in chosen]
        return {"first": characters, "next": characters}

    def _word_of(self, images: np.ndarray) -> np.ndarray:
        return (_level_of(self.levels) + self.levels).astype(self.lexicon.dtype)[brightness(images)]

    def _look(self) -> np.ndarray:
        return _value_of(self.levels)[:, None]


@TEXTIFIERS.register("rgb")
@settings_of("textify")
class Rgb(Textifier):
    """Each pixel as three words: red, green, blue. A gray pixel is written as three equal ones.

    Attributes:
        levels: 2 to 256; lossless at 256.
        order: in which pixels are read.
    """

    levels: Levels = 256
    order: Order = "raster"

    @functools.cached_property
    def grammar(self) -> Grammar:
        lexicon = Lexicon.of(**numbers(self.levels))
        moves = {START: {"first": "red"}, "red": {"next": "green"}, "green": {"next": "blue"}, "blue": {"next": "red"}}
        return Grammar(lexicon, moves, frozenset({"blue"}))

    def write(self, images: np.ndarray) -> Ragged:
        images = as_rgb(images)
        if self.order != "raster":
            height, width = images.shape[1:3]
            images = images.reshape(len(images), -1, 3)[:, reading_order(self.order, height, width)]
        ids = (_level_of(self.levels) + self.levels).astype(self.lexicon.dtype)[images.reshape(len(images), -1)]
        ids[:, 0] -= self.levels
        return Ragged.rectangular(ids)

    def boxes(self, pieces: Ragged, images: np.ndarray) -> np.ndarray:
        height, width = images.shape[1:3]
        cells = pixel_boxes(height, width)[reading_order(self.order, height, width)]
        return np.tile(np.repeat(cells, 3, axis=0), (len(pieces), 1))

    def read(self, pieces: Ragged, height: int, width: int) -> np.ndarray:
        look = np.append(_value_of(self.levels), np.uint8(0))
        level = Ragged(pieces.values % self.levels, pieces.offsets).rectangle(3 * height * width, self.levels)
        raster = np.empty((len(pieces), height * width, 3), np.uint8)
        raster[:, reading_order(self.order, height, width)] = look[level].reshape(len(pieces), -1, 3)
        return raster.reshape(-1, height, width, 3)

    @property
    def piece_cells(self) -> np.ndarray:
        """A word is one channel of a pixel."""
        return np.ones(len(self.lexicon), np.int64)

    def budget(self, height: int, width: int) -> int:
        return 3 * height * width

    def appearance(self) -> np.ndarray:
        """Each word is its value; the same words stand for red, green and blue."""
        return appearance_of(self.lexicon, (("first", "next"), bumps(_value_of(self.levels)[:, None] / 255)))


def brightness(images: np.ndarray) -> np.ndarray:
    """uint8 `[N, H, W, C]` → uint8 `[N, H, W]`; gray images as they are."""
    if images.shape[-1] == 1:
        return images[..., 0]
    # The weights add up to 256, so the sum stays below 2^16.
    red, green, blue = (images[..., channel].astype(np.uint16) for channel in range(3))
    return ((red * 77 + green * 150 + blue * 29 + 128) >> 8).astype(np.uint8)


def as_rgb(images: np.ndarray) -> np.ndarray:
    """uint8 `[N, H, W, C]` → uint8 `[N, H, W, 3]`."""
    return images if images.shape[-1] == 3 else np.repeat(images, 3, axis=-1)
