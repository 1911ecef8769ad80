"""What a sweep looks for: one number of a finished run, and which way is better."""

from collections.abc import Mapping
from typing import Any

from llmimg.errors import UserError
from llmimg.nearest import did_you_mean
from llmimg.settings import build
from llmimg.tasks.chosen import kind_of
from llmimg.tasks.measure import LOSS, Measure


def objective_of(resolved: Mapping[str, Any]) -> tuple[str, Measure | None]:
    """The key in metrics.json of what `objective` names, or of the task's headline on the validation split; and what it
    is, where the task knows it.

    Raises:
        UserError: a score of the test split, by which nothing is to be chosen.
    """
    task = {name: value for name, value in resolved["task"].items() if name != "name"}
    kind = kind_of(resolved["task"])
    measures = kind.measures_for(build(kind.Settings, task))
    key = resolved.get("objective") or f"val/{measures[0].key}"
    if key.startswith("test/"):
        raise UserError(
            f"objective={key} would choose by the test split, which then no longer tells how good the choice is: take "
            f"objective={key.replace('test/', 'val/')}."
        )
    return key, next((measure for measure in (*measures, LOSS) if key == f"val/{measure.key}"), None)


def check_direction(resolved: Mapping[str, Any], direction: str | None) -> None:
    """Refuse a sweep that would look for the worst.

    Args:
        resolved: the composed configuration.
        direction: `minimize` or `maximize`, as the sweeper has it; None where it has none.

    Raises:
        UserError: saying which way is better.
    """
    key, measure = objective_of(resolved)
    better = "maximize" if measure is None or measure.higher_is_better else "minimize"
    if measure is not None and direction in ("minimize", "maximize") and direction != better:
        raise UserError(
            f"hydra.sweeper.direction={direction} looks for the worst {measure.phrase} ({key}): set "
            f"hydra.sweeper.direction={better}."
        )


def objective(resolved: Mapping[str, Any], metrics: Mapping[str, float]) -> float | None:
    """The number itself; None where none is named and the run has no validation split's headline, as a dry one.

    Raises:
        UserError: where a number is named that the run has not.
    """
    key, _ = objective_of(resolved)
    if resolved.get("objective") and metrics and key not in metrics:
        raise UserError(f"The run has no number '{key}' (objective): {did_you_mean(key, metrics)}")
    return metrics.get(key)
