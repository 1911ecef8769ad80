"""How training images are moved: one geometry for pixels, boxes and masks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from llmimg.data.rng import integers, uniform

if TYPE_CHECKING:
    from llmimg.data.augment import AugmentSettings

Fill = Literal["edge", "black"]
EDGES: dict[Fill, int] = {"edge": cv2.BORDER_REPLICATE, "black": cv2.BORDER_CONSTANT}
_NAMES = ("flip", "down", "right", "angle", "size", "slant", "area", "aspect", "top", "left")
_NAMES += ("brightness", "contrast", "saturation", "row", "column", "partner", "share")
STREAMS = {name: stream for stream, name in enumerate(_NAMES)}  # each random quantity is a stream of its own


@dataclass(frozen=True)
class Motion:
    """How each of N images of one size moves: mirrored, moved by whole pixels, then warped.

    Attributes:
        size: (height, width) of the images, before and after.
        flipped, down, right: bool [N], int64 [N] and int64 [N]; None where nothing is mirrored nor moved.
        maps: float64 [N, 3, 3], the point (x, y, 1) of a pixel of the result → its point before, in whole pixels from
            the first one's middle; None where nothing is warped.
        fill: what is uncovered: `edge` or `black`.
    """

    size: tuple[int, int]
    flipped: np.ndarray | None
    down: np.ndarray | None
    right: np.ndarray | None
    maps: np.ndarray | None
    fill: Fill

    @classmethod
    def of(cls, settings: "AugmentSettings", size: tuple[int, int], seeds: np.ndarray) -> "Motion":
        """Draw the motion of images of `size` (height, width), one for each of `seeds`, uint64 [N]."""
        flipped = down = right = None
        if settings.flip or settings.shift:
            down, right = (
                integers(seeds, STREAMS[name], 2 * settings.shift + 1) - settings.shift for name in ("down", "right")
            )
            flipped = (integers(seeds, STREAMS["flip"], 2) == 1) & settings.flip
        return cls(size, flipped, down, right, _maps(settings, size, seeds) if settings.warps else None, settings.fill)

    def images(self, images: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, C] → the same shape, warps resampled once, bilinearly. Nothing to do returns `images`."""
        images = self._shifted(images, 0)
        if self.maps is None:
            return images
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = [
            cv2.warpAffine(image, each[:2], self.size[::-1], flags=flags, borderMode=EDGES[self.fill])
            for image, each in zip(images, self.maps, strict=True)
        ]
        return np.stack(warped).reshape(images.shape)

    def masks(self, masks: np.ndarray, void: int) -> np.ndarray:
        """Class numbers [N, H, W] of any integer dtype → the same shape: each pixel takes the nearest one's number.
        What is uncovered goes on as the mask's edge does, or where it is black is `void`."""
        masks = self._shifted(masks[..., None], void)[..., 0]
        if self.maps is None:
            return masks
        height, width = self.size
        points = np.stack([*np.meshgrid(np.arange(width), np.arange(height)), np.ones(self.size)]).reshape(3, -1)
        columns, rows = np.floor(self.maps[:, :2] @ points + 0.5).astype(np.int64).transpose(1, 0, 2)
        outside = (rows < 0) | (rows >= height) | (columns < 0) | (columns >= width)
        sources = np.clip(rows, 0, height - 1) * width + np.clip(columns, 0, width - 1)
        found = np.take_along_axis(masks.reshape(len(masks), -1), sources, axis=1)
        return (np.where(outside, void, found).astype(masks.dtype) if self.fill == "black" else found).reshape(
            masks.shape
        )

    def boxes(self, index: int, boxes: np.ndarray) -> np.ndarray:
        """Boxes [M, 4] of image `index`, as x0, y0, x1, y1 in pixels → float64 [M, 4], each around what is left of it
        inside the image. One of which nothing is left keeps its row with no area."""
        boxes = np.asarray(boxes, float).reshape(-1, 4)
        height, width = self.size
        if self.flipped is not None and self.flipped[index]:
            boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
        if self.right is not None and self.down is not None:
            boxes = boxes + np.tile([self.right[index], self.down[index]], 2)
        boxes = np.clip(boxes, 0, [width, height, width, height])
        return boxes if self.maps is None else _warped_boxes(boxes, self.maps[index], self.size)

    def _shifted(self, pixels: np.ndarray, black: int) -> np.ndarray:
        """[N, H, W, C] mirrored and moved by whole pixels, if they are: nothing is interpolated."""
        if self.flipped is None or self.down is None or self.right is None:
            return pixels
        height, width = self.size
        rows, columns = np.arange(height) - self.down[:, None], np.arange(width) - self.right[:, None]
        uncovered = ((rows < 0) | (rows >= height))[:, :, None] | ((columns < 0) | (columns >= width))[:, None, :]
        rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
        columns = np.where(self.flipped[:, None], width - 1 - columns, columns)
        moved = pixels[np.arange(len(pixels))[:, None, None], rows[:, :, None], columns[:, None, :]]
        return np.where(uncovered[..., None], black, moved).astype(pixels.dtype) if self.fill == "black" else moved


def _maps(settings: "AugmentSettings", size: tuple[int, int], seeds: np.ndarray) -> np.ndarray:
    """Cut out, turned, scaled and slanted about the middle, as one affine map of each image, float64 [N, 3, 3]."""
    height, width = size
    maps = np.eye(3)[None].repeat(len(seeds), axis=0)  # (x, y, 1) about the middle: result → image
    angle = np.deg2rad(uniform(seeds, STREAMS["angle"], -settings.rotate, settings.rotate))
    slant = np.tan(np.deg2rad(uniform(seeds, STREAMS["slant"], -settings.shear, settings.shear)))
    scale = 1 + uniform(seeds, STREAMS["size"], -settings.scale, settings.scale)
    maps[:, 0, 0], maps[:, 0, 1] = np.cos(angle), np.cos(angle) * slant - np.sin(angle)
    maps[:, 1, 0], maps[:, 1, 1] = np.sin(angle), np.sin(angle) * slant + np.cos(angle)
    maps[:, :2, :2] /= scale[:, None, None]
    if settings.crop < 1:
        area = uniform(seeds, STREAMS["area"], settings.crop, 1)
        aspect = np.exp(uniform(seeds, STREAMS["aspect"], math.log(3 / 4), math.log(4 / 3)))
        wide, high = np.minimum(np.sqrt(area * aspect), 1), np.minimum(np.sqrt(area / aspect), 1)
        cut = np.zeros_like(maps)
        cut[:, 0, 0], cut[:, 1, 1], cut[:, 2, 2] = wide, high, 1
        cut[:, 0, 2] = uniform(seeds, STREAMS["left"], -0.5, 0.5) * (1 - wide) * width
        cut[:, 1, 2] = uniform(seeds, STREAMS["top"], -0.5, 0.5) * (1 - high) * height
        maps = cut @ maps
    to_middle = np.array([[1, 0, (1 - width) / 2], [0, 1, (1 - height) / 2], [0, 0, 1]])
    return np.linalg.inv(to_middle) @ maps @ to_middle


def _warped_boxes(boxes: np.ndarray, warp: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """x0, y0, x1, y1 [M, 4] → the same around the part of each warped box that lies inside the image.

    The corners of that part are the box's own that lie inside, those of the image that lie in the box, and where a side
    of the one meets a side of the other.
    """
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # pixel (0, 0) covers [0, 1): its middle lies at a half
    back = half @ warp @ np.linalg.inv(half)
    forth = np.linalg.inv(back)
    bounds = np.array([0, 0, size[1], size[0]], float)
    own, image = _turned(_corners(boxes), forth), _corners(bounds[None])
    found = [own, np.broadcast_to(image, own.shape)]
    lies = [_inside(own, bounds[None]), _inside(_turned(found[1], back), boxes)]
    start, step = own, np.roll(own, -1, axis=1) - own
    with np.errstate(divide="ignore", invalid="ignore"):
        for axis in (0, 1):
            for border in bounds[[axis, axis + 2]]:
                share = (border - start[..., axis]) / step[..., axis]
                meeting = start + share[..., None] * step
                meeting[..., axis] = border
                found.append(meeting)
                lies.append((share >= 0) & (share <= 1) & _inside(meeting, bounds[None]))
    points, inside = np.concatenate(found, axis=1), np.concatenate(lies, axis=1)[..., None]
    low = np.where(inside, points, np.inf).min(axis=1)
    high = np.where(inside, points, -np.inf).max(axis=1)
    has_area = ((boxes[:, 2:] > boxes[:, :2]) & (high > low)).all(axis=1, keepdims=True)
    return np.where(has_area, np.concatenate([low, high], axis=1), 0.0)


def _corners(boxes: np.ndarray) -> np.ndarray:
    """[M, 4] → [M, 4, 2]: (x, y) of each corner, around."""
    return boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]


def _turned(points: np.ndarray, by: np.ndarray) -> np.ndarray:
    """(x, y) of any number of points, by an affine map [3, 3]."""
    return points @ by[:2, :2].T + by[:2, 2]


def _inside(points: np.ndarray, boxes: np.ndarray, slack: float = 1e-9) -> np.ndarray:
    """Whether each of points [M, K, 2] lies in its box of [M or 1, 4], bool [M, K]."""
    return np.all((points >= boxes[:, None, :2] - slack) & (points <= boxes[:, None, 2:] + slack), axis=2)


def as_corners(boxes: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    """x, y, width, height → x0, y0, x1, y1: float64 [M, 4]."""
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def from_corners(corners: np.ndarray) -> np.ndarray:
    """x0, y0, x1, y1 → x, y, width, height: float64 [M, 4]."""
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
