"""Zero-shot models that name objects: transformers pipelines, for `textify=region_objects`."""

import functools
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from llmimg.textify.region_objects import ZERO_SHOT


class Classifier:
    """`zero-shot-image-classification`."""

    def __init__(self, model: str):
        self.pipeline = _load("zero-shot-image-classification", model)

    def objects(self, image: np.ndarray, labels: Sequence[str]) -> list[tuple[int, float, tuple[float, ...]]]:
        found = self.pipeline(Image.fromarray(image), candidate_labels=list(labels))
        box = (0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
        return [(labels.index(each["label"]), each["score"], box) for each in found]

    def identity(self) -> bytes:
        return _identity(self.pipeline)


class Detector:
    """`zero-shot-object-detection`."""

    def __init__(self, model: str):
        self.pipeline = _load("zero-shot-object-detection", model)

    def objects(self, image: np.ndarray, labels: Sequence[str]) -> list[tuple[int, float, tuple[float, ...]]]:
        found = self.pipeline(Image.fromarray(image), candidate_labels=list(labels), threshold=0.0)
        found = sorted(found, key=lambda each: -each["score"])
        sides = ("xmin", "ymin", "xmax", "ymax")
        return [
            (labels.index(each["label"]), each["score"], tuple(float(each["box"][side]) for side in sides))
            for each in found
        ]

    def identity(self) -> bytes:
        return _identity(self.pipeline)


@functools.lru_cache(maxsize=2)
def _load(task: str, model: str) -> Any:
    """A pipeline of transformers, loaded once a process."""
    from llmimg.hub import load_pipeline

    return load_pipeline(task, model)


def _identity(loaded: Any) -> bytes:
    digest = hashlib.sha256()
    for name, weights in sorted(loaded.model.state_dict().items()):
        digest.update(name.encode() + weights.float().cpu().contiguous().numpy().tobytes())
    return digest.digest()


# Whoever writes images has this room loaded, in every process.
ZERO_SHOT.update(classifier=Classifier, detector=Detector)
