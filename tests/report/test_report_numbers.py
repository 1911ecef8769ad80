import pytest

from llmimg.report import numbers
from llmimg.report.table import headline
from llmimg.tasks.measure import Measure

MEASURES = (
    Measure("accuracy", "Accuracy", ""),
    Measure("loss", "Loss", "", "nats", higher_is_better=False),
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (1437, "1,437"),
        (9999, "9,999"),
        (10_000, "10 k"),
        (105_472, "105 k"),
        (999_999, "1 M"),
        (124_439_808, "124 M"),
        (1_235_814_400, "1.24 B"),
        (7.2e13, "72000 B"),
    ],
)
def test_counts(value, expected):
    assert numbers.count(value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.84, "0.8 s"), (9.96, "10 s"), (54.2, "54 s"), (59.7, "1 min 0 s"), (250, "4 min 10 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds, expected):
    assert numbers.duration(seconds) == expected


def test_table():
    metrics = {
        "test/loss": 0.2134,
        "test/accuracy": 0.947,
        "test/accuracy_low": 0.92,
        "test/accuracy_high": 0.966,
        "model/parameters": 105_472,
        "test/something": 0.5,
    }
    rule = "─" * 42
    expected = [
        "                             95 % interval",
        rule,
        "Test accuracy       94.7 %  92.0 to 96.6 %",
        "Test loss       0.213 nats",
        "Parameters           105 k",
        "test/something         0.5",
        rule,
    ]
    assert headline(metrics, MEASURES).splitlines() == expected


def test_table_without_intervals_or_numbers():
    assert headline({"test/accuracy": 1.0}, MEASURES).splitlines()[1] == "Test accuracy  100.0 %"
    assert headline({}, MEASURES) == "The run left no numbers."


def test_a_number_that_is_not_finite_is_shown_as_it_is():
    assert "test/accuracy  nan" in headline({"test/accuracy": float("nan")}, MEASURES)


@pytest.mark.parametrize(
    ("unit", "value", "expected"),
    [
        ("share", 0.947, "94.7 %"),
        ("nats", 0.2134, "0.213 nats"),
        ("bits", 97.3, "97.3 bits"),
        ("bits", 1437.2, "1,437 bits"),
        ("number", 12.3456, "12.35"),
        ("count", 12_345.0, "12,345"),
    ],
)
def test_a_measure_writes_its_values(unit, value, expected):
    assert Measure("key", "Title", "", unit).written(value) == expected


@pytest.mark.parametrize(
    ("title", "phrase"),
    [("Accuracy", "accuracy"), ("Macro F1", "macro F1"), ("IoU", "IoU"), ("AP", "AP"), ("F1", "F1")],
)
def test_titles_within_a_sentence(title, phrase):
    assert Measure("key", title, "").phrase == phrase


def test_the_headline_of_the_validation_split_is_known():
    lines = headline({"val/accuracy": 0.5, "val/loss": 1.0}, MEASURES).splitlines()
    assert lines[1:-1] == ["Validation accuracy  50.0 %"]


def test_the_loss_is_known_where_it_is_no_measure_of_the_task():
    lines = headline({"test/accuracy": 0.5, "test/loss": 1.25}, MEASURES[:1]).splitlines()
    assert lines[1:-1] == ["Test accuracy      50.0 %", "Test loss      1.250 nats"]


def test_spreads():
    accuracy, loss = MEASURES
    assert (
        numbers.spread(accuracy, 0.947, 0.0031) == "94.70 ± 0.31 %" and numbers.spread(accuracy, 1, None) == "100.00 %"
    )
    assert numbers.spread(loss, 0.25, 0.01) == "0.25 ± 0.01"
