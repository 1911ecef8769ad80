"""What happens beside the steps of training."""

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback
from transformers.trainer_callback import ExportableState

from llmimg.errors import UserError
from llmimg.training.checkpoint import Manifest


class BeginEpoch(TrainerCallback):
    """Tells the training images which epoch begins. Accelerate's loaders keep that from a data set where batches are
    spread over processes, and where a resumed run skips some."""

    def on_epoch_begin(self, args, state, control, train_dataloader: Any = None, **kwargs):
        train_dataloader.dataset.begin_epoch(int(state.epoch))


class Clock(TrainerCallback, ExportableState):
    """How long a run has trained, over all the times it was interrupted: each checkpoint keeps the seconds until then.

    Attributes:
        seconds: so far, validation and saving included.
        stepping: seconds of training steps alone, with the reading of their batches; from the first step on.
    """

    def __init__(self):
        self.stepping = 0.0
        self._before = 0.0
        self._started = time.perf_counter()
        self._stepping_since: float | None = None

    @property
    def seconds(self) -> float:
        return self._before + time.perf_counter() - self._started

    def on_train_begin(self, args, state, control, **kwargs):
        self._started = time.perf_counter()

    def on_step_begin(self, args, state, control, **kwargs):
        if self._stepping_since is None:
            self._stepping_since = time.perf_counter()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """What is done meanwhile is no training step."""
        running = self._stepping_since is not None
        self.stop()
        yield
        self._stepping_since = time.perf_counter() if running else None

    def stop(self) -> None:
        """No more steps follow."""
        if self._stepping_since is not None:
            if torch.accelerator.is_available():
                torch.accelerator.synchronize()  # steps are queued there
            self.stepping += time.perf_counter() - self._stepping_since
        self._stepping_since = None

    def state(self) -> dict[str, Any]:
        return {"args": {}, "attributes": {"stepping": self.stepping, "_before": self.seconds}}


class RestoreProgress(TrainerCallback):
    """What the Trainer itself forgets of a checkpoint: losses that were not logged yet, and where the best weights are,
    though the run's folder may have been moved."""

    def __init__(self, trainer: Trainer, checkpoint: Path, manifest: Manifest):
        self.trainer, self.checkpoint, self.manifest = trainer, checkpoint, manifest

    def on_train_begin(self, args, state, control, **kwargs):
        self.trainer._tr_loss += self.manifest.loss
        self.trainer._globalstep_last_logged = self.manifest.logged
        if self.manifest.best:
            state.best_model_checkpoint = str(self.checkpoint.with_name(self.manifest.best))


class SaveWhenEvaluated(TrainerCallback):
    """Whoever keeps the best weights saves whenever they are evaluated: else the best that was saved would be taken for
    the best."""

    def on_evaluate(self, args, state, control, **kwargs):
        if args.load_best_model_at_end:
            control.should_save = True


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
        if self.profiler is not None:
            self.profiler.step()

    def on_train_end(self, args, state, control, **kwargs):
        if self.profiler is not None:
            self.profiler.stop()

    def _write(self, profiler: torch.profiler.profile, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        profiler.export_chrome_trace(str(target))
        by = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        print(profiler.key_averages().table(sort_by=by, row_limit=15))
