"""What every baseline is: fit to images and what is known of them, then answers for others."""

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from llmimg.errors import UserError
from llmimg.registry import Registry
from llmimg.settings import Positive, settings_of
from llmimg.tasks.base import Prediction, Row, Task
from llmimg.tokens.sample import Answer

BASELINES = Registry("baseline", "llmimg.baselines")


class Fitted(Protocol):
    """A fitted baseline."""

    def predictions(self, images: np.ndarray, rows: Sequence[Row]) -> list[Prediction]:
        """What it predicts for images uint8 `[N, H, W, C]`, each on the image of its row to score."""


@dataclasses.dataclass(frozen=True)
class FittedClassifier:
    """A fitted classifier.

    Attributes:
        estimator: of scikit-learn, over features.
        features: images uint8 `[N, H, W, C]` → float `[N, D]`.
        task: one with classes; those that no training image had get 10⁻¹², as do probabilities of 0.
    """

    estimator: Any
    features: Callable[[np.ndarray], np.ndarray]
    task: Task

    def log_probabilities(self, images: np.ndarray) -> np.ndarray:
        """float64 `[N, K]`, the logarithm of each class's probability.

        Estimators that give margins alone (support vector machines) have them put through a softmax: their order is
        right, their size means little.
        """
        features = self.features(images)
        if hasattr(self.estimator, "predict_proba"):
            scores = np.log(np.maximum(self.estimator.predict_proba(features), 1e-12))
        else:
            margins = self.estimator.decision_function(features)
            margins = np.stack([-margins, margins], axis=1) if margins.ndim == 1 else margins
            scores = margins - np.logaddexp.reduce(margins, axis=1, keepdims=True)
        whole = np.full((len(images), len(self.task.classes or ())), np.log(1e-12))
        whole[:, self.estimator.classes_] = scores
        return whole

    def predictions(self, images: np.ndarray, rows: Sequence[Row]) -> list[Prediction]:
        pairs = zip(self.log_probabilities(images), rows, strict=True)
        return [self.task.read(Answer(scores=scores), row) for scores, row in pairs]


@settings_of("model.options")
class Baseline(abc.ABC):
    """A subclass is decorated by `settings_of`: its fields are its only settings (`model.options`).

    Attributes:
        train_images: fit to so many training images at most, drawn by the run's seed; null takes all.
    """

    train_images: Positive | None = None

    readouts: ClassVar[tuple[str, ...]] = ("head", "score", "generate")  # those instead of which it answers
    looks: ClassVar[bool] = True  # whether what it answers depends on the image
    several: ClassVar[bool] = True  # whether it answers where classes are independent of each other
    note: ClassVar[str]  # what a reader of its results must know, in a sentence

    @abc.abstractmethod
    def fit(self, images: np.ndarray, rows: Sequence[Row], task: Task, seed: int) -> Fitted:
        """Fit to images uint8 `[N, H, W, C]` and their rows to learn from, N ≥ 1.

        Raises:
            UserError: rows that nothing can be learned from, or an option that is out of range.
        """

    def check(self, model: str, task: str, readout: str, images: str) -> None:
        """Refuse what it cannot answer, and what it would pass over.

        Args:
            model: what the configuration calls it.
            task: the task's name.
            readout: the one instead of which it is to answer.
            images: whose image each row is given (`llmimg.data.shown`).

        Raises:
            UserError: saying what.
        """
        if readout not in self.readouts:
            raise UserError(
                f"model={model} stands instead of readout={' or '.join(self.readouts)}, and does not go with "
                f"task={task} and readout={readout}: take model=constant or model=nearest."
            )
        if images != "own" and not self.looks:
            raise UserError(
                f"model={model} looks at no image, and data.images={images} changes nothing: set it to own."
            )

    def chosen(self, count: int, seed: int) -> np.ndarray:
        """Which of so many training images it is fitted to, int64, ascending."""
        return np.sort(np.random.default_rng(seed).permutation(count)[: self.train_images])


@settings_of("model.options")
class Classifier(Baseline):
    """A classifier of scikit-learn, for tasks whose answers are one of few."""

    readouts, several = ("head",), False
    note = "The fitted estimator of scikit-learn is not kept: loading one would run code."

    def fit(self, images: np.ndarray, rows: Sequence[Row], task: Task, seed: int) -> Fitted:
        labels = np.array([task.target(row) for row in rows], np.int64)
        if len(np.unique(labels)) < 2:
            raise UserError("All training images have one label, and there is nothing to tell apart: check the data.")
        features = self.features_of(images, seed)
        try:
            estimator = self.estimator(seed).fit(features(images), labels)
        except ValueError as error:  # scikit-learn's own words name the option and its range
            raise UserError(f"scikit-learn cannot fit with these model.options: {error}") from error
        return FittedClassifier(estimator, features, task)

    def features_of(self, images: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
        """What is fitted to: pixels from 0 to 1, unless a subclass makes more of them."""
        return pixels

    @abc.abstractmethod
    def estimator(self, seed: int) -> Any:
        """The scikit-learn classifier, not yet fitted."""


def pixels(images: np.ndarray) -> np.ndarray:
    """float32 `[N, H·W·C]`, from 0 to 1."""
    return images.reshape(len(images), -1).astype(np.float32) / 255
