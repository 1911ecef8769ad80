"""What the page is made from: plain values and arrays, so that it can be rebuilt from a run's folder at any time."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Example:
    """One test image beside what the model read of it."""

    id: str
    image: np.ndarray  # uint8 [H, W, C], C = 1 or 3
    text: str  # the image's text, as far as the model read it
    unread: str  # what was cut off of it by tokens.overflow=truncate; usually nothing
    tokens: int  # how many tokens the model read of it
    cut: int  # tokens cut off; usually 0
    reconstruction: np.ndarray | None  # uint8 [H, W, C]: from its text, gray where the model read nothing
    label: str  # empty where nothing was predicted, as in pretraining
    prediction: str
    probability: float  # of the prediction, 0 to 1
    log_likelihood: float = 0.0  # of the right answer, or of the text: nats


@dataclass(frozen=True)
class RunRecord:
    """A finished run. Empty arrays and lists are left out of the page."""

    title: str  # "digits · gray · gpt2_tiny"
    config: dict[str, Any]  # resolved; nested plain values
    environment: dict[str, Any]  # versions, git commit, device
    metrics: dict[str, float]  # flat: test/accuracy, data/tokens_per_image, …
    history: list[dict[str, float]]  # the Trainer's log_history
    label_names: tuple[str, ...]
    labels: np.ndarray  # int [N], of the test split
    probabilities: np.ndarray  # float [N, K], of the test split
    lengths: np.ndarray  # int [N]: tokens an image of the test split, before any cut
    context: int  # the model's context length, in tokens
    examples: list[Example]
    mistakes: list[Example]  # the surest wrong answers
    notes: list[str]  # sentences
