"""Pixels as text: each value one word, in raster order."""

import dataclasses
import functools

import numpy as np

from llmimg.errors import UserError
from llmimg.settings import choose
from llmimg.textify.base import TEXTIFIERS, Textifier, words
from llmimg.textify.grammar import START, Grammar, Lexicon
from llmimg.textify.ragged import Ragged

# Seventy characters by the ink they lay down, none to most (Paul Bourke, "Character representation of grey scale
# images", 1997): on a dark page the sparse ones look dark.
RAMP = " .'`^\",:;Il!i><~+_-?][}{1)(|\\/tfjrxnuvczXYUJCLQ0OZmwqpdbkhao*#MW&8%B@$"


@dataclasses.dataclass(frozen=True)
class _Pixel(Textifier):
    """What `gray` and `rgb` share: values cut into levels, one piece a value."""

    levels: int = 256

    def __post_init__(self):
        if not 2 <= self.levels <= 256:
            raise UserError(f"textify.levels={self.levels} is out of range: it takes 2 to 256.")

    @functools.cached_property
    def grammar(self) -> Grammar:
        lexicon = Lexicon.of(**words([str(level) for level in range(self.levels)]))
        return Grammar(lexicon, {START: {"first": "more"}, "more": {"next": "more"}}, frozenset({"more"}))

    def _piece_ids(self, values: np.ndarray) -> Ragged:
        """uint8 `[N, L]` → one piece a value; level = ⌊value · levels / 256⌋."""
        to_piece = np.arange(256) * self.levels // 256 + self.lexicon.kinds["next"].start
        ids = to_piece.astype(self.lexicon.dtype)[values]
        ids[:, 0] -= self.lexicon.kinds["next"].start - self.lexicon.kinds["first"].start
        return Ragged.rectangular(ids)

    def _values(self, pieces: Ragged) -> np.ndarray:
        """Piece ids → uint8 `[total]`: the middle of each level, the value itself at 256 levels."""
        level = np.arange(self.levels)
        low, high = -(-level * 256 // self.levels), -(-(level + 1) * 256 // self.levels) - 1
        return ((low + high) // 2).astype(np.uint8)[pieces.values % self.levels]


@TEXTIFIERS.register("gray")
@dataclasses.dataclass(frozen=True)
class Gray(_Pixel):
    """Each pixel's brightness as one word, or as one character of a density ramp.

    Colour becomes brightness by the integer form of ITU-R BT.601, (77 R + 150 G + 29 B + 128) / 256, which leaves gray
    as it is.

    Attributes:
        levels: 2 to 256 (to 70 as a ramp); lossless for gray images at 256.
        style: `numbers` (`"0 7 15"`) or `ramp` (`" .@"`).
    """

    levels: int = 16
    style: str = "numbers"

    def __post_init__(self):
        super().__post_init__()
        choose(self.style, {"numbers": None, "ramp": None}, "textify.style")
        if self.style == "ramp" and self.levels > len(RAMP):
            raise UserError(f"textify.levels={self.levels} is more than the ramp's {len(RAMP)} characters: lower it.")

    @functools.cached_property
    def grammar(self) -> Grammar:
        if self.style == "numbers":
            return super().grammar
        chosen = np.linspace(0, len(RAMP) - 1, self.levels).round().astype(int)
        lexicon = Lexicon.of(pixel=[RAMP[place] for place in chosen])
        return Grammar(lexicon, {START: {"pixel": "more"}, "more": {"pixel": "more"}}, frozenset({"more"}))

    def write(self, images: np.ndarray) -> Ragged:
        values = brightness(images).reshape(len(images), -1)
        if self.style == "numbers":
            return self._piece_ids(values)
        return Ragged.rectangular((np.arange(256) * self.levels // 256).astype(self.lexicon.dtype)[values])

    def boxes(self, pieces: Ragged, images: np.ndarray) -> np.ndarray:
        return np.tile(pixel_boxes(*images.shape[1:3]), (len(pieces), 1))

    def read(self, pieces: Ragged, height: int, width: int) -> np.ndarray:
        return self._values(pieces).reshape(-1, height, width, 1)


@TEXTIFIERS.register("rgb")
@dataclasses.dataclass(frozen=True)
class Rgb(_Pixel):
    """Each pixel as three words: red, green, blue. A gray pixel is written as three equal ones.

    Attributes:
        levels: 2 to 256; lossless at 256.
    """

    def write(self, images: np.ndarray) -> Ragged:
        return self._piece_ids(as_rgb(images).reshape(len(images), -1))

    def boxes(self, pieces: Ragged, images: np.ndarray) -> np.ndarray:
        return np.tile(np.repeat(pixel_boxes(*images.shape[1:3]), 3, axis=0), (len(pieces), 1))

    def read(self, pieces: Ragged, height: int, width: int) -> np.ndarray:
        return self._values(pieces).reshape(-1, height, width, 3)


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


def pixel_boxes(height: int, width: int) -> np.ndarray:
    """int32 `[H·W, 4]`: one box a pixel, in raster order."""
    top, left = np.indices((height, width)).reshape(2, -1)
    return np.stack([left, top, left + 1, top + 1], axis=1).astype(np.int32)
