"""Classifiers of scikit-learn on raw pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from llmimg.baselines.base import BASELINES, Classifier, Fitted
from llmimg.errors import UserError
from llmimg.settings import Above0, Positive, settings_of
from llmimg.tasks.base import Row, Task


@BASELINES.register("logistic")
@settings_of("model.options")
class Logistic(Classifier):
    """Logistic regression, multinomial beyond two classes, on standardised pixels.

    Attributes:
        C: inverse strength of the L2 penalty.
    """

    C: Above0 = 0.01

    def estimator(self, seed: int) -> Any:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return make_pipeline(StandardScaler(), LogisticRegression(C=self.C, max_iter=200))


@BASELINES.register("rbf_svm")
@settings_of("model.options")
class RbfSvm(Classifier):
    """Support vector machines with a Gaussian kernel, one for each pair of classes: their votes decide, and where these
    are equal their margins. On n images it takes time like n².

    Attributes:
        C: how much an error costs.
        gamma: of the kernel exp(−gamma |x − y|²), pixels from 0 to 1; null is 1 / (features · variance).
    """

    C: Above0 = 10.0
    gamma: Above0 | None = None

    def estimator(self, seed: int) -> Any:
        from sklearn.svm import SVC

        return SVC(C=self.C, gamma="scale" if self.gamma is None else self.gamma, break_ties=True, cache_size=1000)


@BASELINES.register("gradient_boosting")
@settings_of("model.options")
class GradientBoosting(Classifier):
    """Gradient-boosted trees over histograms.

    Attributes:
        rounds: trees for each class; two classes share theirs.
        learning_rate: of each tree.
    """

    rounds: Positive = 100
    learning_rate: Above0 = 0.1

    def estimator(self, seed: int) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            max_iter=self.rounds, learning_rate=self.learning_rate, early_stopping=False, random_state=seed
        )


@BASELINES.register("knn")
@settings_of("model.options")
class Knn(Classifier):
    """The label of most of the nearest training images, by Euclidean distance; where as many have another, that of the
    nearest among them.

    Attributes:
        neighbors: how many vote.
    """

    neighbors: Positive = 3

    def fit(self, images: np.ndarray, rows: Sequence[Row], task: Task, seed: int) -> Fitted:
        if self.neighbors > len(images):
            raise UserError(
                f"model.options.neighbors={self.neighbors} is out of range: it takes 1 to {len(images):,}, the number "
                "of training images."
            )
        return super().fit(images, rows, task, seed)

    def estimator(self, seed: int) -> Any:
        from sklearn.neighbors import KNeighborsClassifier

        return KNeighborsClassifier(self.neighbors, weights=_votes)


def _votes(distances: np.ndarray) -> np.ndarray:
    """One vote for each neighbour `[N, neighbors]`, nearest first, and so little more for the nearer that it decides
    between equal counts alone: each has more of it than all behind it together."""
    return np.tile(1 + 1e-9 * 0.5 ** np.arange(distances.shape[1]), (len(distances), 1))
