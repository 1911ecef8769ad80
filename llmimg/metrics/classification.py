"""One label an image: accuracy, macro F1, calibration and log loss, with 95 % intervals.

The functions take plain arrays: `predictions` and `references` are class numbers, int [N], from 0 to K - 1;
`probabilities` is float [N, K], rows summing to one. `Classification` puts them behind the `evaluate` interface.
"""

from typing import Any, NamedTuple

import datasets
import evaluate
import numpy as np

from llmimg.errors import UserError
from llmimg.metrics.intervals import bootstrap_percentiles

Z95 = 1.959963984540054  # the normal distribution's 97.5 % quantile
BINS = 15
_ROUNDING = 1e-8
SMALL = 20_000  # images: there the bootstraps take 0.4 s (10 classes), and macro F1 is known to about ±0.6 points


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities, float64 [N, K], of logits [N, K]; nothing overflows, as each row's greatest is taken off."""
    shifted = np.asarray(logits, np.float64)
    shifted = shifted - shifted.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def log_loss(logits: np.ndarray, references: np.ndarray) -> float:
    """Mean of -log P(reference), in nats, of logits [N, K] (cross-entropy)."""
    return float(-log_softmax(logits)[np.arange(len(references)), references].mean())


def accuracy(predictions: np.ndarray, references: np.ndarray) -> float:
    """The share of images whose prediction is right, 0 to 1."""
    return float((predictions == references).mean())


def confusion_matrix(predictions: np.ndarray, references: np.ndarray, classes: int) -> np.ndarray:
    """Counts, int64 [K, K]: rows are the truth, columns the prediction."""
    return np.bincount(references * classes + predictions, minlength=classes**2).reshape(classes, classes)


def macro_f1(matrix: np.ndarray, classes: int | None = None) -> float:
    """The mean F1 of the first `classes` (None: all), 0 to 1, from a confusion matrix [K, K].

    A class counts if it is present in the references or the predictions; the rest have no F1. This is
    scikit-learn's rule where no labels are given.
    """
    hits, present = np.diagonal(matrix), matrix.sum(axis=0) + matrix.sum(axis=1)
    hits, present = hits[:classes], present[:classes]
    return float((2 * hits[present > 0] / present[present > 0]).mean())


class Bins(NamedTuple):
    """Images by the probability of their prediction, in bins of equal width; each field is [bins]."""

    count: np.ndarray  # int: images
    confidence: np.ndarray  # float: mean probability of the prediction; nan in an empty bin
    accuracy: np.ndarray  # float: share of right predictions; nan in an empty bin


def reliability(probabilities: np.ndarray, references: np.ndarray, bins: int = BINS) -> Bins:
    """How sure the model is beside how often it is right. Bins are open on the left: (0, 1/bins], …"""
    binned, confidence, right = _confidence(probabilities, references, bins)
    count = np.bincount(binned, minlength=bins)
    mean = np.divide(1.0, count, where=count > 0, out=np.full(bins, np.nan))
    return Bins(count, np.bincount(binned, confidence, bins) * mean, np.bincount(binned, right, bins) * mean)


def expected_calibration_error(probabilities: np.ndarray, references: np.ndarray, bins: int = BINS) -> float:
    """Mean over images of |accuracy - confidence| of their bin, 0 to 1 (Guo et al. 2017, arXiv:1706.04599)."""
    binned, confidence, right = _confidence(probabilities, references, bins)
    return _calibration_error(binned, right - confidence, bins)


def wilson_interval(successes: float, total: int) -> tuple[float, float]:
    """95 % interval of a share, as (low, high) (Wilson 1927); unlike the normal one it holds near 0 and 1."""
    share, spread = successes / total, Z95**2 / total
    centre = (share + spread / 2) / (1 + spread)
    half = Z95 / (1 + spread) * np.sqrt(share * (1 - share) / total + spread / total / 4)
    # Rounding may carry an end past the share itself where nothing or all is right.
    return float(min(centre - half, share)), float(max(centre + half, share))


def macro_f1_interval(matrix: np.ndarray, classes: int | None = None, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap over the images of a confusion matrix [K, K], as (low, high), widened to hold the value
    itself; `classes` as above."""
    estimate, cells = macro_f1(matrix, classes), np.repeat(np.arange(matrix.size), matrix.ravel())

    def resampled(images: np.ndarray) -> float:
        return macro_f1(np.bincount(cells[images], minlength=matrix.size).reshape(matrix.shape), classes)

    low, high = bootstrap_percentiles(resampled, len(cells), seed)
    return min(float(low), estimate), max(float(high), estimate)


def calibration_interval(
    probabilities: np.ndarray, references: np.ndarray, bins: int = BINS, seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval of the expected calibration error, as (low, high), within 0 and 1.

    The error is a sum of absolute values, so that resampling moves it up, and plain percentiles lie too high. They are
    therefore reflected at the estimate (the basic bootstrap, Davison and Hinkley 1997, chapter 5), widened to hold it.
    Near perfect calibration the estimate itself is biased up, and the interval with it (made-up logits, error 0: it
    holds 0 in half of the draws, plain percentiles in none; error 0.16: both hold it in 90 to 98 %).
    """
    binned, confidence, right = _confidence(probabilities, references, bins)
    gap = right - confidence
    estimate = _calibration_error(binned, gap, bins)  # to the last digit what is reported: a sum depends on its order
    order = np.lexsort((gap, binned))  # so that resampling does not depend on the order of the images
    binned, gap = binned[order], gap[order]
    ends = bootstrap_percentiles(lambda images: _calibration_error(binned[images], gap[images], bins), len(gap), seed)
    low, high = (float(end) for end in ends)
    return max(0.0, min(estimate, 2 * estimate - high)), min(1.0, max(estimate, 2 * estimate - low))


class Classification(evaluate.Metric):
    """`compute(predictions=logits [N, K], references=labels [N])` returns a flat dict of floats.

    Keys: `accuracy`, `macro_f1`, `ece` (shares, 0 to 1) and `loss` (nats); and, as `…_low` and `…_high`, 95 %
    intervals: Wilson's of accuracy, and bootstrap ones of macro F1 and the calibration error where there are at most
    20,000 images. Predictions are logits, as wide as there are classes; log-probabilities are logits too.

    Raises:
        UserError: no images; a label outside 0 … K - 1; a logit that is not finite.
    """

    def __init__(self, intervals: bool = True, unnamed: bool = False) -> None:
        """`intervals=False` leaves the bootstraps out, as for a curve. With `unnamed`, the last logit stands for
        answers that name no class: they are wrong, and macro F1 is that of the others."""
        super().__init__(keep_in_memory=True)  # Trainer gathers the ranks' logits, so that one process sees them all
        self._intervals = intervals
        self._unnamed = unnamed

    def _info(self) -> evaluate.MetricInfo:
        # float64: evaluate passes values through Arrow, and float32 would round them on the way.
        features = {
            "predictions": datasets.Sequence(datasets.Value("float64")),
            "references": datasets.Value("int64"),
        }
        return evaluate.MetricInfo(
            description="Accuracy, macro F1, expected calibration error and log loss, with 95 % intervals.",
            citation="",
            inputs_description="predictions: logits [N, K]; references: labels [N].",
            features=datasets.Features(features),
        )

    def _compute(self, *, predictions: Any = None, references: Any = None, **_: Any) -> dict[str, float]:
        logits, labels = np.asarray(predictions, np.float64), np.asarray(references, np.int64)
        _check(logits, labels)
        total, classes = logits.shape
        answers, probabilities = logits.argmax(axis=1), np.exp(log_softmax(logits))
        matrix = confusion_matrix(answers, labels, classes)
        low, high = wilson_interval(np.trace(matrix), total)
        scores = {
            "accuracy": accuracy(answers, labels),
            "accuracy_low": low,
            "accuracy_high": high,
            "macro_f1": macro_f1(matrix, classes - self._unnamed),
            "ece": expected_calibration_error(probabilities, labels),
            "loss": log_loss(logits, labels),
        }
        if self._intervals and total <= SMALL:
            scores["macro_f1_low"], scores["macro_f1_high"] = macro_f1_interval(matrix, classes - self._unnamed)
            scores["ece_low"], scores["ece_high"] = calibration_interval(probabilities, labels)
        return scores


def _check(logits: np.ndarray, labels: np.ndarray) -> None:
    if not len(labels):
        raise UserError("There is no image to score: the split is empty. Check data.train_samples and test_samples.")
    if not np.isfinite(logits).all():
        broken = int((~np.isfinite(logits)).any(axis=1).sum())
        raise UserError(
            f"The model diverged: its output is not finite for {broken:,} of {len(labels):,} images. "
            "Lower trainer.learning_rate, or clip harder with trainer.max_grad_norm."
        )
    outside = labels[(labels < 0) | (labels >= logits.shape[1])]
    if len(outside):
        raise UserError(
            f"The label {outside[0]} is none of the model's {logits.shape[1]} classes (0 to {logits.shape[1] - 1}): "
            "leave unlabelled images out, and check the data set's label names."
        )


def _confidence(probabilities: np.ndarray, references: np.ndarray, bins: int) -> tuple[np.ndarray, ...]:
    """Of each image: its bin, its prediction's probability, and 1.0 where the prediction is right; each [N]."""
    confidence = probabilities.max(axis=1)
    # What is a bin's edge but for rounding, as two votes of three are, belongs below it.
    binned = np.digitize(confidence - _ROUNDING, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    return binned, confidence, (probabilities.argmax(axis=1) == references).astype(np.float64)


def _calibration_error(binned: np.ndarray, gap: np.ndarray, bins: int) -> float:
    # A bin's share of images times |accuracy - confidence| is the absolute sum of its gaps over all images.
    return float(np.abs(np.bincount(binned, gap, bins)).sum() / len(gap))
