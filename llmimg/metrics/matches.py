"""Which detection found which object, by COCO's rules; and AP from that, for any resample of the images.

The matching is pycocotools'. faster-coco-eval gives the same AP to the last digit, two to seven times as fast (1,000
images of 10 objects, four sizes: 0.5 s for 3.7 s); both need numpy alone, and both had a release within a year. But it
keeps its matches in C++, out of reach, and without them every resample would be matched anew, where AP from kept ones
takes milliseconds. pycocotools hands them out (`evalImgs`), and most published numbers are its own.

What it does with the matches is done here once more, as weights of images come in, and as a perfect answer is exactly
1 here: its precision is tp / (tp + fp + 2⁻⁵²), below 1 for a class of one object. A test holds the two equal.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from llmimg.metrics.boxes import Objects

if TYPE_CHECKING:
    from pycocotools.coco import COCO

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # of the overlap (IoU) from which an object is found
RECALLS = np.linspace(0, 1, 101)  # where precision is read
MOST = 100  # detections of an image and class that count

Sizes = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Matches:
    """The matches of N images at T thresholds: D detections, by class and falling score, and G objects to be found.

    Objects and detections of a class without any object are not among them.

    Attributes:
        images, classes: how many there are, N and K.
        image, category: int64 [D], of each detection.
        score: float64 [D].
        right: bool [T, D], where a detection found an object that counts.
        counted: bool [T, D], where a detection is right or wrong; not where it lies in a crowd, or is of another size.
        object_image, object_category: int64 [G], of each object that is to be found.
    """

    images: int
    classes: int
    image: np.ndarray
    category: np.ndarray
    score: np.ndarray
    right: np.ndarray
    counted: np.ndarray
    object_image: np.ndarray
    object_category: np.ndarray

    def present(self, weights: np.ndarray | None = None) -> np.ndarray:
        """How many objects there are of each class, int64 [K], each counted as often as its image (int [N])."""
        weights = np.ones(self.images, np.int64) if weights is None else weights
        counts = np.bincount(self.object_category, weights[self.object_image], self.classes)
        return np.round(counts).astype(np.int64)

    def curves(self, weights: np.ndarray | None = None, thresholds: slice = slice(None)) -> "Curves":
        """Precision and recall of each class.

        Args:
            weights: how often each image counts, int [N], as in a resample; once each if None.
            thresholds: which of the T are wanted.
        """
        weights = np.ones(self.images, np.int64) if weights is None else weights
        right, counted, drawn = self.right[thresholds], self.counted[thresholds], weights[self.image].astype(np.int32)
        precision = np.full((len(right), self.classes, len(RECALLS)), np.nan)
        recall = np.full((len(right), self.classes), np.nan)
        edges = np.searchsorted(self.category, np.arange(self.classes + 1))
        for category, objects in enumerate(self.present(weights)):
            if objects:
                its = slice(edges[category], edges[category + 1])
                of_class = _curves(right[:, its], counted[:, its], drawn[its], objects)
                precision[:, category], recall[:, category] = of_class
        return Curves(precision, recall)


class Curves(NamedTuple):
    """How right detections are, and how much they find; T thresholds, K classes, nan for those without an object."""

    precision: np.ndarray  # float64 [T, K, 101]: the greatest at a recall of 0, 0.01, …, 1 or more; 0 past the last
    recall: np.ndarray  # float64 [T, K]: the share of objects that were found

    @property
    def average_precision(self) -> np.ndarray:
        """COCO's AP, float64 [T, K], 0 to 1: the mean over the 101 recalls."""
        return self.precision.mean(axis=-1)


def _curves(right: np.ndarray, counted: np.ndarray, drawn: np.ndarray, objects: int) -> Curves:
    """Of one class, precision [T, 101] and recall [T], from its detections' [T, D], `drawn` [D] times each.

    A detection that is drawn several times is that many in a row: of these the last has the greatest precision if they
    are right, and the one before them if they are wrong, so that the steps between do not show.
    """
    if not right.shape[1]:
        return Curves(np.zeros((len(right), len(RECALLS))), np.zeros(len(right)))
    if (counted == counted[0]).all():  # but for crowds and sizes
        counted = counted[:1]
    found, said = np.cumsum(right * drawn, axis=1, dtype=np.int32), np.cumsum(counted * drawn, axis=1, dtype=np.int32)
    best = np.zeros((len(right), right.shape[1] + 1))
    np.divide(found, said, where=said > 0, out=best[:, :-1])
    best = np.maximum.accumulate(best[:, ::-1], axis=1)[:, ::-1]
    needed = np.searchsorted(np.arange(objects + 1) / objects, RECALLS).astype(np.int32)  # to be found for each recall
    precision = [row[np.searchsorted(count, needed)] for row, count in zip(best, found, strict=True)]
    return Curves(np.stack(precision), found[:, -1] / objects)


def match(truth: Sequence[Objects], found: Sequence[Objects], classes: int, sizes: Sizes) -> dict[str, Matches]:
    """Match detections to objects in each image, class by class, from the highest score on, by pycocotools.

    Of an image and class the 100 best detections count, or as many as the fullest image has objects, if these are more.

    Args:
        truth: the objects of each image.
        found: the detections of each image, with scores.
        classes: K.
        sizes: the least and the greatest area of each, in square pixels, both inclusive: objects of another, and what
            finds them, count neither for nor against, nor do detections of another that find nothing.
    """
    from pycocotools.cocoeval import COCOeval

    known = np.unique(np.concatenate([np.zeros(0, np.int64), *(objects.classes for objects in truth)]))
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_coco(truth, known), _coco(found, known), "bbox")
        evaluation.params.maxDets = [max(MOST, *(len(objects) for objects in truth))]
        evaluation.params.iouThrs, evaluation.params.recThrs = THRESHOLDS, RECALLS
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [list(size) for size in sizes.values()], list(sizes)
        evaluation.evaluate()
    # By class, size and image; None where an image has neither an object nor a detection of a class.
    by_size = np.array(evaluation.evalImgs, object).reshape(len(known), len(sizes), len(truth))
    return {name: _matches(by_size[:, index].ravel(), len(truth), classes) for index, name in enumerate(sizes)}


def _matches(evaluated: np.ndarray, images: int, classes: int) -> Matches:
    several, of_each = [each for each in evaluated if each is not None], ("image_id", "category_id")
    score = np.concatenate([each["dtScores"] for each in several])
    ignored = np.concatenate([each["dtIgnore"] for each in several], axis=1)
    right = np.concatenate([each["dtMatches"] for each in several], axis=1) > 0
    image, category = (
        np.repeat([each[of] for each in several], [len(each["dtIds"]) for each in several]) for of in of_each
    )
    to_find = [np.count_nonzero(each["gtIgnore"] == 0) for each in several]
    order = np.lexsort((-score, category))  # stable, as theirs is: equal scores stay in the order of the images
    return Matches(
        images,
        classes,
        *(of[order] for of in (image, category, score)),
        *(of[:, order] for of in (right & ~ignored, ~ignored)),
        *(np.repeat([each[of] for each in several], to_find) for of in of_each),
    )


def _coco(several: Sequence[Objects], known: np.ndarray) -> "COCO":
    """Annotations as pycocotools holds them; it passes over those of other classes than the known. Their numbers begin
    at 1, as 0 is its word for "found by none" (cocodataset/cocoapi#638)."""
    annotations = []
    for image, objects in enumerate(several):
        of_each = zip(
            objects.boxes.tolist(),
            objects.classes.tolist(),
            np.zeros(len(objects)).tolist() if objects.scores is None else objects.scores.tolist(),
            objects.crowded.tolist(),
            strict=True,
        )
        for box, category, score, crowd in of_each:
            own = {"id": len(annotations) + 1, "image_id": image, "category_id": category}
            annotations.append({**own, "bbox": box, "area": box[2] * box[3], "score": score, "iscrowd": int(crowd)})
    from pycocotools.coco import COCO

    coco = COCO()
    images = [{"id": image} for image in range(len(several))]
    # The library's types want what only files have: names, and sizes of images.
    # pyrefly: ignore[bad-assignment, bad-typed-dict-key]
    coco.dataset = {"images": images, "categories": [{"id": int(each)} for each in known], "annotations": annotations}
    coco.createIndex()
    return coco
