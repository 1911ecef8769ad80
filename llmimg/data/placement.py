"""Where an image comes to lie when it is brought to another size: the geometry alone, so that boxes and masks can move
along with the pixels."""

import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from pydantic import BeforeValidator, Field

from llmimg.settings import Positive

WHITE = 255

Rectangle = tuple[int, int, int, int]  # top, left, bottom, right in whole pixels; bottom and right excluded
Fit = Literal["stretch", "crop", "pad", "middle"]
FITS = typing.get_args(Fit)


def square(sides: Any) -> Any:
    """(height, width) of a single number too."""
    return sides if isinstance(sides, list | tuple) else (sides, sides)


_SIZES = "one number, or (height, width), each 1 or more pixels"
Size = Annotated[tuple[Positive, Positive], Field(description=_SIZES), BeforeValidator(square)]


@dataclass(frozen=True)
class Placement:
    """The pixels of `source` (in the old image) become those of `target` (in the new one of `size` = (height, width)).

    Boxes and pixels lie on the same continuous plane: pixel (y, x) covers [y, y + 1) times [x, x + 1).
    """

    size: tuple[int, int]
    source: Rectangle
    target: Rectangle

    def image(self, image: np.ndarray, fill: int = WHITE) -> np.ndarray:
        """uint8 [H, W, C] → uint8 [*size, C]; what the target leaves uncovered is `fill` (0..255).

        Axes that shrink are averaged over the area, axes that grow are interpolated linearly.
        """
        top, left, bottom, right = self.source
        resized = _resize(image[top:bottom, left:right], _extent(self.target))
        return self._laid(resized, fill)

    def mask(self, mask: np.ndarray, fill: int) -> np.ndarray:
        """Class ids [H, W] of any integer dtype → [*size]: each pixel takes its nearest one's id, never a mixture."""
        top, left, bottom, right = self.source
        height, width = _extent(self.target)
        return self._laid(stretched(mask[top:bottom, left:right], (height, width)), fill)

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """[N, 4] as x0, y0, x1, y1 in pixels → float64 [N, 4], cut at the target's border.

        A box outside of the source keeps its row with no area; dropping it is the caller's choice.
        """
        source, target = np.array(self.source, float), np.array(self.target, float)
        scale = (target[2:] - target[:2]) / (source[2:] - source[:2])  # y, x
        corners = np.asarray(boxes, float).reshape(-1, 2, 2)[..., ::-1]  # [N, 2, (y, x)]
        moved = np.clip((corners - source[:2]) * scale + target[:2], target[:2], target[2:])
        return moved[..., ::-1].reshape(-1, 4)

    def inverse(self, size: tuple[int, int]) -> "Placement":
        """The inverse, to the old image, which is of `size` (height, width): what was found in the new one, on it.

        What the new image does not show stays uncovered, and a box is cut at the border of what it does show.
        """
        return Placement(size, self.target, self.source)

    def _laid(self, pixels: np.ndarray, fill: int) -> np.ndarray:
        if pixels.shape[:2] == self.size:
            return pixels
        canvas = np.full((*self.size, *pixels.shape[2:]), fill, pixels.dtype)
        top, left, bottom, right = self.target
        canvas[top:bottom, left:right] = pixels
        return canvas


def nearest_pixels(count: int, length: int) -> np.ndarray:
    """int64 [count]: which of `length` pixels lies in the middle of each of `count` even parts of them."""
    return (2 * np.arange(count) + 1) * length // (2 * count)


def stretched(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Class numbers [H, W] → [*size]: each pixel takes its nearest one's."""
    if mask.shape == tuple(size):
        return mask
    rows, columns = (nearest_pixels(count, length) for count, length in zip(size, mask.shape, strict=True))
    return mask[rows[:, None], columns]


def placement_of(old: tuple[int, int], size: tuple[int, int], fit: str) -> Placement:
    """How an image of `old` (height, width) is brought to `size` (height, width).

    `stretch` fills the new size whatever the proportions; `crop` takes the largest centred part that has the new
    proportions; `pad` keeps the whole image and its proportions, centred; `middle` changes no pixel, and takes the
    middle, or stands in it. Parts are rounded to whole pixels.
    """
    source, target = (0, 0, *old), (0, 0, *size)
    if fit == "crop":
        scale = max(size[0] / old[0], size[1] / old[1])
        source = _centred(size, 1 / scale, old)
    elif fit == "pad":
        scale = min(size[0] / old[0], size[1] / old[1])
        target = _centred(old, scale, size)
    elif fit == "middle":
        source, target = _centred(size, 1, old), _centred(old, 1, size)
    return Placement(size, source, target)


def _centred(inner: tuple[int, int], scale: float, outer: tuple[int, int]) -> Rectangle:
    height, width = (min(out, max(1, round(length * scale))) for length, out in zip(inner, outer, strict=True))
    top, left = (outer[0] - height) // 2, (outer[1] - width) // 2
    return top, left, top + height, left + width


def _extent(rectangle: Rectangle) -> tuple[int, int]:
    top, left, bottom, right = rectangle
    return bottom - top, right - left


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Two steps, because area averaging is made for shrinking only and linear interpolation for growing only."""
    channels = image.shape[2]
    smaller = min(size[0], image.shape[0]), min(size[1], image.shape[1])
    for step, method in ((smaller, cv2.INTER_AREA), (size, cv2.INTER_LINEAR)):
        if image.shape[:2] != step:
            image = cv2.resize(image, step[::-1], interpolation=method)
    return image.reshape(*size, channels)  # OpenCV drops a channel axis of one
