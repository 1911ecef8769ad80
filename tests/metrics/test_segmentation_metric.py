import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from llmimg.errors import UserError
from llmimg.metrics.segmentation import Segmentation

VOID = 255


def made_up(images: int, classes: int, seed: int, void: int = VOID) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Masks of several sizes, and predictions right in about half; void in both; not every class need occur."""
    rng = np.random.default_rng(seed)
    truth, predicted = [], []
    for _ in range(images):
        size, kinds = rng.integers(1, 7, size=2), rng.permutation(np.append(np.arange(classes), void))[:4]
        mask, other = rng.choice(kinds, size=(2, *size))
        truth.append(mask.astype(np.uint8))
        predicted.append(np.where(rng.random(size) < 0.5, mask, other))
    truth[0][0, 0] = 0
    return truth, predicted


def scored(truth: list[np.ndarray], predicted: list[np.ndarray], void: int = VOID) -> tuple[np.ndarray, np.ndarray]:
    """All pixels whose truth is not void; in the prediction void is −1."""
    every = np.concatenate([mask.ravel() for mask in truth]).astype(int)
    answers = np.concatenate([mask.ravel() for mask in predicted]).astype(int)
    return every[every != void], np.where(answers == void, -1, answers)[every != void]


def jaccard(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """scikit-learn's, of the classes in truth or prediction."""
    known = [each for each in range(classes) if each in truth or each in predicted]
    return sklearn.metrics.jaccard_score(truth, predicted, labels=known, average=None)


sizes = given(images=st.integers(1, 8), classes=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))


@sizes
def test_equals_scikit_learn(images, classes, seed):
    truth, predicted = made_up(images, classes, seed)
    score = Segmentation(truth, predicted, classes, VOID)
    every, answers = scored(truth, predicted)
    labels = [*range(classes), -1]
    matrix = sklearn.metrics.confusion_matrix(every, answers, labels=labels)[:classes]
    assert (score.confusion == matrix).all()
    iou = jaccard(every, answers, classes)
    ours = score.by_class()
    assert ours["iou"][~np.isnan(ours["iou"])] == pytest.approx(iou, abs=1e-12)
    assert (ours["pixels"] == matrix.sum(axis=1)).all()
    expected = {"mean_iou": iou.mean(), "pixel_accuracy": sklearn.metrics.accuracy_score(every, answers)}
    assert score.metrics(intervals=False) == pytest.approx(expected, abs=1e-12)


@sizes
def test_an_image_is_scored_by_itself(images, classes, seed):
    truth, predicted = made_up(images, classes, seed)
    for mask, answer, value in zip(
        truth, predicted, Segmentation(truth, predicted, classes, VOID).per_row(), strict=True
    ):
        every, answers = scored([mask], [answer])
        assert value == (pytest.approx(jaccard(every, answers, classes).mean()) if every.size else 1)


@sizes
def test_a_resample_scores_as_its_images_do(images, classes, seed):
    truth, predicted = made_up(images, classes, seed)
    drawn = np.append(0, np.random.default_rng(seed).integers(images, size=images))
    again = Segmentation([truth[image] for image in drawn], [predicted[image] for image in drawn], classes, VOID)
    weights = np.bincount(drawn, minlength=images)
    assert Segmentation(truth, predicted, classes, VOID).values(weights) == pytest.approx(again.values(), abs=1e-12)


@settings(max_examples=10)
@sizes
def test_intervals_hold_their_values(images, classes, seed):
    truth, predicted = made_up(images, classes, seed)
    assert set(Segmentation(truth, truth, classes, VOID).metrics().values()) == {1.0}
    scores = Segmentation(truth, predicted, classes, VOID).metrics()
    assert set(scores) == {f"{name}{end}" for name in ("mean_iou", "pixel_accuracy") for end in ("", "_low", "_high")}
    assert all(type(value) is float for value in scores.values())
    for name in ("mean_iou", "pixel_accuracy"):
        assert 0 <= scores[f"{name}_low"] <= scores[name] <= scores[f"{name}_high"] <= 1


@sizes
def test_the_truth_itself_is_exactly_right(images, classes, seed):
    truth, _ = made_up(images, classes, seed)
    score = Segmentation(truth, truth, classes, VOID)
    assert set(score.values().values()) == {1.0}
    assert (score.per_row() == 1).all()


def test_void_in_the_prediction_is_wrong_and_no_class():
    truth = [np.array([[0, 0, 1, VOID]])]
    score = Segmentation(truth, [np.full((1, 4), VOID)], 3, VOID)
    assert score.values() == {"mean_iou": 0.0, "pixel_accuracy": 0.0}
    assert score.confusion.tolist() == [[0, 0, 0, 2], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert np.isnan(score.by_class()["iou"][2])
    # Two right, one open: the class that is open has lost a pixel, and no other has won one.
    score = Segmentation(truth, [np.array([[0, VOID, 1, 2]])], 3, VOID)
    assert score.by_class()["iou"][:2].tolist() == [0.5, 1.0]
    assert score.values() == {"mean_iou": 0.75, "pixel_accuracy": 2 / 3}


def test_a_class_is_void_where_it_is_not_to_be_scored():
    score = Segmentation([np.array([0, 0, 1, 2])[None]], [np.array([1, 0, 1, 0])[None]], 3, void=0)
    assert np.isnan(score.by_class()["iou"][0])
    assert score.values() == {"mean_iou": 0.5, "pixel_accuracy": 0.5}


def test_mistakes_are_told():
    mask = np.zeros((4, 5), int)
    with pytest.raises(UserError, match="split is empty"):
        Segmentation([], [], 2, VOID)
    with pytest.raises(UserError, match="All pixels of the 2 masks to score are void"):
        Segmentation([mask + VOID] * 2, [mask] * 2, 2, VOID)
    with pytest.raises(UserError, match="row 1 and its prediction are of other sizes: 4 × 5 and 5 × 4"):
        Segmentation([mask, mask], [mask, mask.T], 2, VOID)
    with pytest.raises(UserError, match=r"mask of row 0 holds 2, which is neither one of the 2 classes \(0 to 1\)"):
        Segmentation([mask + 2], [mask], 2, VOID)
    with pytest.raises(UserError, match=r"predicted mask of row 0 holds -1, .* nor void \(255\)"):
        Segmentation([mask], [mask - 1], 2, VOID)
