"""The least that trains a model in PyTorch: what any framework's own cost is measured against."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Optimizing:
    """Attributes:
    learning_rate: constant.
    weight_decay: of AdamW.
    max_grad_norm: to which the gradients' norm is cut.
    fused: AdamW in one kernel, as transformers does where it can.
    """

    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    fused: bool = True


def train(model: torch.nn.Module, batches: Iterable[Mapping[str, torch.Tensor]], settings: Optimizing) -> list[float]:
    """One step a batch, in the order given, in the model's own precision.

    Args:
        model: called as `model(**batch)`, its answer has `.loss`.
        batches: what `model` takes: `input_ids` and `attention_mask` int64 `[B, L]`, `labels` int64 `[B]`.

    Returns:
        The loss of each step.
    """
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=settings.fused
    )
    losses = []
    for batch in batches:
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    return torch.stack(losses).tolist() if losses else []
