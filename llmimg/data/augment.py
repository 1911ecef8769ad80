"""Random changes of training images, made on whole batches before the image is written as text.

What happens to an example is a function of (seed, epoch, example) alone: neither the batch it comes in, nor the number
of workers, nor a resumed run changes it. Random numbers are SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) used as a
hash of a counter, so that a batch is drawn at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmimg.errors import UserError
from llmimg.settings import choose

_GAMMA = 0x9E3779B97F4A7C15
_64_BITS = 2**64 - 1


@dataclass(frozen=True)
class AugmentSettings:
    """`shift`: move by up to so many pixels along both axes; `fill`: what that uncovers (`edge` repeats the image's
    edge, `black` suits a black background); `flip`: mirror left and right, every second image."""

    name: str = "none"
    shift: int = 0
    fill: str = "edge"
    flip: bool = False

    def __post_init__(self) -> None:
        choose(self.fill, dict.fromkeys(("edge", "black")), "augment.fill")
        if self.shift < 0:
            raise UserError(f"augment.shift is {self.shift}: it must be 0 or more pixels.")

    @property
    def active(self) -> bool:
        """Whether images change at all."""
        return self.shift > 0 or self.flip


def example_seeds(seed: int, epoch: int, indices: np.ndarray | Sequence[int]) -> np.ndarray:
    """uint64 [N]: one seed for each example `indices` (its place in the training set) in `epoch` (from 0)."""
    start = _mix(_mix(np.array([seed & _64_BITS], np.uint64)) + np.uint64(epoch & _64_BITS))
    return _mix(start + np.asarray(indices).astype(np.uint64))


def augment(images: np.ndarray, settings: AugmentSettings, seeds: np.ndarray | Sequence[int]) -> np.ndarray:
    """uint8 [N, H, W, C] → the same shape; `seeds` [N] from `example_seeds`.

    Each image is mirrored with probability ½ (`flip`) and then moved by whole pixels, drawn evenly from
    -shift..shift for either axis. Nothing to do returns `images` itself.
    """
    if not settings.active:
        return images
    count, height, width = images.shape[:3]
    seeds = np.asarray(seeds).astype(np.uint64)
    down, right = (_integers(seeds, stream, 2 * settings.shift + 1) - settings.shift for stream in (1, 2))
    rows, columns = np.arange(height) - down[:, None], np.arange(width) - right[:, None]
    uncovered = (((rows < 0) | (rows >= height))[:, :, None] | ((columns < 0) | (columns >= width))[:, None, :])[
        ..., None
    ]
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    if settings.flip:
        columns = np.where(_integers(seeds, 0, 2)[:, None] == 1, width - 1 - columns, columns)
    moved = images[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return np.where(uncovered, 0, moved).astype(np.uint8) if settings.fill == "black" else moved


def _integers(seeds: np.ndarray, stream: int, bound: int) -> np.ndarray:
    """int64 [N], even over 0..bound-1 (the high 32 bits, scaled); every `stream` is a draw of its own."""
    return ((_mix(seeds + np.uint64(stream)) >> np.uint64(32)) * np.uint64(bound) >> np.uint64(32)).astype(np.int64)


def _mix(counters: np.ndarray) -> np.ndarray:
    """SplitMix64's output function: uint64 [N] → uint64 [N], modulo 2**64."""
    mixed = counters + np.uint64(_GAMMA)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
