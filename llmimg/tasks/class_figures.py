"""What a report draws of classes: what is taken for what, each class by itself, and how far sureness can be trusted."""

from collections.abc import Sequence

import numpy as np

from llmimg.tasks.figures import Bars, Curve, Figure, Matrix


def class_figures(
    truths: np.ndarray, predicted: np.ndarray, names: Sequence[str], probabilities: np.ndarray | None = None
) -> list[Figure]:
    """Confusion matrix, bars of the classes and, where the model says how sure it is, a reliability curve.

    Args:
        truths, predicted: class numbers, int64 `[N]`; a prediction of `len(names) - 1` may be that of no class.
        names: of the classes, and of what else can be predicted.
        probabilities: of each class, float `[N, K]`.
    """
    from llmimg.metrics.classification import confusion_matrix

    names = tuple(names)
    matrix = confusion_matrix(predicted, truths, len(names))
    figures: list[Figure] = [_confusions(matrix, names), _classes(matrix, names)]
    return figures if probabilities is None else [*figures, _reliability(probabilities, truths)]


def _confusions(matrix: np.ndarray, names: tuple[str, ...]) -> Matrix:
    commonest = matrix.sum(axis=1).max() / matrix.sum()
    meaning = (
        "Rows are the true classes, columns the model's answers; on the diagonal it is right. The stronger the colour, "
        "the larger the share of the row. Always answering the commonest class would be right for "
        f"{100 * commonest:.1f} %."
    )
    return Matrix("What it takes for what", matrix.astype(np.float64), names, names, meaning=meaning)


def _classes(matrix: np.ndarray, names: tuple[str, ...]) -> Bars:
    """A class that has no test image, and is predicted for none, has neither recall nor precision."""
    right, images, predicted = np.diagonal(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    wrong = matrix * (1 - np.eye(len(matrix), dtype=np.int64))
    rivals = wrong.argmax(axis=1)
    counts = wrong[np.arange(len(matrix)), rivals]
    recall, precision = (
        np.divide(right, total, where=total > 0, out=np.full(len(matrix), np.nan)) for total in (images, predicted)
    )
    columns = {"images": images, "right": right, "accuracy (recall)": recall, "precision": precision}
    units = {"images": "count", "right": "count", "accuracy (recall)": "share", "precision": "share"}
    mistaken = tuple(
        f"{names[rival]} ({count:,})" if count else "" for rival, count in zip(rivals, counts, strict=True)
    )
    numbers = {title: np.asarray(column, np.float64) for title, column in columns.items()}
    return Bars("Class by class", names, numbers, units, words={"most often mistaken for": mistaken})


def _reliability(probabilities: np.ndarray, truths: np.ndarray) -> Curve:
    """A point for each bin of sureness that has images."""
    from llmimg.metrics.classification import reliability

    bins = reliability(probabilities, truths)
    full = bins.count > 0
    lines = {
        "share right": (bins.confidence[full], bins.accuracy[full]),
        "share of images": (bins.confidence[full], bins.count[full] / bins.count.sum()),
    }
    meaning = (
        "Of the answers given with 80 % probability, about 80 % should be right: on the dashed line they are well "
        "calibrated, below it too sure. Beside it, how many of the images are so sure."
    )
    return Curve(
        "How far its sureness can be trusted",
        lines,
        "probability of the answer",
        "share",
        diagonal=True,
        meaning=meaning,
    )
