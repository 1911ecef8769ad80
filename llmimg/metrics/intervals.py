"""95 % intervals by the bootstrap over images, as several metrics need them."""

from collections.abc import Callable, Collection

import numpy as np

RESAMPLES = 1000


def bootstrap_percentiles(
    statistic: Callable[[np.ndarray], float | np.ndarray], total: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The 2.5th and 97.5th percentiles of a statistic over 1,000 resamples of the images (Efron 1979).

    Args:
        statistic: of the drawn images' numbers, int32 [total], a float or float [M]; nan where it is undefined, as it
            may be where no image with an object was drawn. Such resamples are left out.
        total: how many images there are, and are drawn each time, with replacement.
        seed: of the resamples.

    Returns:
        low, high: each as the statistic.
    """
    rng = np.random.default_rng(seed)
    values = [statistic(rng.integers(total, size=total, dtype=np.int32)) for _ in range(RESAMPLES)]
    defined = [value for value in values if not np.isnan(value).any()]
    low, high = np.percentile(np.array(defined), [2.5, 97.5], axis=0)
    return low, high


def with_intervals(
    values: Callable[[np.ndarray | None], dict[str, float]], images: int, reflected: Collection[str] = ()
) -> dict[str, float]:
    """Scores between 0 and 1, and their 95 % intervals as `…_low` and `…_high`, each widened to hold the score.

    Args:
        values: the scores where each image counts as often as the weights say, int [images]; once each if None.
        images: how many there are.
        reflected: scores that resampling moves up, so that plain percentiles lie too high: theirs are reflected at the
            score (the basic bootstrap, Davison and Hinkley 1997, chapter 5), and cut at 0 and 1.
    """
    scores = values(None)

    def resampled(drawn: np.ndarray) -> np.ndarray:
        return np.array([*values(np.bincount(drawn, minlength=images)).values()])

    ends = bootstrap_percentiles(resampled, images)
    intervals = {}
    for (name, score), low, high in zip(scores.items(), *(end.tolist() for end in ends), strict=True):
        if name in reflected:
            low, high = max(0.0, 2 * score - high), min(1.0, 2 * score - low)
        intervals[f"{name}_low"], intervals[f"{name}_high"] = min(low, score), max(high, score)
    return scores | intervals
