"""What was found in one image, and its way to JSON and back."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmimg.metrics.boxes import Objects


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one image; or its truth.

    Attributes:
        objects: on the image that the row's `size` is of; a truth has no scores.
        degenerate: how many boxes had no area, and were dropped.
        problem: why not all of the answer was read; None where it was.
    """

    objects: Objects
    degenerate: int = 0
    problem: str | None = None

    @property
    def sure(self) -> Objects:
        """Its objects with scores: a truth that answers for another image is sure of what it says (1)."""
        objects = self.objects
        return objects if objects.scores is not None else Objects(objects.boxes, objects.classes, np.ones(len(objects)))


def plain_objects(objects: Objects, names: Sequence[str]) -> list[dict[str, Any]]:
    """Of each object its `label`, its `box` (x, y, width, height in pixels), its `score` where it has one, and `crowd`
    where it is one."""
    plain = []
    for place, (box, each) in enumerate(zip(objects.boxes.tolist(), objects.classes, strict=True)):
        own: dict[str, Any] = {"label": names[each], "box": box}
        if objects.scores is not None:
            own["score"] = float(objects.scores[place])
        plain.append(own | ({"crowd": True} if objects.crowded[place] else {}))
    return plain


def written(objects: Objects, names: Sequence[str]) -> str:
    """The same as JSON, to the last digit."""
    return json.dumps(plain_objects(objects, names), ensure_ascii=False)


def read_written(texts: Sequence[str], numbers: dict[str, int]) -> list[Objects]:
    """What `written` gave for several images. A label that has no number yet gets the next one."""
    return [
        Objects(
            [each["box"] for each in plain],
            [numbers.setdefault(each["label"], len(numbers)) for each in plain],
            [each["score"] for each in plain] if all("score" in each for each in plain) else None,
            [each.get("crowd", False) for each in plain],
        )
        for plain in map(json.loads, texts)
    ]
