"""Which weights a run has, and in which precision they answer: those that it leaves to others."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel, Trainer

if TYPE_CHECKING:
    from llmimg.training.interruptible import Interruptible

_SAMPLE = 65_536  # of each weight


@contextlib.contextmanager
def own_precision(trainer: Trainer) -> Iterator[None]:
    """While this lasts, a model answers in the precision of its weights, as it will where others load it, though
    training computes in half of it."""
    model: Any = trainer.model
    half = trainer.accelerator.native_amp
    trainer.accelerator.native_amp = False
    casting = model.__dict__.get("forward") if "_original_forward" in model.__dict__ else None
    if casting is not None:
        model.forward = model._original_forward
    try:
        yield
    finally:
        trainer.accelerator.native_amp = half
        if casting is not None:
            model.forward = casting


@contextlib.contextmanager
def unchanged(model: PreTrainedModel) -> Iterator[None]:
    """Whatever weights are cast to meanwhile (trainer.bf16_full_eval), they are afterwards what they were."""
    weights = [(weight, weight.data) for weight in model.parameters()]
    buffers = [(module, dict(module._buffers)) for module in model.modules()]
    try:
        yield
    finally:
        for weight, data in weights:
            weight.data = data
        for module, kept in buffers:
            module._buffers.update(kept)


def share_statistics(trainer: Trainer) -> None:
    """Give all processes the first one's running statistics (of BatchNorm): each counts its own images, and the first
    one's are saved."""
    if trainer.args.world_size > 1:
        for value in trainer.model.buffers() if trainer.model is not None else ():
            if value.is_floating_point() and value.device.type == trainer.args.device.type:
                torch.distributed.broadcast(value, src=0)


def frozen_fingerprint(model: PreTrainedModel) -> str:
    """Of the weights that adapters belong to, which no checkpoint holds, by a sample of each; empty where the model has
    no adapters."""
    if not hasattr(model, "peft_config"):
        return ""
    found = hashlib.sha256()
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            some = weight.data.reshape(-1)[:: -(-weight.numel() // _SAMPLE)].contiguous().cpu()
            found.update(name.encode() + some.view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def notes_of_weights(trainer: "Interruptible", found: Mapping[str, float]) -> list[str]:
    """Which weights a trained run has, where these are not simply the last, and in what they were evaluated; loudly,
    where they do not score on the validation images what they did when they were chosen.

    Args:
        found: what they score on the validation images, by the names of the task's measures.
    """
    args, state = trainer.args, trainer.state
    notes = []
    if half := "bfloat16" if args.bf16_full_eval else "float16" if args.fp16_full_eval else "":
        notes.append(
            f"The test and validation scores are those of weights in {half} (trainer.*_full_eval); those "
            "that were saved have their full precision, and may score a little differently."
        )
    what = "the moving average of its weights (ema)" if trainer.ema else "its weights"
    best_score, measure = state.best_metric, args.metric_for_best_model
    if not (args.load_best_model_at_end and state.best_model_checkpoint) or best_score is None or measure is None:
        return [*notes, f"The run has {what} at its end."] if trainer.ema else notes
    best = Path(state.best_model_checkpoint).name.removeprefix("checkpoint-")
    name = measure.removeprefix("eval_")
    notes.append(f"The run has {what} at step {best} of {state.global_step}, where the validation {name} was best.")
    again = found.get(name)
    if not half and (again is None or abs(again - best_score) > 1e-3 * (1 + abs(best_score))):
        notes.append(f"BEWARE: the validation {name} was {best_score:.6g} there, and is {again} now.")
    return notes
