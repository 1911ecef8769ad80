"""Answers that the training split has already: the commonest one, and that of the image most alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmimg.baselines.base import BASELINES, Baseline, Fitted
from llmimg.settings import settings_of
from llmimg.tasks.base import Prediction, Row, Task
from llmimg.textify.codebook import nearest_codes

_AT_ONCE, _BYTES = 2048, 1 << 26  # images that are compared with as many at once; what these take as floats, at most


@BASELINES.register("constant")
@settings_of("model.options")
class Constant(Baseline):
    """The answer that is right most often without looking (`Task.constant`), for every image."""

    looks = False
    note = "Every image was given the same answer, the commonest of the training split."

    def fit(self, images: np.ndarray, rows: Sequence[Row], task: Task, seed: int) -> Fitted:
        return _Commonest(task, task.constant(rows))


@dataclass(frozen=True)
class _Commonest:
    task: Task
    prediction: Prediction

    def predictions(self, images: np.ndarray, rows: Sequence[Row]) -> list[Prediction]:
        return [self.task.on(self.prediction, row) for row in rows]


@BASELINES.register("nearest")
@settings_of("model.options")
class Nearest(Baseline):
    """What is right for the training image with the least Euclidean distance in pixels; the first of equals."""

    note = "Every image was given what is right for the training image nearest to it in pixels (Euclidean distance)."

    def fit(self, images: np.ndarray, rows: Sequence[Row], task: Task, seed: int) -> Fitted:
        return _Known(task, images, rows)


@dataclass(frozen=True)
class _Known:
    task: Task
    images: np.ndarray
    rows: Sequence[Row]

    def predictions(self, images: np.ndarray, rows: Sequence[Row]) -> list[Prediction]:
        truths = [self.task.truth(self.rows[index]) for index in nearest_images(images, self.images)]
        return [self.task.on(truth, row) for truth, row in zip(truths, rows, strict=True)]


def nearest_images(images: np.ndarray, known: np.ndarray) -> np.ndarray:
    """int64 `[N]`: which of `known` (uint8 `[M, H, W, C]`, M ≥ 1) has the least Euclidean distance in pixels to each of
    `images` (uint8 `[N, H, W, C]`), exactly; the first of equals."""
    asked, known = images.reshape(len(images), -1), known.reshape(len(known), -1)
    some = max(1, min(_AT_ONCE, _BYTES // (8 * known.shape[1])))
    found = np.zeros(len(asked), np.int64)
    for start in range(0, len(asked), some):
        part, least = asked[start : start + some], np.full(len(asked[start : start + some]), np.iinfo(np.int64).max)
        for first in range(0, len(known), some):
            block = known[first : first + some]
            closest = nearest_codes(part, block)
            apart = ((part.astype(np.int64) - block[closest]) ** 2).sum(axis=1)
            closer = apart < least
            found[start : start + some][closer] = first + closest[closer]
            least[closer] = apart[closer]
    return found
