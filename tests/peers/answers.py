"""The metrics of classification from logits [N, K] and labels [N], by loops, scikit-learn and scipy."""

import math

import numpy as np
import scipy.special
import scipy.stats
import sklearn.metrics


def accuracy(logits, labels):
    return sklearn.metrics.accuracy_score(labels, logits.argmax(axis=1))


def accuracy_interval(logits, labels):
    right = int((logits.argmax(axis=1) == labels).sum())
    found = scipy.stats.binomtest(right, len(labels)).proportion_ci(0.95, method="wilson")
    return found.low, found.high


def macro_f1(logits, labels):
    return sklearn.metrics.f1_score(labels, logits.argmax(axis=1), average="macro", zero_division=0)


def loss(logits, labels):
    probabilities = scipy.special.softmax(np.asarray(logits, np.float64), axis=1)
    return sklearn.metrics.log_loss(labels, probabilities, labels=range(logits.shape[1]))


def ece(logits, labels):
    """Guo et al. 2017: fifteen bins, open on the left."""
    probabilities = scipy.special.softmax(np.asarray(logits, np.float64), axis=1)
    bins = [[] for _ in range(15)]
    for row, label in zip(probabilities, labels, strict=True):
        index = next(index for index in range(15) if row.max() <= (index + 1) / 15 + 1e-8)
        bins[index].append((row.max(), float(row.argmax() == label)))
    gaps = [len(each) * abs(np.mean(each, axis=0) @ [1, -1]) for each in bins if each]
    return math.fsum(gaps) / len(labels)


def bootstrap(statistic, method):
    """95 % interval by scipy's resampling, widened to hold the value: (logits, labels) → (low, high)."""

    def interval(logits, labels):
        found = scipy.stats.bootstrap(
            (np.arange(len(labels)),), lambda rows: statistic(logits[rows], labels[rows]), vectorized=False,
            method=method, n_resamples=199, rng=np.random.default_rng(1),
        ).confidence_interval  # fmt: skip
        value = statistic(logits, labels)
        return max(0.0, min(found.low, value)), min(1.0, max(found.high, value))

    return interval


def f1_by_counts(logits, labels):
    """The same as `macro_f1`, quick enough to be resampled."""
    predicted = logits.argmax(axis=1)
    classes = set(predicted.tolist()) | set(labels.tolist())
    pairs = [((predicted == each) & (labels == each), predicted == each, labels == each) for each in classes]
    return float(np.mean([2 * both.sum() / (said.sum() + true.sum()) for both, said, true in pairs]))


EXACT = {
    "accuracy": accuracy,
    "accuracy_low": lambda *arrays: accuracy_interval(*arrays)[0],
    "accuracy_high": lambda *arrays: accuracy_interval(*arrays)[1],
    "macro_f1": macro_f1,
    "ece": ece,
    "loss": loss,
}
# Resampled otherwise, these agree only so far: key → interval.
ABOUT = {"macro_f1": bootstrap(f1_by_counts, "percentile"), "ece": bootstrap(ece, "basic")}
