"""Several labels an image: mean average precision, F1 and exact matches, with 95 % intervals.

Average precision (AP) is a class's mean precision over its images, as all images are taken by falling probability,
those of equal probability at once: Σ (R_n − R_(n−1)) P_n, as scikit-learn's `average_precision_score` has it. `map` is
its mean over the classes that some image has. F1, precision and recall are of what was said to hold.
"""

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from llmimg.errors import UserError
from llmimg.metrics.intervals import with_intervals

SMALL = 200_000  # images times classes: beyond these, nobody waits for a bootstrap
_LEAST = 1e-12  # of a probability, so that the loss of one that is 0 is a number

Weights = np.ndarray | None


class Labels:
    """The score of N images and K classes.

    Raises:
        UserError: no images, none that has a label, or a probability that is not finite.
    """

    def __init__(self, truth: np.ndarray, said: np.ndarray, probabilities: np.ndarray) -> None:
        """
        Args:
            truth, said: which labels hold, and which are said to, bool `[N, K]`.
            probabilities: of each, float `[N, K]`, 0 to 1.
        """
        self.truth, self.said = np.asarray(truth, bool), np.asarray(said, bool)
        self.probabilities = np.asarray(probabilities, np.float64)
        _check(self.truth, self.probabilities)

    @cached_property
    def _order(self) -> np.ndarray:
        """The images by falling probability, of each class: int `[N, K]`."""
        return np.argsort(-self.probabilities, axis=0, kind="stable")

    @cached_property
    def _ends(self) -> np.ndarray:
        """The last place of those with the same probability as each place of `_order`, counted through all `[N, K]`."""
        ordered = np.take_along_axis(self.probabilities, self._order, axis=0)
        places = np.arange(len(ordered))[:, None]
        last = np.vstack([ordered[1:] != ordered[:-1], np.ones((1, ordered.shape[1]), bool)])
        ends = np.minimum.accumulate(np.where(last, places, len(ordered))[::-1], axis=0)[::-1]
        return ends * ordered.shape[1] + np.arange(ordered.shape[1])

    @cached_property
    def _true(self) -> np.ndarray:
        """The truth in this order, float64 `[N, K]`."""
        return np.take_along_axis(self.truth, self._order, axis=0).astype(np.float64)

    @cached_property
    def _counted(self) -> np.ndarray:
        """Of each image and class whether it is rightly said, said, and true: float64 `[3, N, K]`."""
        return np.stack([self.said & self.truth, self.said, self.truth]).astype(np.float64)

    @cached_property
    def _exact(self) -> np.ndarray:
        return (self.said == self.truth).all(axis=1)

    def average_precision(self, weights: Weights = None) -> np.ndarray:
        """Of each class, float64 `[K]`; nan of one that no image has. `weights` as of `values`."""
        each = np.ones(len(self.truth)) if weights is None else weights.astype(np.float64)
        taken = np.take(each, self._order)
        right = taken * self._true
        precision = _share(right.cumsum(axis=0), taken.cumsum(axis=0))
        found = (right * np.take(precision, self._ends)).sum(axis=0)
        return _share(found, right.sum(axis=0), np.nan)

    def mean_average_precision(self, weights: Weights = None) -> float:
        """Over the classes that some image has; nan where none has any. `weights` as of `values`."""
        known = self.average_precision(weights)
        known = known[~np.isnan(known)]
        return float(known.mean()) if known.size else float("nan")

    def values(self, weights: Weights = None) -> dict[str, float]:
        """`map`, `f1_micro` (over all images and classes at once), `f1_macro` (the mean over the classes that are true
        or said of some image) and `exact_match` (the share of images whose labels are all right), with each image
        counted `weights` times, int `[N]`; once each if None."""
        right, said, true = self._counts(weights)
        present = said + true > 0
        return {
            "map": self.mean_average_precision(weights),
            "f1_micro": float(_share(2 * right.sum(), (said + true).sum(), 1.0)),
            "f1_macro": float((2 * right[present] / (said + true)[present]).mean()) if present.any() else 1.0,
            "exact_match": float(np.average(self._exact, weights=weights)),
        }

    def metrics(self, intervals: bool = True) -> dict[str, float]:
        """The scores as a flat dict; besides them, where they are asked for and images times classes are at most
        200,000, 95 % intervals as `…_low` and `…_high`."""
        if not intervals or self.truth.size > SMALL:
            return self.values()
        return with_intervals(self.values, len(self.truth))

    def loss(self) -> float:
        """The mean surprise at whether a class holds, over all images and classes, in nats (binary cross-entropy)."""
        sure = np.clip(np.where(self.truth, self.probabilities, 1 - self.probabilities), _LEAST, 1)
        return float(-np.log(sure).mean())

    def per_row(self) -> np.ndarray:
        """F1 of each image's labels, float64 `[N]`: 1 where none is true and none is said."""
        total = self.said.sum(axis=1) + self.truth.sum(axis=1)
        return _share(2 * (self.said & self.truth).sum(axis=1), total, 1.0)

    def by_class(self) -> Mapping[str, np.ndarray]:
        """`images` that have it, `average_precision`, `precision`, `recall` and `f1` of each class, float64 `[K]`; nan
        where that is undefined."""
        right, said, true = self._counts(None)
        return {
            "images": true,
            "average_precision": self.average_precision(),
            "precision": _share(right, said, np.nan),
            "recall": _share(right, true, np.nan),
            "f1": _share(2 * right, said + true, np.nan),
        }

    def _counts(self, weights: Weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each class in how many images it is rightly said, said, and true: float64 `[K]` each."""
        each = np.ones(len(self.truth)) if weights is None else weights.astype(np.float64)
        right, said, true = each @ self._counted
        return right, said, true


def _share(part: np.ndarray, whole: np.ndarray, otherwise: float = 0.0) -> np.ndarray:
    """A part of a whole; where there is none, `otherwise`."""
    whole = np.asarray(whole, np.float64)
    return np.divide(part, whole, where=whole > 0, out=np.full(whole.shape, otherwise))


def _check(truth: np.ndarray, probabilities: np.ndarray) -> None:
    if not len(truth):
        raise UserError("There is no image to score: the split is empty. Check data.train_samples and test_samples.")
    if not np.isfinite(probabilities).all():
        broken = int((~np.isfinite(probabilities)).any(axis=1).sum())
        raise UserError(
            f"The model diverged: its output is not finite for {broken:,} of {len(truth):,} images. "
            "Lower trainer.learning_rate, or clip harder with trainer.max_grad_norm."
        )
    if not truth.any():
        raise UserError(
            f"None of the {len(truth):,} images to score has a label, so that nothing can be found in them. Take more "
            "of them (data.test_samples, data.val_samples), or check the column of the labels."
        )
