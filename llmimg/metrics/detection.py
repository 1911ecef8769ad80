"""Objects found in images: COCO's average precision (AP) with 95 % intervals, F1 of each image, and curves.

AP is the mean precision over 101 recalls, class by class, as the detections of all images are taken by falling score.
A detection is right if its overlap (IoU) with an object of its class that no other has found is at least a threshold.
`map` is the mean over classes and the thresholds 0.5, 0.55, …, 0.95 (Lin et al. 2014, arXiv:1405.0312). A class without
a test object has no AP, and is left out of means. In images without objects every detection is wrong.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from llmimg.errors import UserError
from llmimg.metrics.boxes import Objects
from llmimg.metrics.intervals import with_intervals
from llmimg.metrics.matches import Matches, Sizes, match

# COCO's, in square pixels of the image as it is scored. An object's area is its box's; COCO's files state its mask's.
SIZES: Sizes = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}
_NEVER_LARGE = 96**2
ALL: Sizes = {"all": (0, np.inf)}
HALF, THREE_QUARTERS = 0, 5  # where 0.5 and 0.75 stand in THRESHOLDS
PRECISIONS = ("map", "map_50", "map_75", "map_50_class_agnostic")


def sizes_in(images: Sequence[tuple[int, int]]) -> Sizes:
    """COCO's sizes; none where no image (height, width) has more than 96 × 96 pixels, as nothing in it could be large:
    they are made for photographs."""
    return SIZES if any(height * width > _NEVER_LARGE for height, width in images) else {}


def thirds(truth: Sequence[Objects]) -> Sizes:
    """Sizes by the objects' own areas: three of as many different areas each, as far as there are."""
    areas = np.unique(np.concatenate([objects.boxes[~objects.crowded, 2:].prod(axis=1) for objects in truth]))
    borders = np.unique(np.quantile(areas, [1 / 3, 2 / 3], method="inverted_cdf"))
    borders = borders[borders < areas.max()]
    lows, highs = np.nextafter([-1.0, *borders], np.inf), [*borders, np.inf]
    names = [f"up to {high:g} square pixels" for high in borders] + [f"over {borders[-1]:g}" if len(borders) else "all"]
    return {name: (float(low), float(high)) for name, low, high in zip(names, lows, highs, strict=True)}


class Detection:
    """The score of what was found in N images. Its matches are made once, so that images can be resampled.

    Raises:
        UserError: no images, or no object in any; a class outside 0 … K - 1; a box or score that is not finite; a true
            box without area.
    """

    def __init__(self, truth: Sequence[Objects], found: Sequence[Objects], classes: int, sizes: Sizes = SIZES) -> None:
        """
        Args:
            truth: the objects of each image.
            found: what was found in each, with scores.
            classes: how many classes there are, K.
            sizes: names of sizes, and the least and greatest area of each in square pixels, both inclusive.
        """
        _check(truth, found, classes)
        self.images, self.classes = len(truth), classes
        self._truth, self._found, self._sizes = truth, found, sizes

    @cached_property
    def matches(self) -> Matches:
        """Of detections with objects of their class."""
        return match(self._truth, self._found, self.classes, ALL)["all"]

    @cached_property
    def class_agnostic(self) -> Matches:
        """Of detections with objects of any class, as if there were one."""
        truth, found = ([objects.as_one_class() for objects in each] for each in (self._truth, self._found))
        return match(truth, found, 1, ALL)["all"]

    @cached_property
    def sizes(self) -> dict[str, Matches]:
        """Of detections with objects of their class, for each size that there are objects of."""
        every = match(self._truth, self._found, self.classes, self._sizes)
        return {size: matches for size, matches in every.items() if matches.present().any()}

    def values(self, weights: np.ndarray | None = None) -> dict[str, float]:
        """The scores, 0 to 1, with each image counted `weights` times (int [N], as in a resample; once each if None):
        `map`, `map_50` and `map_75` (AP as above, and at the overlaps 0.5 and 0.75), `map_50_class_agnostic` (are
        things found, whatever they are called?), and `recall` (over all thresholds) and `recall_50`, means over
        classes; nan where no image with an object is counted."""
        curves, agnostic = self.matches.curves(weights), self.class_agnostic.curves(weights, slice(HALF, HALF + 1))
        precision, recall = _known(curves.average_precision), _known(curves.recall)
        of_each = {
            "map": precision,
            "map_50": precision[HALF],
            "map_75": precision[THREE_QUARTERS],
            "map_50_class_agnostic": _known(agnostic.average_precision),
            "recall": recall,
            "recall_50": recall[HALF],
        }
        return {name: float(each.mean()) if each.size else float("nan") for name, each in of_each.items()}

    def mean_average_precision(self, weights: np.ndarray | None = None) -> float:
        """`map` alone, of the same `weights` as of `values`: what many resamples need."""
        precision = _known(self.matches.curves(weights).average_precision)
        return float(precision.mean()) if precision.size else float("nan")

    def metrics(self, intervals: bool = True) -> dict[str, float]:
        """The scores as a flat dict; besides them 95 % intervals as `…_low` and `…_high`, by a bootstrap over images,
        and `map_small` … of the sizes that there are objects of. Without `intervals`, as for a curve, only the scores.

        AP takes the best precision at each recall or above, which chance moves up, and a resample once more: so its
        percentiles are reflected. Of made-up detections these hold the AP of endless images in 90 to 96 % of draws with
        over 200 objects a class (plain percentiles in 73 to 93), in 81 to 92 % with some 50 (39 to 90), and in 69 to
        78 % with 8 (44 to 70): AP of few objects is itself too high, there by 0.04 to 0.05.
        """
        if not intervals:
            return self.values()
        sizes = {f"map_{size}": scores["map"] for size, scores in self.by_size().items()}
        return with_intervals(self.values, self.images, reflected=PRECISIONS) | sizes

    def by_class(self) -> dict[str, np.ndarray]:
        """`objects` (how many there are), `map`, `map_50`, `recall_50` of each class, [K]; nan where there are none."""
        curves = self.matches.curves()
        precision, recall = curves.average_precision, curves.recall
        scores = {"map": precision.mean(axis=0), "map_50": precision[HALF], "recall_50": recall[HALF]}
        return {"objects": self.matches.present(), **scores}

    def by_size(self) -> dict[str, dict[str, float]]:
        """`objects` (how many there are), `map`, `map_50`, `recall_50` of each size that there are objects of."""
        scores = {}
        for size, matches in self.sizes.items():
            curves = matches.curves()
            precision, recall = _known(curves.average_precision), _known(curves.recall)
            means = {"map": precision.mean(), "map_50": precision[HALF].mean(), "recall_50": recall[HALF].mean()}
            scores[size] = {"objects": float(matches.present().sum())} | {name: float(x) for name, x in means.items()}
        return scores

    def precision_recall(self) -> np.ndarray:
        """Curves of precision over recall at the overlap 0.5, float64 [K, 101], at the recalls 0, 0.01, …, 1; nan for a
        class without a test object. A curve's mean is the class's AP at 0.5."""
        return self.matches.curves(thresholds=slice(HALF, HALF + 1)).precision[0]

    def per_row(self, score: float = -np.inf) -> np.ndarray:
        """F1 of each image at the overlap 0.5, float64 [N], 0 to 1: 2 × right / (detections + objects), of detections
        of at least this score; 1 where nothing is and nothing is found."""
        matches = self.matches
        sure = matches.score >= score
        right = np.bincount(matches.image, matches.right[HALF] & sure, self.images)
        passed_over = np.bincount(matches.image, ~matches.counted[HALF] & sure, self.images)
        # Not from the matches, as those know only the classes that some image has an object of.
        said = np.array([np.count_nonzero(objects.known_scores >= score) for objects in self._found]) - passed_over
        total = said + np.bincount(matches.object_image, minlength=self.images)
        return np.divide(2 * right, total, where=total > 0, out=np.ones(self.images))


def _known(scores: np.ndarray) -> np.ndarray:
    """Those of the classes that have an object, [T, …], of [T, K]."""
    return scores[:, ~np.isnan(scores[0])]


def _check(truth: Sequence[Objects], found: Sequence[Objects], classes: int) -> None:
    if len(truth) != len(found) or any(objects.scores is None for objects in found):
        raise ValueError("Each image has its truth, and what was found in it with scores.")
    if not len(truth):
        raise UserError("There is no image to score: the split is empty. Check data.train_samples and test_samples.")
    if not any((~objects.crowded).any() for objects in truth):
        raise UserError(
            f"None of the {len(truth):,} images to score has an object, so that nothing can be found in them. "
            "Take more of them (data.test_samples, data.val_samples), or check the column of the objects."
        )
    for row, objects in enumerate(truth):
        if not (np.isfinite(objects.boxes).all() and (objects.boxes[:, 2:] > 0).all()):
            raise UserError(
                f"Row {row} has a box without area, or with a number that is not finite: nothing can be found there. "
                "Mend or leave out the box."
            )
    for row, objects in enumerate(found):
        if not (np.isfinite(objects.boxes).all() and np.isfinite(objects.known_scores).all()):
            raise UserError(
                f"The model diverged: what it found in row {row} has a box or a score that is not finite. "
                "Lower trainer.learning_rate, or clip harder with trainer.max_grad_norm."
            )
    for row, (objects, others) in enumerate(zip(truth, found, strict=True)):
        named = np.concatenate([objects.classes, others.classes])
        outside = named[(named < 0) | (named >= classes)]
        if len(outside):
            raise UserError(
                f"The class {outside[0]} in row {row} is none of the {classes} classes (0 to {classes - 1}): "
                "check the data set's label names."
            )
