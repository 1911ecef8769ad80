"""A Trainer that, interrupted anywhere, goes on as if it had not been."""

import contextlib
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer
from transformers.trainer_utils import rotate_checkpoints

from llmimg.training.callbacks import Clock
from llmimg.training.checkpoint import Manifest
from llmimg.training.ema import EMA
from llmimg.training.resume import Start


class Interruptible(Trainer):
    """Its checkpoints say when they are whole and whether training had ended, and hold what the Trainer itself forgets.

    Attributes:
        ema: of the weights, which checkpoints hold too; None where there is none.
        start: where training began.
        base: fingerprint of the weights that checkpoints do not hold.
        last: norm of the gradient and learning rate of the last step.
    """

    # All that is not known before a Trainer is made, or only of some: its own types say so of each.
    model: Any
    optimizer: Any
    train_dataset: Any

    ema: EMA | None = None
    start: Start = Start()
    base: str = ""
    last: tuple[float | None, float | None] = (None, None)

    @property
    def clock(self) -> Clock:
        return next(each for each in self.callback_handler.callbacks if isinstance(each, Clock))

    def get_train_dataloader(self):
        loader = super().get_train_dataloader()
        if self.args.dataloader_persistent_workers:
            # Workers are started once, or once more after an interruption: that must not move on what is drawn here.
            getattr(loader, "base_dataloader", loader).generator = torch.Generator()
        return loader

    def _run_epoch(self, *args, **kwargs):
        if self.start.ended:
            self.control.should_training_stop = True
        else:
            super()._run_epoch(*args, **kwargs)

    def _finalize_training(self, trial, num_train_samples, start_time):
        known = self.start.manifest
        if known is not None and known.ended:  # what follows the last step, where the run was interrupted before that
            self.control = self.callback_handler.on_epoch_end(self.args, self.state, self.control)
            last = [entry["step"] for entry in self.state.log_history if "eval_loss" in entry][-1:]
            self.control.should_evaluate &= last != [self.state.global_step]
            self.control.should_save = False
            self._maybe_log_save_evaluate(
                self._tr_loss, known.gradient, self.model_wrapped, trial, 0, None, start_time, learning_rate=known.rate
            )
            self._remove_older()
        self.clock.stop()
        with self._removing_none():  # the last one is gone on from until the run is finished
            return super()._finalize_training(trial, num_train_samples, start_time)

    def _maybe_log_save_evaluate(self, tr_loss, grad_norm, *args, learning_rate=None, **kwargs):
        control, self.last = self.control, (grad_norm, learning_rate)
        busy = control.should_log or control.should_save or control.should_evaluate
        with self.clock.paused() if busy else contextlib.nullcontext():
            super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, learning_rate=learning_rate, **kwargs)

    def _save_checkpoint(self, model, trial):
        """Written, completed by what is ours, sealed, and only then are others removed: whenever the run is killed, a
        whole one is there."""
        with self._removing_none():
            super()._save_checkpoint(model, trial)
        loss = float(self.accelerator.gather(self._tr_loss).mean())
        self.accelerator.wait_for_everyone()  # each process writes its random numbers
        if not self.args.should_save:
            return
        best = self.state.best_model_checkpoint
        checkpoint = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        gradient, rate = (None if each is None else float(each) for each in self.last)
        if self.ema:
            self.ema.save(checkpoint)
        Manifest(
            step=self.state.global_step,
            data=self.start.data,
            base=self.base,
            processes=self.args.world_size,
            global_batch=self.get_total_train_batch_size(self.args),
            ended=self.control.should_training_stop,
            resumable=not self.args.save_only_model,
            best=Path(best).name if best and self.args.load_best_model_at_end else None,
            loss=loss,
            logged=self._globalstep_last_logged,
            gradient=gradient,
            rate=rate,
        ).seal(checkpoint)
        self._remove_older()

    @contextlib.contextmanager
    def _removing_none(self):
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            yield
        finally:
            self.args.save_total_limit = limit

    def _remove_older(self):
        if self.args.should_save:
            rotate_checkpoints(str(self.args.output_dir), self.args.save_total_limit, self.state.best_model_checkpoint)
