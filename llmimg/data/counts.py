"""How often each class stands in the training split."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from llmimg.data.annotations.masks import class_pixels
from llmimg.data.columns import all_labels

if TYPE_CHECKING:
    from llmimg.data.splits import Data


def class_counts(data: "Data", columns: Collection[str]) -> Mapping[str, tuple[int, ...]]:
    """Of those of these columns that have classes, how often each stands in the training split: of `label` and `labels`
    in images, of `mask` in pixels (of 1,000 rows, evenly taken, if there are more)."""
    counts = {}
    if "label" in columns:
        counts["label"] = _counted(data.train["label"][:], len(data.label_names))
    if "labels" in columns:
        counts["labels"] = _counted(all_labels(data.train), len(data.classes["labels"].names))
    if "mask" in columns:
        counts["mask"] = class_pixels(data.train, len(data.classes["mask"].names))
    return counts


def _counted(labels: Sequence[int] | np.ndarray, classes: int) -> tuple[int, ...]:
    numbers = np.asarray(labels, np.int64)
    return tuple(np.bincount(numbers[numbers >= 0], minlength=classes).tolist())
