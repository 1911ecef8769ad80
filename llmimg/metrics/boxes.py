"""Objects in boxes: what a picture holds, or what a model says it holds; overlap, and duplicates.

A box is x, y, width, height, in pixels from the image's left upper corner, as COCO writes it.
"""

from dataclasses import dataclass, replace

import numpy as np
from pycocotools import mask


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one image: its truth, or what was found in it.

    Attributes:
        boxes: float [N, 4], each x, y, width, height.
        classes: int [N], class numbers from 0.
        scores: float [N], how sure a detection is: any finite numbers, as only their order counts. None for a truth.
        crowd: bool [N], where a truth's box stands for many objects (COCO's `iscrowd`): what is found in it counts
            neither for nor against, nor need anything be found. None: nowhere.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray | None = None
    crowd: np.ndarray | None = None

    def __post_init__(self) -> None:
        count = len(self.classes)
        types = {"boxes": np.float64, "classes": np.int64, "scores": np.float64, "crowd": bool}
        for name, dtype in types.items():
            value = getattr(self, name)
            if value is not None:
                shape = (count, 4) if name == "boxes" else (count,)
                object.__setattr__(self, name, np.asarray(value, dtype).reshape(shape))

    @property
    def crowded(self) -> np.ndarray:
        """`crowd`, false everywhere where it is None."""
        return np.zeros(len(self), bool) if self.crowd is None else self.crowd

    @property
    def known_scores(self) -> np.ndarray:
        """`scores` of what was found.

        Raises:
            ValueError: a truth has none.
        """
        if self.scores is None:
            raise ValueError("These objects are a truth, without scores.")
        return self.scores

    def as_one_class(self) -> "Objects":
        """The same objects, all of class 0."""
        return replace(self, classes=np.zeros_like(self.classes))

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, chosen: np.ndarray) -> "Objects":
        """Those of a mask, or of numbers in their order."""
        scores, crowd = (None if value is None else value[chosen] for value in (self.scores, self.crowd))
        return Objects(self.boxes[chosen], self.classes[chosen], scores, crowd)


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union, float64 [N, M], 0 to 1, of boxes [N, 4] and [M, 4]; 0 where a box has no area."""
    if not len(boxes) or not len(others):
        return np.zeros((len(boxes), len(others)))
    # The library's types know encoded masks alone.
    # pyrefly: ignore[bad-argument-type, bad-return]
    return mask.iou(np.asarray(boxes, np.float64), np.asarray(others, np.float64), [0] * len(others))


def non_maximum_suppression(found: Objects, iou: float) -> np.ndarray:
    """Numbers of the detections that are no duplicates, int64 [M], by falling score.

    From the highest score on, a detection is kept if none kept before it, of its class, overlaps it by more than `iou`
    (greedy suppression, class by class); of equal scores the first is kept.

    Args:
        found: with scores.
        iou: the most overlap between two that are kept, 0 to 1: at 1 all are, at 0 only what does not touch.
    """
    order = np.argsort(-found.known_scores, kind="stable")
    alike = found.classes[order, None] == found.classes[None, order]
    duplicates = (box_iou(found.boxes[order], found.boxes[order]) > iou) & alike
    kept = np.ones(len(order), bool)
    for index in range(len(order)):
        if kept[index]:
            kept[index + 1 :] &= ~duplicates[index, index + 1 :]
    return order[kept].astype(np.int64)
