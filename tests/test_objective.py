"""What a sweep looks for."""

import pytest

from llmimg.errors import UserError
from llmimg.objective import check_direction, objective

CLASSIFY, CLM = ({"task": {"name": name}, "objective": None} for name in ("classify", "clm"))
METRICS = {"val/accuracy": 0.9, "val/loss": 0.3, "data/tokens_per_image": 64.0}


def test_it_is_the_headline_unless_another_number_is_named():
    assert objective(CLASSIFY, METRICS) == 0.9 and objective(CLM, METRICS) == 0.3
    assert objective({**CLASSIFY, "objective": "data/tokens_per_image"}, METRICS) == 64
    assert objective(CLASSIFY, {}) is None  # a dry run has no numbers
    with pytest.raises(UserError, match=r"no number 'val/los' \(objective\): did you mean 'val/loss'"):
        objective({**CLASSIFY, "objective": "val/los"}, METRICS)


@pytest.mark.parametrize(
    ("resolved", "better", "worse"),
    [
        (CLASSIFY, "maximize", "minimize"),
        (CLM, "minimize", "maximize"),
        ({**CLASSIFY, "objective": "val/ece"}, "minimize", "maximize"),
    ],
)
def test_a_sweep_that_looks_for_the_worst_is_refused(resolved, better, worse):
    check_direction(resolved, better)
    check_direction(resolved, None)
    with pytest.raises(
        UserError, match=rf"direction={worse} looks for the worst .*: set hydra\.sweeper\.direction={better}"
    ):
        check_direction(resolved, worse)


def test_which_way_is_better_of_other_numbers_is_the_sweeper_s_own_matter():
    for direction in ("minimize", "maximize"):
        check_direction({**CLASSIFY, "objective": "data/tokens_per_image"}, direction)
