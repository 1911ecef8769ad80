"""Is one run better than another? Both saw the same test images, so that they are compared image by image.

Where a side has several seeds, another seed would have given other answers as well: seeds and images are resampled
together. What one seed each can say is said of these very models, not of the way they were trained.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest
from scipy.stats import t as student

from llmimg.insight.answers import Answers, paired

RESAMPLES = 10_000


@dataclass(frozen=True)
class Comparison:
    """Two sides on the same images; accuracies are means over seeds, 0 to 1.

    Attributes:
        one, other: the accuracies of each side's runs, float `[S]`.
        images: how many test images.
        low, high: 95 % interval of (other − one).
        p_value: two-sided, of no difference, from the resampled differences.
        gained, lost: images that the other alone, and the one alone, answered rightly; None of several seeds.
        exact: two-sided p of McNemar's exact test on these; None of several seeds.
    """

    one: np.ndarray
    other: np.ndarray
    images: int
    low: float
    high: float
    p_value: float
    gained: int | None = None
    lost: int | None = None
    exact: float | None = None

    @property
    def difference(self) -> float:
        """Mean accuracy of the other, less that of the one."""
        return float(self.other.mean() - self.one.mean())

    def turned(self) -> "Comparison":
        """The same seen from the other side."""
        sides = {"one": self.other, "other": self.one, "gained": self.lost, "lost": self.gained}
        return replace(self, low=-self.high, high=-self.low, **sides)


def compare_runs(one: Answers, other: Answers, seed: int = 0) -> Comparison:
    """Compare two sides: one run each by a paired bootstrap over images (Efron and Tibshirani 1993; Koehn, EMNLP 2004)
    and McNemar's exact test, several by a hierarchical bootstrap over seeds and images.

    To the images two are added, of which each side alone answers one rightly (Laplace's rule of succession): few images
    that the sides differ in would otherwise pass for proof. Of S seeds S − 1 are drawn, which makes the spread of their
    mean neither too small nor too large (Hesterberg, The American Statistician 2015), and so few make the interval as
    wide as Student's t with Satterthwaite's degrees of freedom.

    Raises:
        UserError: where they were not tested on the same images.
    """
    sides = paired(one, other)
    if sides[0].tobytes() > sides[1].tobytes():  # what is drawn does not depend on who comes first
        return _compared(*sides[::-1], seed).turned()
    return _compared(*sides, seed)


def _compared(one: np.ndarray, other: np.ndarray, seed: int) -> Comparison:
    differences = _resampled(one, other, np.random.default_rng(seed))
    accuracies, total = (one.mean(axis=1), other.mean(axis=1)), one.shape[1]
    difference = float(accuracies[1].mean() - accuracies[0].mean())
    if len(one) == len(other) == 1:
        low, high = np.percentile(differences, [2.5, 97.5])
        beyond = min((differences <= 0).mean(), (differences >= 0).mean())
        p_value = min(1.0, 2 * float(beyond) + 1 / RESAMPLES)
        gained, lost = int((other > one).sum()), int((one > other).sum())
        exact = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
        low, high = min(float(low), difference), max(float(high), difference)
        return Comparison(*accuracies, total, low, high, p_value, gained, lost, exact)
    error = float(differences.std(ddof=1))
    of_seeds = [(float(each.var(ddof=1)) / len(each), len(each) - 1) for each in accuracies if len(each) > 1]
    of_images = max(error**2 - sum(variance for variance, _ in of_seeds), 0)
    parts = [*of_seeds, (of_images, total + 1)]
    freedom = error**4 / sum(variance**2 / degrees for variance, degrees in parts)
    half = float(student.ppf(0.975, freedom)) * error
    p_value = float(2 * student.sf(abs(difference) / error, freedom))
    return Comparison(*accuracies, total, max(difference - half, -1.0), min(difference + half, 1.0), p_value)


def _resampled(one: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Differences of mean accuracy between resampled seeds on resampled images, float `[RESAMPLES]`.

    Args:
        one, other: float `[S, N]`.
    """
    every = np.concatenate([one, other])
    added = np.repeat([[0.0, 1.0], [1.0, 0.0]], [len(one), len(other)], axis=0)
    # Images that all runs answered alike are drawn as one kind.
    kinds, counts = np.unique(np.concatenate([every, added], axis=1), axis=1, return_counts=True)
    drawn = rng.multinomial(counts.sum(), counts / counts.sum(), size=RESAMPLES) / counts.sum()
    means = drawn @ kinds.T
    return _seeds(means[:, len(one) :], rng) - _seeds(means[:, : len(one)], rng)


def _seeds(means: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The mean over resampled seeds, float `[B]`, of means `[B, S]`."""
    seeds = means.shape[1]
    chosen = rng.integers(seeds, size=(len(means), max(seeds - 1, 1)))
    return np.take_along_axis(means, chosen, axis=1).mean(axis=1)
