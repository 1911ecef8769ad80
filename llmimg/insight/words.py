"""A comparison in sentences."""

from collections.abc import Sequence

from llmimg.insight.answers import Answers
from llmimg.insight.paired import Comparison
from llmimg.tasks.measure import Measure


def comparison_lines(names: Sequence[str], sides: Sequence[Answers], result: Comparison) -> list[str]:
    """Lines: each side's headline, the difference with its interval, and how far that carries.

    Args:
        names: of the two sides.
    """
    measure = sides[0].measure
    lines = [_side(name, side) for name, side in zip(names, sides, strict=True)]
    difference, low, high = (_signed(measure, value) for value in (result.difference, result.low, result.high))
    if measure.unit == "share":
        difference = f"{difference} points"
    lines.append(
        f"{difference} of {measure.phrase} on the same {result.images:,} test images"
        f"{'' if measure.higher_is_better else ' (lower is better)'}; 95 % interval {low} to {high}, "
        f"{_proof(sides, result)}"
    )
    if sides[0].writing != sides[1].writing and measure.unit in ("nats", "bits"):
        lines.append(
            "Their tokens differ, so that this does not say which model is better: a token costs what it tells."
        )
    single = [name for name, side in zip(names, sides, strict=True) if side.seeds == 1]
    if len(single) == 2:
        lines.append("One seed each: the interval is over images alone, and another seed may say otherwise.")
    elif single:
        lines.append(f"{single[0]} has one seed: how much others would differ is not in the interval.")
    return [*lines, *dict.fromkeys(sentence for side in sides for sentence in side.notes)]


def _proof(sides: Sequence[Answers], result: Comparison) -> str:
    if result.exact is not None:
        return (
            f"p = {result.exact:.4f} (McNemar's exact test, {result.gained:,} images against {result.lost:,}), "
            f"p = {result.p_value:.4f} (paired bootstrap over images)"
        )
    several = any(len(side.headlines) > 1 for side in sides)
    how = "hierarchical bootstrap over seeds and images" if several else "paired bootstrap over images"
    return f"p = {result.p_value:.4f} ({how})"


def _side(name: str, side: Answers) -> str:
    mean = side.measure.written(side.values.mean())
    if side.is_deterministic:
        spread = f" with each of {side.seeds} seeds (deterministic)"
    elif side.seeds > 1:
        spread = f" ± {_number(side.measure, side.values.std(ddof=1))} over {side.seeds} seeds"
    else:
        spread = ""
    return f"{mean}{spread}  {name}"


def _number(measure: Measure, value: float) -> str:
    """A value without its unit, which stands before it."""
    return measure.written(value).partition(" ")[0]


def _signed(measure: Measure, value: float) -> str:
    """`+1.2`, in points where it is a share; else with its unit: `-0.120 nats`."""
    if measure.unit == "share":
        return f"{100 * value:+.1f}"
    return measure.written(value) if value < 0 else f"+{measure.written(value)}"
