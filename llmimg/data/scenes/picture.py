"""The pixels of scenes: a dark ground, clutter, the things on it, noise; and the boxes of what is seen."""

import functools
from statistics import NormalDist

import numpy as np

from llmimg.data.rng import integers, random_bytes
from llmimg.data.scenes.layout import Layout
from llmimg.data.scenes.settings import SceneSettings
from llmimg.data.scenes.things import Things

_GROUND = 41  # gray levels that the ground may have, from 0
_STROKE = (3, 6)  # pixels of a stroke of clutter
_TINT = (25, 85)  # how much lighter than the ground its samples are
# Random numbers: those below are the layout's and the clutter's.
_GROUND_STREAM, _CLUTTER_STREAM, _NOISE_STREAM = 2**20, 2**21, 2**22


def paint(layout: Layout, things: Things, settings: SceneSettings, seeds: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, C]: the scenes' images. Their noise, ground and clutter depend on `seeds` (uint64 [N])."""
    scenes, channels = len(seeds), things.paints.shape[1]
    image = np.empty((scenes, *settings.canvas, channels), np.float32)
    ground = integers(seeds, _GROUND_STREAM, _GROUND)
    image[:] = ground[:, None, None, None]
    for stroke in range(settings.clutter):
        _stroke(image, ground, seeds, _CLUTTER_STREAM + 16 * stroke)
    scene, row, column = np.nonzero(layout.owner)
    paint = things.paints[layout.color[scene, layout.owner[scene, row, column] - 1]]
    under = image[scene, row, column]
    share = layout.cover[scene, row, column, None] / np.float32(255)
    image[scene, row, column] = under + (paint - under) * share
    if settings.noise:
        values = random_bytes(seeds, _NOISE_STREAM, image[0].size).reshape(image.shape)
        image += _normal(settings.noise)[values]
    return np.rint(image, out=image).clip(0, 255, out=image).astype(np.uint8)


@functools.cache
def _normal(deviation: float) -> np.ndarray:
    """float32 [256]: the normal distribution's quantiles, one for each value of a byte."""
    return np.array([NormalDist(0, deviation).inv_cdf((byte + 0.5) / 256) for byte in range(256)], np.float32)


def _stroke(image: np.ndarray, ground: np.ndarray, seeds: np.ndarray, stream: int) -> None:
    """Draw a short straight line somewhere in each image [N, H, W, C], in place."""
    height, width, channels = image.shape[1:]
    y, x = integers(seeds, stream, height), integers(seeds, stream + 1, width)
    direction = integers(seeds, stream + 2, 4)
    down, right = np.array([0, 1, 1, 1])[direction], np.array([1, 0, 1, -1])[direction]
    length = _STROKE[0] + integers(seeds, stream + 3, _STROKE[1] - _STROKE[0] + 1)
    tint = np.stack(
        [_TINT[0] + integers(seeds, stream + 4 + each, _TINT[1] - _TINT[0] + 1) for each in range(channels)], axis=1
    )
    color = ground[:, None] + tint
    for step in range(_STROKE[1]):
        rows, columns = y + step * down, x + step * right
        on = (step < length) & (rows < height) & (columns >= 0) & (columns < width)
        image[on, rows[on], columns[on]] = color[on]


def boxes(owner: np.ndarray, most: int) -> np.ndarray:
    """The smallest box around what is seen of each thing, in pixels: int64 [N, most, 4], (x, y, width, height); zeros
    where there is no thing. `owner` is as of `Layout`."""
    found = np.zeros((len(owner), most, 4), np.int64)
    for number in range(most):
        seen = owner == number + 1
        for axis, first in ((1, 0), (2, 1)):
            line = seen.any(axis=axis)
            there = line.any(axis=1)
            start = line.argmax(axis=1)
            found[:, number, first] = start
            found[:, number, first + 2] = np.where(there, line.shape[1] - line[:, ::-1].argmax(axis=1) - start, 0)
    return found
