import pytest

from llmimg.report import numbers
from llmimg.report.table import headline


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
    assert headline(metrics).splitlines() == expected


def test_table_without_intervals_or_numbers():
    assert headline({"test/accuracy": 1.0}).splitlines()[1] == "Test accuracy  100.0 %"
    assert headline({}) == "The run left no numbers."


def test_a_number_that_is_not_finite_is_shown_as_it_is():
    assert "test/accuracy  nan" in headline({"test/accuracy": float("nan")})
