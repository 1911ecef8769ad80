"""What the page is made from: JSON's types and arrays, so that it can be rebuilt from a run's folder at any time."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from llmimg.tasks.figures import Figure, Shown
from llmimg.tasks.measure import Measure


@dataclass(frozen=True, eq=False, kw_only=True)
class Example(Shown):
    """A test image beside what the model read of it, and what it answered.

    Attributes:
        id: of the image.
        truth, prediction: in words; empty where there is nothing to be right, or nothing was predicted.
        score: of the task's `per_row`.
        remark: what stands beside the answer, such as how sure the model was.
        truth_drawn, prediction_drawn: uint8 `[H, W, C]`, both drawn on the image; None where words say it.
    """

    id: str
    truth: str = ""
    prediction: str = ""
    score: float = float("nan")
    remark: str = ""
    truth_drawn: np.ndarray | None = None
    prediction_drawn: np.ndarray | None = None

    @property
    def is_right(self) -> bool | None:
        """Whether prediction and truth are the same words; None where there is not both, or a drawing says more."""
        if not self.prediction or not self.truth or self.prediction_drawn is not None:
            return None
        return self.prediction == self.truth


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A finished run. What is empty is left out of the page.

    Attributes:
        title: such as "digits · gray · gpt2_tiny".
        config: resolved; nested, in JSON's types.
        environment: versions, git commit, device.
        metrics: flat: test/accuracy, data/tokens_per_image, …
        measures: the task's, the headline first.
        ranked_by: what the task's `per_row` is, by which mistakes are ordered.
        history: the Trainer's log_history.
        figures: what the task shows of all predictions.
        lengths: int [N], tokens an image of the test split, before any cut.
        context: the model's context length, in tokens.
        examples: test images from all over the split.
        mistakes: those that were answered worst.
        notes: sentences that a reader must know.
    """

    title: str
    config: dict[str, Any]
    environment: dict[str, Any]
    metrics: dict[str, float]
    measures: tuple[Measure, ...]
    ranked_by: str
    history: list[dict[str, float]]
    figures: list[Figure]
    lengths: np.ndarray
    context: int
    examples: list[Example]
    mistakes: list[Example]
    notes: list[str]

    @property
    def kind(self) -> str:
        """Of the model that ran: `language`, `endpoint`, `image` or `baseline`."""
        model = self.config.get("model")
        return str(model.get("kind", "language")) if isinstance(model, dict) else "language"

    @property
    def sees_pixels(self) -> bool:
        """Whether it was given images, and no text of them."""
        return self.kind in ("image", "baseline")
