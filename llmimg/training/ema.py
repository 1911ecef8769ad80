"""An exponential moving average of the weights, which evaluations and the finished model have instead of the last ones
(Polyak and Juditsky 1992; as in Tarvainen and Valpola, NeurIPS 2017)."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, TrainerCallback


class EMA(TrainerCallback):
    """Keeps the average, in float32, of all weights that learn and of the running statistics beside them (of
    BatchNorm), and has it written into each checkpoint.

    Where the best weights are to be kept, the finished model has the average as it was then.

    Args:
        decay: how much of the average stays at each step, below 1. Early steps count more: it is at most
            (1 + step) / (10 + step).
        checkpoint: what training goes on from.
    """

    FILE = "ema.safetensors"

    def __init__(self, decay: float, checkpoint: Path | None):
        self.decay = decay
        self._before = checkpoint
        self._mean: dict[str, torch.Tensor] = {}

    def on_train_begin(self, args, state, control, model: Any = None, **kwargs):
        known = load_file(self._before / self.FILE) if self._before else None
        self._mean = {
            name: (known[name] if known else value.detach()).to(value.device, torch.float32, copy=True)
            for name, value in _averaged(model)
        }

    @torch.no_grad()
    def on_step_end(self, args, state, control, model: Any = None, **kwargs):
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        for name, value in self._current(model):
            self._mean[name].lerp_(value.detach().float(), 1 - decay)

    def save(self, checkpoint: Path) -> None:
        """Write it into a checkpoint."""
        save_file({name: mean.contiguous().cpu() for name, mean in self._mean.items()}, checkpoint / self.FILE)

    def on_train_end(self, args, state, control, model: Any = None, **kwargs):
        if args.load_best_model_at_end and state.best_model_checkpoint:
            self._mean = load_file(Path(state.best_model_checkpoint) / self.FILE)
        self._put(model)
        self._mean = {}  # the model has it now

    @contextlib.contextmanager
    def applied(self, model: PreTrainedModel) -> Iterator[None]:
        """The model has the average while this lasts."""
        kept = [(value, value.detach().clone()) for _, value in self._current(model)]
        self._put(model)
        try:
            yield
        finally:
            with torch.no_grad():
                for value, last in kept:
                    value.copy_(last)

    @torch.no_grad()
    def _put(self, model: PreTrainedModel) -> None:
        for name, value in self._current(model):
            value.copy_(self._mean[name])

    def _current(self, model: PreTrainedModel) -> list[tuple[str, torch.Tensor]]:
        named = itertools.chain(model.named_parameters(), model.named_buffers())
        return [(name, value) for name, value in named if name in self._mean]


def _averaged(model: PreTrainedModel) -> list[tuple[str, torch.Tensor]]:
    """What learns, and what is counted while it does: buffers that are saved, counters left out."""
    saved = model.state_dict().keys()
    learning = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    statistics = [(name, value) for name, value in model.named_buffers() if name in saved and value.is_floating_point()]
    return learning + statistics
