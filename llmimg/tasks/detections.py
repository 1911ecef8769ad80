"""What was found in one image, or is in it: held against the image, measured, on its way to JSON and back."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from llmimg.data.motion import as_corners, from_corners
from llmimg.data.names import shown
from llmimg.errors import UserError
from llmimg.metrics.boxes import Objects
from llmimg.tasks.base import Row
from llmimg.tasks.measure import Measure

_SLACK = 0.01  # pixels that float32 sums may go past the border


def _ap(key: str, title: str, meaning: str, while_training: bool = True) -> Measure:
    return Measure(key, title, f"COCO's average precision {meaning}", while_training=while_training)


MEASURES = (
    _ap("map", "AP", "over classes and the overlaps 0.5, 0.55, …, 0.95 of an object and its box"),
    _ap("map_50", "AP50", "at the overlap 0.5"),
    _ap("map_75", "AP75", "at the overlap 0.75"),
    _ap("map_50_class_agnostic", "AP50, any class", "at the overlap 0.5, whatever an object is called"),
    Measure("recall", "Recall", "share of objects that were found, over classes and the overlaps of AP"),
    Measure("recall_50", "Recall at 0.5", "share of objects that were found at the overlap 0.5, over classes"),
    _ap("map_small", "AP, small", "of objects up to 32 × 32 pixels", False),
    _ap("map_medium", "AP, medium", "of objects from 32 × 32 to 96 × 96 pixels", False),
    _ap("map_large", "AP, large", "of objects over 96 × 96 pixels", False),
    Measure("degenerate_boxes", "Boxes without area", "of an image, dropped", "number", False, None, 0.0),
    Measure("unread_answers", "Answers that break off", "share that was not read to the end", "share", False, 1.0, 0.0),
)


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one image; or its truth.

    Attributes:
        objects: a truth's have no scores.
        size: (height, width) of the image that they lie on.
        degenerate: how many boxes had no area, and were dropped.
        problem: why not all of the answer was read; None where it was.
    """

    objects: Objects
    size: tuple[int, int]
    degenerate: int = 0
    problem: str | None = None

    def on(self, size: tuple[int, int]) -> Objects:
        """The objects at the same shares of an image of `size` (height, width): an answer to one image may be given for
        another."""
        return replace(self.objects, boxes=self.objects.boxes * np.tile(np.array(size) / self.size, 2)[[1, 0, 3, 2]])

    def surest(self, score: float, most: int | None = None) -> Self:
        """Those of at least this score, by falling score, and at most so many."""
        scores = sure(self.objects).known_scores
        order = np.argsort(-scores, kind="stable")
        return replace(self, objects=self.objects[order[scores[order] >= score][:most]])


def on_image(corners: np.ndarray, classes: np.ndarray, scores: np.ndarray, row: Row) -> tuple[Objects, int]:
    """Objects by their corners in what the model sees, on the row's image; and how many have no area there and are left
    out."""
    if row.get("placement") is not None:
        corners = row["placement"].inverse(row["size"]).boxes(corners)
    kept = has_area(corners)
    return Objects(from_corners(corners), classes, scores)[kept], int((~kept).sum())


def seen_size(row: Row) -> tuple[int, int]:
    """(height, width) of what the model sees."""
    return row["size"] if row.get("placement") is None else row["placement"].size


def no_objects() -> Objects:
    """Nothing found."""
    return Objects(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0))


def sure(objects: Objects) -> Objects:
    """Objects as detections: those without scores, a truth's, are sure (1)."""
    return objects if objects.scores is not None else replace(objects, scores=np.ones(len(objects)))


def has_area(corners: np.ndarray) -> np.ndarray:
    """Which of boxes x0, y0, x1, y1 `[N, 4]` have an area, bool `[N]`."""
    return np.all(corners[:, 2:] > corners[:, :2], axis=1)


def checked_corners(objects: Objects, size: tuple[int, int], names: Sequence[str], row: Any) -> np.ndarray:
    """The corners of true objects, x0, y0, x1, y1 float64 `[N, 4]`, inside of their image.

    Args:
        size: (height, width) of the image.
        names: of the classes.
        row: its id, for an error.

    Raises:
        UserError: a box outside of the image or without area, or a class that there is not.
    """
    corners, (height, width) = as_corners(objects.boxes), size
    bounds = np.array([width, height, width, height], float)
    right = ((corners >= -_SLACK) & (corners <= bounds + _SLACK)).all(axis=1) & has_area(corners)
    if not right.all():
        box = ", ".join(f"{number:g}" for number in objects.boxes[~right][0])
        raise UserError(
            f"Row {row} has a box that goes out of its image ({width} wide, {height} high) or has no area: x, y, "
            f"width, height are {box}. Mend it, or leave it out (data.bad_boxes)."
        )
    unknown = objects.classes[(objects.classes < 0) | (objects.classes >= len(names))]
    if len(unknown):
        raise UserError(
            f"Row {row} has an object of class {unknown[0]}, and there are {len(names)} classes, from 0 on: "
            f"{shown(names)}."
        )
    return np.clip(corners, 0, bounds)


def json_objects(objects: Objects, names: Sequence[str]) -> list[dict[str, Any]]:
    """Of each object its `label`, its `box` (x, y, width, height in pixels), its `score` where it has one, and `crowd`
    where it is one."""
    listed = []
    for index, (box, each) in enumerate(zip(objects.boxes.tolist(), objects.classes, strict=True)):
        own: dict[str, Any] = {"label": names[each], "box": box}
        if objects.scores is not None:
            own["score"] = float(objects.scores[index])
        listed.append(own | ({"crowd": True} if objects.crowded[index] else {}))
    return listed


def written(objects: Objects, names: Sequence[str]) -> str:
    """The same as JSON, to the last digit."""
    return json.dumps(json_objects(objects, names), ensure_ascii=False)


def read_written(texts: Iterable[str], numbers: dict[str, int]) -> list[Objects]:
    """What `written` gave for several images. A label that has no number yet gets the next one."""
    return [
        Objects(
            np.array([each["box"] for each in listed], float),
            np.array([numbers.setdefault(each["label"], len(numbers)) for each in listed], np.int64),
            np.array([each["score"] for each in listed]) if all("score" in each for each in listed) else None,
            np.array([each.get("crowd", False) for each in listed], bool),
        )
        for listed in map(json.loads, texts)
    ]
