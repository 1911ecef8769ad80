"""Is one run better than another? Both saw the same test images, so that they are compared image by image.

Where a side has several seeds, another seed would have given other answers as well: seeds and images are resampled
together. What one seed each can say is said of these very models, not of the way they were trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest
from scipy.stats import t as student

from llmimg.insight.answers import Answers, paired
from llmimg.tasks.measure import ByRows, Measure, of_rows

RESAMPLES = 10_000  # of what is right or wrong, which is counted
HEADLINES = 1_000  # of a headline, which is taken anew each time


@dataclass(frozen=True)
class Comparison:
    """Two sides on the same images, by their headlines.

    Attributes:
        one, other: the headlines of each side's runs, float `[S]`.
        images: how many test images.
        low, high: 95 % interval of (other − one).
        p_value: two-sided, of no difference, from the resampled differences.
        gained, lost: images that the other alone, and the one alone, answered rightly; None of several seeds, and where
            answers are more than right or wrong.
        exact: two-sided p of McNemar's exact test on these; None where these are.
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
        """Mean headline of the other, less that of the one."""
        return float(self.other.mean() - self.one.mean())

    def turned(self) -> "Comparison":
        """The same seen from the other side."""
        sides = {"one": self.other, "other": self.one, "gained": self.lost, "lost": self.gained}
        return replace(self, low=-self.high, high=-self.low, **sides)


def compare_runs(one: Answers, other: Answers, seed: int = 0) -> Comparison:
    """Compare two sides: one run each by a paired bootstrap over images (Efron and Tibshirani 1993; Koehn, EMNLP 2004),
    several by a hierarchical bootstrap over seeds and images; the headline is taken anew of each resample. Where each
    answer is right or wrong, one run each is compared by McNemar's exact test besides.

    To images answered rightly or wrongly two are added, of which each side alone answers one rightly (Laplace's rule of
    succession): few images that the sides differ in would otherwise pass for proof. Of S seeds S − 1 are drawn, which
    makes the spread of their mean neither too small nor too large (Hesterberg, The American Statistician 2015), and so
    few make the interval as wide as Student's t with Satterthwaite's degrees of freedom.

    Raises:
        UserError: where they were not tested on the same images, or are of different tasks.
    """
    sides = paired(one, other)
    if _key(sides[0]) > _key(sides[1]):  # what is drawn does not depend on who comes first
        return _compared(*sides[::-1], seed).turned()
    return _compared(*sides, seed)


def _key(side: Answers) -> tuple[list[float], list[bytes]]:
    rows = [headline.tobytes() for headline in side.headlines if isinstance(headline, np.ndarray)]
    return side.values.tolist(), rows


def _compared(one: Answers, other: Answers, seed: int) -> Comparison:
    rng, measure, total = np.random.default_rng(seed), one.measure, len(one.pixels)
    right = _right(one.headlines), _right(other.headlines)
    if right[0] is None or right[1] is None:
        drawn = _taken(one.headlines, other.headlines, total, rng)
    else:
        drawn = _counted(right[0], right[1], rng)
    differences = _seeds(drawn[1], rng) - _seeds(drawn[0], rng)
    values = (one.values, other.values)
    if len(values[0]) == len(values[1]) == 1:
        ends = _of_images(differences, values)
        if right[0] is None or right[1] is None:
            return Comparison(*values, total, *ends)
        gained, lost = int((right[1] > right[0]).sum()), int((right[0] > right[1]).sum())
        exact = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
        return Comparison(*values, total, *ends, gained, lost, exact)
    return Comparison(*values, total, *_of_seeds(differences, values, total, measure))


def _right(headlines: Sequence[ByRows]) -> np.ndarray | None:
    """Float `[S, N]`, 1 where run s answered image n rightly; None where answers are more than right or wrong."""
    rows = [each for each in headlines if isinstance(each, np.ndarray) and np.isin(each, (0.0, 1.0)).all()]
    return np.stack(rows) if len(rows) == len(headlines) else None


def _counted(one: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The share of right answers of each run on resampled images, float `[RESAMPLES, S]` of each side's `[S, N]`."""
    every = np.concatenate([one, other])
    added = np.repeat([[0.0, 1.0], [1.0, 0.0]], [len(one), len(other)], axis=0)
    # Images that all runs answered alike are drawn as one kind.
    kinds, counts = np.unique(np.concatenate([every, added], axis=1), axis=1, return_counts=True)
    drawn = rng.multinomial(counts.sum(), counts / counts.sum(), size=RESAMPLES) / counts.sum()
    means = drawn @ kinds.T
    return means[:, : len(one)], means[:, len(one) :]


def _taken(
    one: Sequence[ByRows], other: Sequence[ByRows], total: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The headline of each run on resampled images, float `[HEADLINES, S]` of each side; resamples of which it is
    undefined are left out."""
    values = np.empty((HEADLINES, len(one) + len(other)))
    for row in values:
        weights = np.bincount(rng.integers(total, size=total), minlength=total)
        row[:] = [of_rows(headline, weights) for headline in (*one, *other)]
    values = values[np.isfinite(values).all(axis=1)]
    return values[:, : len(one)], values[:, len(one) :]


def _of_images(differences: np.ndarray, values: tuple[np.ndarray, np.ndarray]) -> tuple[float, float, float]:
    """Low, high and p of one run each: percentiles, widened to hold what was seen."""
    difference = float(values[1].mean() - values[0].mean())
    low, high = np.percentile(differences, [2.5, 97.5])
    beyond = min((differences <= 0).mean(), (differences >= 0).mean())
    p_value = min(1.0, 2 * float(beyond) + 1 / len(differences))
    return min(float(low), difference), max(float(high), difference), p_value


def _of_seeds(
    differences: np.ndarray, values: tuple[np.ndarray, np.ndarray], total: int, measure: Measure
) -> tuple[float, float, float]:
    """Low, high and p of several runs, by Student's t; within the measure's range."""
    difference, error = float(values[1].mean() - values[0].mean()), float(differences.std(ddof=1))
    if not error:  # the same everywhere, whatever is drawn
        return difference, difference, 1.0 if difference == 0 else 1 / len(differences)
    of_seeds = [(float(each.var(ddof=1)) / len(each), len(each) - 1) for each in values if len(each) > 1]
    of_images = max(error**2 - sum(variance for variance, _ in of_seeds), 0)
    parts = [*of_seeds, (of_images, total + 1)]
    freedom = error**4 / sum(variance**2 / degrees for variance, degrees in parts)
    half = float(student.ppf(0.975, freedom)) * error
    p_value = float(2 * student.sf(abs(difference) / error, freedom))
    span = np.inf if measure.worst is None or measure.best is None else abs(measure.best - measure.worst)
    return max(difference - half, -span), min(difference + half, span), p_value


def _seeds(means: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The mean over resampled seeds, float `[B]`, of means `[B, S]`."""
    seeds = means.shape[1]
    chosen = rng.integers(seeds, size=(len(means), max(seeds - 1, 1)))
    return np.take_along_axis(means, chosen, axis=1).mean(axis=1)
