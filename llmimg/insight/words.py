"""A comparison in sentences."""

from collections.abc import Sequence

from llmimg.insight.answers import Answers
from llmimg.insight.paired import Comparison


def comparison_lines(names: Sequence[str], sides: Sequence[Answers], result: Comparison) -> list[str]:
    """Lines: each side's accuracy, the difference with its interval, and how far that carries.

    Args:
        names: of the two sides.
    """
    lines = [_side(name, side) for name, side in zip(names, sides, strict=True)]
    if result.exact is None:
        how = f"p = {result.p_value:.4f} (hierarchical bootstrap over seeds and images)"
    else:
        how = (
            f"p = {result.exact:.4f} (McNemar's exact test, {result.gained:,} images against {result.lost:,}), "
            f"p = {result.p_value:.4f} (paired bootstrap over images)"
        )
    lines.append(
        f"{100 * result.difference:+.1f} points on the same {result.images:,} test images; 95 % interval "
        f"{100 * result.low:+.1f} to {100 * result.high:+.1f}, {how}"
    )
    single = [name for name, side in zip(names, sides, strict=True) if side.seeds == 1]
    if len(single) == 2:
        lines.append("One seed each: the interval is over images alone, and another seed may say otherwise.")
    elif single:
        lines.append(f"{single[0]} has one seed: how much others would differ is not in the interval.")
    return [*lines, *(sentence for side in sides for sentence in side.left_out)]


def _side(name: str, side: Answers) -> str:
    accuracy = f"{100 * side.accuracies.mean():.1f} %"
    if side.is_deterministic:
        spread = f" with each of {side.seeds} seeds (deterministic)"
    elif side.seeds > 1:
        spread = f" ± {100 * side.accuracies.std(ddof=1):.1f} over {side.seeds} seeds"
    else:
        spread = ""
    return f"{accuracy}{spread}  {name}"
