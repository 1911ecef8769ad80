"""The Trainer, put together for a task."""

import gc
import logging
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import EarlyStoppingCallback, PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import EvalLoopOutput

from llmimg.tasks import Task
from llmimg.training.callbacks import BeginEpoch, Clock, Profile, Progress, StopOnNaN
from llmimg.training.dataset import Collator

log = logging.getLogger("llmimg")


def stop_early(trainer: dict[str, Any], metric: str) -> dict[str, Any]:
    """The Trainer's settings for ending early: it keeps the best weights, and so saves whenever it evaluates."""
    evaluated = {key: trainer[key] for key in ("eval_strategy", "eval_steps") if key in trainer}
    saved = {key.replace("eval", "save"): value for key, value in evaluated.items()}
    best = {"load_best_model_at_end": True, "metric_for_best_model": metric, "greater_is_better": metric != "loss"}
    return {**trainer, **saved, **best}


class _Trainer(Trainer):
    """One whose evaluations leave training's random numbers as they were, so that a run that goes on from a checkpoint
    written before one draws what it would have drawn."""

    def evaluation_loop(self, *args, **kwargs) -> EvalLoopOutput:
        with torch.random.fork_rng(devices=[]):  # data loaders draw on the CPU
            return super().evaluation_loop(*args, **kwargs)

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        """Of images blended of two the labels are probabilities, which models take for answers to many questions."""
        if not inputs["labels"].is_floating_point():
            return super().compute_loss(model, inputs, return_outputs, **kwargs)
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        loss = torch.nn.functional.cross_entropy(
            outputs.logits, labels, label_smoothing=self.args.label_smoothing_factor
        )
        return (loss, outputs) if return_outputs else loss


def make_trainer(
    model: PreTrainedModel,
    arguments: TrainingArguments,
    collator: Collator,
    task: Task,
    train: Dataset,
    validation: Dataset,
    *,
    patience: int | None = None,
    profile: int = 0,
) -> Trainer:
    """A Trainer that reads image texts, scores by the task, stops on NaN, and shows one bar.

    Args:
        patience: evaluations without a better one before it stops; None never stops early.
        profile: steps to trace.
    """
    trainer = _Trainer(
        model=model,
        args=arguments,
        data_collator=collator,
        train_dataset=train,
        eval_dataset=validation,
        compute_metrics=lambda outcome: task.metrics(outcome.predictions, outcome.label_ids, intervals=False),
        callbacks=[BeginEpoch(), StopOnNaN()],
    )
    trainer.remove_callback(PrinterCallback)
    if trainer.pop_callback(ProgressCallback):
        trainer.add_callback(Progress())
    if patience is not None:
        trainer.add_callback(EarlyStoppingCallback(patience))
    if profile:
        trainer.add_callback(Profile(profile))
    gc.freeze()  # what was imported stays: collections during training need not look through it
    return trainer


def train(trainer: Trainer, checkpoint: Path | None) -> dict[str, float]:
    """Train from the start or from a checkpoint; what that took, by the names of metrics.json."""
    if checkpoint:
        log.info("Going on from %s.", checkpoint)
    clock = Clock(checkpoint)
    trainer.add_callback(clock)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = clock.seconds
    losses = [logged["loss"] for logged in trainer.state.log_history if "loss" in logged]
    return {
        **({"train/loss": losses[-1]} if losses else {}),
        "time/train_seconds": seconds,
        "train/images_per_second": len(trainer.train_dataset) * trainer.state.epoch / seconds,
    }
