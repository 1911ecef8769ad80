"""An exponential moving average of the weights, which evaluations and the finished model have in place of the last ones
(Polyak and Juditsky 1992; as in Tarvainen and Valpola, NeurIPS 2017)."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, TrainerCallback


class Average(TrainerCallback):
    """Keeps the average, beside each checkpoint too, so that a resumed run goes on with it.

    Args:
        decay: how much of the average stays at each step, below 1. Early steps count more: it is at most
            (1 + step) / (10 + step).
        checkpoint: what training goes on from.
    """

    FILE = "average.safetensors"

    def __init__(self, decay: float, checkpoint: Path | None):
        self.decay = decay
        self._before = checkpoint and checkpoint / self.FILE
        self._mean: dict[str, torch.Tensor] = {}

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        known = load_file(self._before) if self._before and self._before.is_file() else {}
        self._mean = {
            name: known[name].to(weight.device) if name in known else weight.detach().clone()
            for name, weight in _learning(model)
        }

    @torch.no_grad()
    def on_step_end(self, args, state, control, model=None, **kwargs):
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        for name, weight in _learning(model):
            self._mean[name].lerp_(weight.detach(), 1 - decay)

    def on_save(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            save_file({name: mean.contiguous().cpu() for name, mean in self._mean.items()}, checkpoint / self.FILE)

    def on_train_end(self, args, state, control, model=None, **kwargs):
        self._exchange(model)
        self._mean = {}  # the model has it now

    @contextlib.contextmanager
    def applied(self, model: PreTrainedModel) -> Iterator[None]:
        """The model has the average while this lasts."""
        self._exchange(model)
        try:
            yield
        finally:
            self._exchange(model)

    @torch.no_grad()
    def _exchange(self, model: PreTrainedModel) -> None:
        for name, weight in _learning(model):
            if name in self._mean:
                kept = weight.detach().clone()
                weight.copy_(self._mean[name])
                self._mean[name] = kept


def _learning(model: PreTrainedModel) -> list[tuple[str, torch.nn.Parameter]]:
    whole = getattr(model, "module", model)  # of DistributedDataParallel
    return [(name, weight) for name, weight in whole.named_parameters() if weight.requires_grad]
