"""What happens beside the steps of training."""

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_callback import ProgressCallback

from llmimg.errors import UserError


class BeginEpoch(TrainerCallback):
    """Tells the training images which epoch begins. Accelerate's loaders keep that from a data set where batches are
    spread over processes, and where a resumed run skips some."""

    def on_epoch_begin(self, args, state, control, train_dataloader=None, **kwargs):
        train_dataloader.dataset.begin_epoch(int(state.epoch))


class Clock(TrainerCallback):
    """How long a run has trained, over all the times it was interrupted: each checkpoint keeps the seconds until then.

    Attributes:
        seconds: so far, validation included.
    """

    FILE = "clock.json"

    def __init__(self, checkpoint: Path | None):
        file = checkpoint and checkpoint / self.FILE
        self._before = json.loads(file.read_text())["seconds"] if file and file.is_file() else 0.0
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        return self._before + time.perf_counter() - self._started

    def on_train_begin(self, args, state, control, **kwargs):
        self._started = time.perf_counter()

    def on_save(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            (checkpoint / self.FILE).write_text(json.dumps({"seconds": self.seconds}))


class StopOnNaN(TrainerCallback):
    """A loss that is no number ends the run with a sentence, before it is saved as a result."""

    def on_log(self, args, state, control, logs: dict[str, Any] | None = None, **kwargs):
        for name in ("loss", "eval_loss", "grad_norm"):
            value = (logs or {}).get(name)
            # A gradient that overflows in half precision is skipped by the scaler; that alone is no failure.
            if value is not None and not math.isfinite(value) and not (name == "grad_norm" and args.fp16):
                raise UserError(
                    f"The {name} became {value} at step {state.global_step}: training has diverged. Lower "
                    f"trainer.learning_rate (now {args.learning_rate:g}), raise trainer.warmup_steps, or leave half "
                    "precision."
                )


class Progress(ProgressCallback):
    """The Trainer's bar, with the last loss and validation score at its end in place of printed dictionaries."""

    def __init__(self):
        super().__init__()
        self.shown: dict[str, str] = {}

    def on_log(self, args, state, control, logs: dict[str, Any] | None = None, **kwargs):
        if state.is_world_process_zero and self.training_bar is not None:
            names = {"loss": "loss", "eval_loss": "val loss", "eval_accuracy": "val accuracy"}
            self.shown |= {names[key]: f"{value:.4g}" for key, value in (logs or {}).items() if key in names}
            self.training_bar.set_postfix(self.shown, refresh=False)

    def on_prediction_step(self, args, state, control, eval_dataloader=None, **kwargs):
        """No second bar while the first is there: an evaluation between two steps takes a moment."""
        if self.training_bar is None:
            super().on_prediction_step(args, state, control, eval_dataloader, **kwargs)


class Profile(TrainerCallback):
    """Traces some steps, after three that warm up, into `profile.json` beside the checkpoints (chrome://tracing reads
    it)."""

    def __init__(self, steps: int):
        self.steps = steps
        self.profiler: torch.profiler.profile | None = None

    def on_train_begin(self, args, state, control, **kwargs):
        target = Path(args.output_dir).parent / "profile.json"
        activities = [torch.profiler.ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        self.profiler = torch.profiler.profile(
            activities=activities,
            schedule=torch.profiler.schedule(wait=1, warmup=2, active=self.steps, repeat=1),
            on_trace_ready=lambda profiler: self._write(profiler, target) if state.is_world_process_zero else None,
        )
        self.profiler.start()

    def on_step_end(self, args, state, control, **kwargs):
        self.profiler.step()

    def on_train_end(self, args, state, control, **kwargs):
        self.profiler.stop()

    def _write(self, profiler: torch.profiler.profile, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        profiler.export_chrome_trace(str(target))
        by = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        print(profiler.key_averages().table(sort_by=by, row_limit=15))
