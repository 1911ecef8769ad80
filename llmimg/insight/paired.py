"""Is one run better than another? Both saw the same test images, so that they are compared image by image."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet

from llmimg.errors import UserError
from llmimg.run_folder import RunFolder

RESAMPLES = 10_000
_CHUNK = 100  # resamples drawn at once


@dataclass(frozen=True)
class Answers:
    """How right a run, or the runs of several seeds, answered each test image.

    Attributes:
        ids: of the images.
        labels: what is right.
        right: float `[S, N]`, 1 where run s answered image n rightly.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    right: np.ndarray

    @property
    def accuracies(self) -> np.ndarray:
        """Of each run, float `[S]`."""
        return self.right.mean(axis=1)


@dataclass(frozen=True)
class Comparison:
    """Two sides on the same images; accuracies are means over seeds, 0 to 1.

    Attributes:
        one, other: the accuracies of each side's runs, float `[S]`.
        images: how many test images.
        low, high: 95 % interval of (other − one), from resampled images.
        p_value: two-sided, of no difference: how often a resampled difference has the other sign, or none.
    """

    one: np.ndarray
    other: np.ndarray
    images: int
    low: float
    high: float
    p_value: float

    @property
    def difference(self) -> float:
        """Mean accuracy of the other, less that of the one."""
        return float(self.other.mean() - self.one.mean())


def answers_of(path: str | Path) -> Answers:
    """Of a finished run's folder, or of all finished runs in the folders `seed=…` of one.

    Raises:
        UserError: where there is none, or they answered nothing, or not the same images.
    """
    folders = [RunFolder(path)] if RunFolder(path).is_finished else []
    folders = folders or [RunFolder(each) for each in sorted(Path(path).glob("seed=*"))]
    runs = [_answers(folder) for folder in folders if folder.is_finished]
    if not runs:
        raise UserError(f"'{path}' is no finished run, and holds none of several seeds: give the folder of one.")
    if any((run.ids, run.labels) != (runs[0].ids, runs[0].labels) for run in runs):
        raise UserError(f"The runs in '{path}' were tested on different images: give one of them.")
    return Answers(runs[0].ids, runs[0].labels, np.concatenate([run.right for run in runs]))


def compare_runs(one: Answers, other: Answers, seed: int = 0) -> Comparison:
    """Paired bootstrap over test images (Efron and Tibshirani 1993; Koehn, EMNLP 2004).

    Raises:
        UserError: where they were not tested on the same images.
    """
    place = {name: place for place, name in enumerate(other.ids)}
    order = [place.get(name, -1) for name in one.ids]
    if len(place) != len(one.ids) or -1 in order or one.labels != tuple(other.labels[each] for each in order):
        raise UserError(
            "The two runs were not tested on the same images: compare runs of the same data, data.split_seed and "
            "data.test_samples."
        )
    gain = other.right.mean(axis=0)[order] - one.right.mean(axis=0)
    rng, total = np.random.default_rng(seed), len(gain)
    drawn = [gain[rng.integers(total, size=(_CHUNK, total))].mean(axis=1) for _ in range(RESAMPLES // _CHUNK)]
    differences = np.concatenate(drawn)
    low, high = np.percentile(differences, [2.5, 97.5])
    beyond = min((differences <= 0).mean(), (differences >= 0).mean())
    p_value = min(1.0, 2 * float(beyond) + 1 / RESAMPLES)
    return Comparison(one.accuracies, other.accuracies, total, float(low), float(high), p_value)


def _answers(folder: RunFolder) -> Answers:
    table = pyarrow.parquet.read_table(folder.path / "predictions.parquet")
    if "prediction" not in table.column_names:
        raise UserError(f"'{folder.path}' is a run that answers nothing (pretraining): compare ones that do.")
    labels, predictions = table["label"].to_pylist(), table["prediction"].to_pylist()
    right = [float(label == prediction) for label, prediction in zip(labels, predictions, strict=True)]
    return Answers(tuple(map(str, table["id"].to_pylist())), tuple(labels), np.array([right]))
