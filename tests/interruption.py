"""Runs that are interrupted, as on a machine that is taken away."""

import contextlib

import pytest
from transformers import TrainerCallback


@contextlib.contextmanager
def taken_away_at(step: int):
    """Training ends in mid-step."""

    class Crash(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == step:
                raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("llmimg.training.fit.StopOnNaN", Crash)
        yield
