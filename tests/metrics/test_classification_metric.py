import numpy as np
import pytest
import sklearn.metrics
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmimg.errors import UserError
from llmimg.metrics import classification
from llmimg.metrics.classification import Classification

KEYS = {
    "accuracy": "accuracy_low accuracy_high",
    "macro_f1": "macro_f1_low macro_f1_high",
    "ece": "ece_low ece_high",
}


def made_up(images: int, classes: int, seed: int = 0, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels drawn from them, so that sharpness 1 is perfectly calibrated."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(images, classes))
    return logits * sharpness, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(classification.log_softmax(logits))


sizes = given(images=st.integers(1, 60), classes=st.integers(2, 7), seed=st.integers(0, 2**32 - 1))


@sizes
def test_equals_scikit_learn(images, classes, seed):
    logits, labels = made_up(images, classes, seed)
    answers, names = logits.argmax(axis=1), np.arange(classes)
    matrix = classification.confusion_matrix(answers, labels, classes)
    assert (matrix == sklearn.metrics.confusion_matrix(labels, answers, labels=names)).all()
    assert classification.accuracy(answers, labels) == sklearn.metrics.accuracy_score(labels, answers)
    expected = sklearn.metrics.f1_score(labels, answers, average="macro")
    assert classification.macro_f1(matrix) == pytest.approx(expected, abs=1e-12)
    expected = sklearn.metrics.log_loss(labels, softmax(logits), labels=names)
    assert classification.log_loss(logits, labels) == pytest.approx(expected, abs=1e-9)


def test_macro_f1_leaves_out_classes_that_nobody_names():
    matrix = classification.confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), classes=5)
    assert classification.macro_f1(matrix) == pytest.approx((2 / 3 + 2 / 3) / 2)


@sizes
def test_calibration_error_is_the_mean_gap_of_the_bins(images, classes, seed):
    logits, labels = made_up(images, classes, seed)
    bins = classification.reliability(softmax(logits), labels)
    assert bins.count.sum() == images
    gap = np.abs(bins.accuracy - bins.confidence)[bins.count > 0]
    expected = (gap * bins.count[bins.count > 0]).sum() / images
    assert classification.expected_calibration_error(softmax(logits), labels) == pytest.approx(expected, abs=1e-12)
    edges = np.linspace(0, 1, 16)
    inside = (bins.confidence > edges[:-1] - 1e-12) & (bins.confidence <= edges[1:] + 1e-12)
    assert inside[bins.count > 0].all()


def test_calibration_error_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.1, 0.9], [0.65, 0.35], [1.0, 0.0]])
    labels = np.array([0, 0, 0, 0])  # bins: 0.9 twice (one right), 0.65 (right), 1.0 (right)
    expected = (2 * abs(0.5 - 0.9) + 0.35 + 0.0) / 4
    assert classification.expected_calibration_error(probabilities, labels) == pytest.approx(expected)


def test_wilson_interval_against_a_published_value():
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (successes, total), expected in published.items():
        assert classification.wilson_interval(successes, total) == pytest.approx(expected, abs=5e-5)


@given(total=st.integers(1, 10**6), data=st.data())
def test_wilson_interval_holds_the_share_and_stays_within_bounds(total, data):
    successes = data.draw(st.integers(0, total))
    low, high = classification.wilson_interval(successes, total)
    assert -1e-12 <= low <= successes / total <= high <= 1 + 1e-12


@settings(max_examples=10, deadline=None)
@example(images=48, classes=2, seed=0)  # where the error summed in another order lies one unit in the last place away
@sizes
def test_metric_is_flat_floats_and_its_intervals_hold_their_values(images, classes, seed):
    logits, labels = made_up(images, classes, seed)
    scores = Classification().compute(predictions=logits, references=labels)
    assert set(scores) == {"loss", *KEYS, *" ".join(KEYS.values()).split()}
    assert all(type(value) is float for value in scores.values())
    for name in KEYS:
        assert scores[f"{name}_low"] <= scores[name] <= scores[f"{name}_high"]
    assert all(0 <= scores[name] <= 1 for name in scores if name != "loss")


def test_metric_does_not_depend_on_the_order_and_repeats_itself():
    logits, labels = made_up(500, 5)
    shuffled = np.random.default_rng(1).permutation(500)
    once = Classification().compute(predictions=logits, references=labels)
    again = Classification().compute(predictions=logits[shuffled], references=labels[shuffled])
    assert once == pytest.approx(again, abs=1e-12)
    assert once == Classification().compute(predictions=logits, references=labels)


def test_metric_keeps_double_precision_and_takes_batches():
    logits, labels = made_up(300, 4)
    metric = Classification()
    for start in range(0, 300, 100):
        metric.add_batch(predictions=logits[start : start + 100], references=labels[start : start + 100])
    assert metric.compute()["loss"] == classification.log_loss(logits, labels)


def test_float32_logits_score_as_they_are():
    logits, labels = made_up(50, 4)
    narrow = logits.astype(np.float32)
    expected = classification.log_loss(narrow, labels)
    assert Classification().compute(predictions=narrow, references=labels)["loss"] == expected


def test_bootstrap_intervals_are_left_out_of_large_sets(monkeypatch):
    monkeypatch.setattr(classification, "SMALL", 99)
    logits, labels = made_up(100, 3)
    scores = Classification().compute(predictions=logits, references=labels)
    assert set(scores) == {"accuracy", "accuracy_low", "accuracy_high", "macro_f1", "ece", "loss"}


def test_intervals_tell_a_calibrated_model_from_an_overconfident_one():
    for sharpness, calibrated in ((1.0, True), (3.0, False)):
        logits, labels = made_up(4000, 10, sharpness=sharpness)
        scores = Classification().compute(predictions=logits, references=labels)
        assert (scores["ece_low"] < 0.01) == calibrated


def test_enormous_logits_do_not_overflow():
    logits, labels = np.array([[1e6, 0.0], [0.0, -1e6]]), np.array([0, 1])
    assert classification.log_loss(logits, labels) == 5e5
    assert Classification().compute(predictions=logits, references=labels)["accuracy"] == 0.5


def test_one_class_is_always_right():
    scores = Classification().compute(predictions=np.zeros((8, 1)), references=np.zeros(8, int))
    assert scores["accuracy"] == scores["macro_f1"] == 1 and scores["ece"] == scores["loss"] == 0


def test_mistakes_are_told():
    logits, labels = made_up(5, 3)
    with pytest.raises(UserError, match="split is empty"):
        Classification().compute(predictions=np.zeros((0, 3)), references=[])
    for broken in (np.nan, np.inf):
        diverged = logits.copy()
        diverged[2, 1] = broken
        with pytest.raises(UserError, match="diverged: its output is not finite for 1 of 5"):
            Classification().compute(predictions=diverged, references=labels)
    for label in (-1, 3):
        with pytest.raises(UserError, match=f"label {label} is none of the model's 3"):
            Classification().compute(predictions=logits, references=[0, 1, label, 1, 0])
