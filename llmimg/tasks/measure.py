"""What tasks are scored by: a number with its meaning, and a headline that can be resampled row by row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Unit = Literal["share", "nats", "bits", "number", "count"]


@dataclass(frozen=True)
class Measure:
    """One number that a task is scored by.

    Attributes:
        key: as in metrics.json, behind `test/` or `val/`.
        title: a few words, as they stand in a table.
        meaning: the end of a sentence that says what it is.
        unit: a share of 1, nats, bits, a plain number, or a whole one.
        higher_is_better: which way is better.
        worst, best: the ends of its range; None where it has none.
        while_training: whether evaluations of a model in training give it, whatever the data are.
    """

    key: str
    title: str
    meaning: str
    unit: Unit = "share"
    higher_is_better: bool = True
    worst: float | None = 0.0
    best: float | None = 1.0
    while_training: bool = True

    def written(self, value: float) -> str:
        """0.947 → `94.7 %`; 0.2134 nats → `0.213 nats`."""
        if self.unit == "share":
            return f"{100 * value:.1f} %"
        if self.unit == "nats":
            return f"{value:.3f} nats"
        if self.unit == "bits":
            return f"{value:,.0f} bits" if abs(value) >= 100 else f"{value:.3g} bits"
        return f"{value:,.0f}" if self.unit == "count" else f"{value:.4g}"

    @property
    def phrase(self) -> str:
        """The title within a sentence: `Macro F1` → `macro F1`, and `IoU` as it is."""
        word = self.title.partition(" ")[0]
        return self.title[:1].lower() + self.title[1:] if word[1:].islower() else self.title

    def better(self, one: float, other: float) -> bool:
        """Whether the one is better than the other."""
        return one > other if self.higher_is_better else one < other


LOSS = Measure("loss", "Loss", "mean surprise at what is right", "nats", higher_is_better=False, worst=None, best=0.0)

Table = Mapping[str, Sequence[Any] | np.ndarray]  # columns of predictions.parquet, one value a row
Weights = np.ndarray | None  # how often each row counts, int [N], as in a resample; None: once each

# A headline by rows: what each contributes, float64 [N], where it is the mean of these; else it as a function.
ByRows = np.ndarray | Callable[[Weights], float]


def of_rows(headline: ByRows, weights: Weights = None) -> float:
    """A headline, with each row counted as often as the weights say; nan where it is undefined."""
    return float(np.average(headline, weights=weights)) if isinstance(headline, np.ndarray) else headline(weights)


def truths_of(table: Table) -> Sequence[Any] | np.ndarray | None:
    """What is right for each row: the column `truth`, or `label`; None where nothing is."""
    return table.get("truth", table.get("label"))
