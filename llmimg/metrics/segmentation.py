"""A class for every pixel: mean IoU and pixel accuracy, with 95 % intervals.

IoU of a class is the share of its pixels in truth or prediction that are in both (Everingham et al. 2010), counted over
all images. A class in neither is left out of the mean. Pixels whose truth is void are not scored; a void prediction is
wrong, whatever the truth.
"""

from collections.abc import Iterable

import numpy as np

from llmimg.errors import UserError
from llmimg.metrics.intervals import with_intervals


class Segmentation:
    """The score of predicted masks. What it needs is counted once for each image, so that images can be resampled.

    Attributes:
        confusion: int64 [K, K + 1], pixels: rows are the truth, columns the prediction, the last one void.
        hits, truth, predicted: int64 [N, K], of each image and class the pixels that are right, that are of the class,
            and that are said to be.

    Raises:
        UserError: no images, or all pixels void; a mask of another size than its image's truth, or with a number that
            is neither a class nor void.
    """

    def __init__(self, truth: Iterable[np.ndarray], predicted: Iterable[np.ndarray], classes: int, void: int) -> None:
        """
        Args:
            truth: int [H, W] of each image, class numbers from 0 to K - 1, or void; looked at once, one by one.
            predicted: the same sizes.
            classes: how many classes there are, K.
            void: the number that stands for no class, such as 255; or that of a class not to be scored.
        """
        counts = []
        self.classes, self.confusion = classes, np.zeros((classes, classes + 1), np.int64)
        for row, (mask, answer) in enumerate(zip(truth, predicted, strict=True)):
            _check(row, mask, answer, classes, void)
            matrix = confusion_matrix(answer, mask, classes, void)
            self.confusion += matrix
            counts.append((np.diagonal(matrix), matrix.sum(axis=1), matrix[:, :classes].sum(axis=0)))
        if not counts:
            raise UserError(
                "There is no image to score: the split is empty. Check data.train_samples and test_samples."
            )
        self.images = len(counts)
        self.hits, self.truth, self.predicted = np.array(counts).transpose(1, 0, 2)
        if not self.confusion.any():
            raise UserError(
                f"All pixels of the {self.images:,} masks to score are void ({void}), so that nothing can be right or "
                "wrong. Check data.void and the masks."
            )

    def values(self, weights: np.ndarray | None = None) -> dict[str, float]:
        """`mean_iou` and `pixel_accuracy`, 0 to 1, with each image counted `weights` times (int [N], as in a resample;
        once each if None); nan where no pixel is scored."""
        weights = np.ones(self.images, np.int64) if weights is None else weights
        hits, truth, predicted = (weights @ counts for counts in (self.hits, self.truth, self.predicted))
        scored = truth.sum()
        accuracy = float(hits.sum() / scored) if scored else float("nan")
        return {"mean_iou": mean_iou_of(hits, truth, predicted), "pixel_accuracy": accuracy}

    def metrics(self, intervals: bool = True) -> dict[str, float]:
        """The scores as a flat dict; with `intervals`, besides them 95 % intervals as `…_low` and `…_high`, by a
        bootstrap over images, as pixels of one image are right or wrong together."""
        return with_intervals(self.values, self.images) if intervals else self.values()

    def by_class(self) -> dict[str, np.ndarray]:
        """`pixels` (of the truth) and `iou` of each class, [K]; nan for a class in neither truth nor prediction."""
        hits, truth, predicted = (counts.sum(axis=0) for counts in (self.hits, self.truth, self.predicted))
        return {"pixels": truth, "iou": _iou(hits, truth, predicted)}

    def per_row(self) -> np.ndarray:
        """The mean IoU of each image by itself, float64 [N], 0 to 1; 1 where all its truth is void."""
        return np.nan_to_num(_mean_iou(self.hits, self.truth, self.predicted), nan=1.0)


def confusion_matrix(predicted: np.ndarray, truth: np.ndarray, classes: int, void: int) -> np.ndarray:
    """Pixels of masks of the same shape, int64 [K, K + 1]: rows are the truth, columns the prediction, the last one
    void. Pixels whose truth is void are not counted."""
    scored = truth != void
    of, said = truth[scored].astype(np.int64), predicted[scored].astype(np.int64)
    said[said == void] = classes
    cells = classes * (classes + 1)
    return np.bincount(of * (classes + 1) + said, minlength=cells).reshape(classes, classes + 1)


def mean_iou_of(hits: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean IoU, 0 to 1, from counts of pixels of each class [K]; nan where there are none.

    Args:
        hits, truth, predicted: those that are right, that are of the class, and that are said to be.
    """
    return float(_mean_iou(hits, truth, predicted))


def _iou(hits: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """IoU of each class, float64 […, K], from counts of pixels […, K]; nan where there are none."""
    either = truth + predicted - hits
    return np.divide(hits, either, where=either > 0, out=np.full(either.shape, np.nan))


def _mean_iou(hits: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The mean over the classes that have an IoU, float64 […]; nan where none has."""
    iou = _iou(hits, truth, predicted)
    known = ~np.isnan(iou)
    total, count = np.where(known, iou, 0.0).sum(axis=-1), known.sum(axis=-1)
    return np.divide(total, count, where=count > 0, out=np.full(count.shape, np.nan))


def _check(row: int, truth: np.ndarray, predicted: np.ndarray, classes: int, void: int) -> None:
    if truth.shape != predicted.shape:
        sizes = " and ".join(" × ".join(map(str, mask.shape)) for mask in (truth, predicted))
        raise UserError(
            f"The mask of row {row} and its prediction are of other sizes: {sizes}. Bring both to one size."
        )
    for mask, name in ((truth, "mask"), (predicted, "predicted mask")):
        outside = mask[((mask < 0) | (mask >= classes)) & (mask != void)]
        if len(outside):
            raise UserError(
                f"The {name} of row {row} holds {outside[0]}, which is neither one of the {classes} classes "
                f"(0 to {classes - 1}) nor void ({void}). Check the data set's label names and data.void."
            )
