"""What a report draws of detections: curves by class, and scores by class and size."""

from collections.abc import Sequence

import numpy as np

from llmimg.metrics.boxes import Objects
from llmimg.metrics.detection import Detection, sizes_in, thirds
from llmimg.metrics.matches import RECALLS
from llmimg.tasks.figures import Bars, Curve, Figure

_LINES = 10  # curves that can be told apart
_COLUMNS = {"objects": "objects", "map": "AP", "map_50": "AP at 0.5", "recall_50": "recall at 0.5"}
_UNITS = {"objects": "count", "AP": "share", "AP at 0.5": "share", "recall at 0.5": "share"}


def detection_figures(
    truth: Sequence[Objects], found: Sequence[Objects], names: Sequence[str], images: Sequence[tuple[int, int]]
) -> list[Figure]:
    """Precision over recall of each class, and bars of classes and of sizes.

    Args:
        truth, found: the objects of each image, and the detections, with scores.
        names: of the classes.
        images: (height, width) of each.
    """
    sizes = sizes_in(images)
    score = Detection(truth, found, len(names), sizes or thirds(truth))
    by_class = score.by_class()
    there = np.flatnonzero(by_class["objects"])
    there = there[np.argsort(-by_class["objects"][there], kind="stable")]
    curves = score.precision_recall()
    lines = {names[each]: (RECALLS, curves[each]) for each in there[:_LINES]}
    more = f" Of {len(there)} classes these have the most objects." if len(there) > _LINES else ""
    by_size = score.by_size()
    own = {key: np.array([scores[key] for scores in by_size.values()]) for key in _COLUMNS}
    which = "COCO's: up to 32 × 32 pixels, to 96 × 96, and over." if sizes else "Three, by the objects' own areas."
    return [
        Curve(
            "Precision over recall",
            lines,
            "recall",
            "precision",
            meaning=f"Detections by falling score, right where half of an object and its box overlap.{more}",
        ),
        _bars("By class", names, by_class, "AP is the mean over the overlaps 0.5 to 0.95; empty without an object."),
        _bars("By size", tuple(by_size), own, which),
    ]


def _bars(title: str, names: Sequence[str], columns: dict[str, np.ndarray], meaning: str) -> Bars:
    numbers = {name: np.asarray(columns[key], float) for key, name in _COLUMNS.items()}
    return Bars(title, tuple(names), numbers, _UNITS, meaning)
