"""How far training and evaluation are: a bar on a terminal, a line now and then in a log file, and every loss in the
run's own log."""

import logging
import sys
import time
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback

from llmimg.tasks.measure import Measure

log = logging.getLogger("llmimg")

_EVERY = 10.0  # seconds between two lines; the longer it takes, the rarer they are


class Counter:
    """Counts up to a total before the user's eyes, with rate and time left.

    Args:
        what: what is going on.
        total: how many there are.
        done: how many of them are done already.
        unit: what one of them is.
        leave: whether the bar, or a last line, stays when all is done.
    """

    def __init__(self, what: str, total: int, done: int = 0, unit: str = "step", leave: bool = True):
        self.what, self.total, self.done, self.unit, self._leave = what, total, done, unit, leave
        self._began, self._from = time.perf_counter(), done
        self._said = self._began
        self._shown: dict[str, str] = {}
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm(
                desc=what, total=total, initial=done, unit=unit, dynamic_ncols=True, leave=leave, mininterval=0.2
            )

    def show(self, shown: dict[str, str]) -> None:
        """Say this beside the count from now on."""
        self._shown |= shown
        if self._bar is not None:
            self._bar.set_postfix(self._shown, refresh=False)

    def count(self) -> None:
        """One more is done."""
        self.done += 1
        if self._bar is not None:
            self._bar.update()
        elif time.perf_counter() - self._said > _EVERY + (self._said - self._began) / 50:
            self._line()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()
        elif self._leave:
            self._line()

    def _line(self) -> None:
        self._said = time.perf_counter()
        rate = (self.done - self._from) / (self._said - self._began)
        left = f"{tqdm.format_interval((self.total - self.done) / rate)} left" if rate else ""
        values = [f"{name} {value}" for name, value in self._shown.items()]
        parts = [f"{self.unit} {self.done:,} of {self.total:,}", *values, f"{rate:.3g} a second", left]
        log.info("%s: %s.", self.what, " · ".join(filter(None, parts)))


class Progress(TrainerCallback):
    """Counts the steps of training, with the last loss and validation score, and the batches of each evaluation.

    Args:
        measure: the task's headline.
    """

    def __init__(self, measure: Measure):
        self._shown = {"loss": "loss", "eval_loss": "val loss", f"eval_{measure.key}": f"val {measure.phrase}"}
        self._training: Counter | None = None
        self._evaluating: Counter | None = None

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            self._training = Counter("Training", state.max_steps, state.global_step)

    def on_step_end(self, args, state, control, **kwargs):
        if self._training is not None:
            self._training.count()

    def on_log(self, args, state, control, logs: dict[str, Any] | None = None, **kwargs):
        if self._training is not None and logs:
            self._training.show({name: f"{logs[key]:.4g}" for key, name in self._shown.items() if key in logs})

    def on_prediction_step(self, args, state, control, eval_dataloader: Any = None, **kwargs):
        if state.is_world_process_zero:
            if self._evaluating is None:
                self._evaluating = Counter("Evaluating", len(eval_dataloader), unit="batch", leave=False)
            self._evaluating.count()

    def on_evaluate(self, args, state, control, **kwargs):
        if self._evaluating is not None:
            self._evaluating.close()
        self._evaluating = None

    def on_predict(self, args, state, control, metrics, **kwargs):
        self.on_evaluate(args, state, control)

    def on_train_end(self, args, state, control, **kwargs):
        if self._training is not None:
            self._training.close()
        self._training = None


class Losses(TrainerCallback):
    """Notes every loss and score in the run's log, which a terminal does not show.

    Args:
        measure: the task's headline.
    """

    def __init__(self, measure: Measure):
        self._noted = {"eval_loss": "validation loss", f"eval_{measure.key}": f"validation {measure.phrase}"}

    def on_log(self, args, state, control, logs: dict[str, Any] | None = None, **kwargs):
        said = {key: value for key, value in (logs or {}).items() if key in ("loss", "learning_rate", "grad_norm")}
        said |= {self._noted[key]: value for key, value in (logs or {}).items() if key in self._noted}
        if said:
            values = ", ".join(f"{key.replace('_', ' ')} {value:.6g}" for key, value in said.items())
            log.debug("step %d of %d: %s", state.global_step, state.max_steps, values)
