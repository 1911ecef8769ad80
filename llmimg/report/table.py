"""The headline numbers as a small table of fixed width, printed at the end of a run."""

from collections.abc import Mapping, Sequence

from llmimg.report.numbers import readings
from llmimg.tasks.measure import Measure


def headline(metrics: Mapping[str, float], measures: Sequence[Measure]) -> str:
    """Lines of name, value and 95 % interval, without a last line break; test numbers unknown here come last, by key.

    Args:
        metrics: of metrics.json.
        measures: the task's.
    """
    known, others = readings(metrics, measures)
    tested = [reading for reading in others if reading.key.startswith("test/")]
    rows = [(reading.name, reading.value, reading.interval) for reading in known + tested]
    if not rows:
        return "The run left no numbers."
    heads = ("", "", "95 % interval" if any(interval for *_, interval in rows) else "")
    names, values, intervals = (max(map(len, column)) for column in zip(*rows, heads, strict=True))
    lines = [f"{name:<{names}}  {value:>{values}}  {interval:>{intervals}}".rstrip() for name, value, interval in rows]
    rule = "─" * max(map(len, lines))
    head = [" " * (names + values + 4) + f"{heads[2]:>{intervals}}"] if heads[2] else []
    return "\n".join([*head, rule, *lines, rule])
