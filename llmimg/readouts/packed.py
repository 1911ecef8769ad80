"""Rows that several sequences share, before a model that keeps these apart."""

import torch
from transformers import PreTrainedModel

from llmimg.errors import UserError
from llmimg.readouts.attention import attention_argument, seen
from llmimg.readouts.base import Batch, tensors
from llmimg.readouts.sight import stay_apart
from llmimg.tokens.packing import NOBODY, SHARED, Packed


def packed_batch(packed: Packed) -> Batch:
    """What `as_arguments` takes."""
    return tensors(input_ids=packed.ids, position_ids=packed.positions, owners=packed.owners)


def as_arguments(model: PreTrainedModel, batch: Batch, setting: str) -> Batch:
    """A batch of such rows, of which labels are left out, as a model's arguments.

    Args:
        setting: by which rows are shared.

    Raises:
        UserError: a model that does not keep the sequences of a row apart.
    """
    ids, positions, owners = (batch[name] for name in ("input_ids", "position_ids", "owners"))
    if not _apart(model, ids, positions, owners):
        raise UserError(
            f"The model '{model.config.model_type}' does not keep the sequences of one row apart: leave {setting} out, "
            "so that each has a row of its own."
        )
    given = {name: each for name, each in batch.items() if name != "owners"}
    return {**given, "attention_mask": attention_argument(seen(owners), model)}


def _apart(model: PreTrainedModel, ids: torch.Tensor, positions: torch.Tensor, owners: torch.Tensor) -> bool:
    """Tried with the longest sequence, and behind it as often again what of it is its own as makes a row as wide as
    these: the last of them has the same logits as the first, and as one alone."""
    row, last = divmod(int(positions.masked_fill(owners == NOBODY, -1).argmax()), positions.shape[1])
    common = owners[row] == SHARED
    sequence = ids[row][common | (owners[row] == owners[row, last])]
    shared = int(common.sum())
    own = torch.arange(shared, len(sequence), device=ids.device)
    times = max(-(-(ids.shape[1] - shared) // len(own)), 2)
    position_ids = torch.cat([torch.arange(shared, device=ids.device), own.repeat(times)])
    whose = torch.cat(
        [own.new_full((shared,), SHARED), torch.arange(1, times + 1, device=ids.device).repeat_interleave(len(own))]
    )

    def together() -> torch.Tensor:
        mask = attention_argument(seen(whose[None]), model)
        logits = model(
            input_ids=sequence[position_ids][None],
            position_ids=position_ids[None],
            attention_mask=mask,
            use_cache=False,
        ).logits[0]
        return torch.cat([logits[: len(sequence)], logits[-len(own) :]])

    def alone() -> torch.Tensor:
        logits = model(input_ids=sequence[None], use_cache=False).logits[0]
        return torch.cat([logits, logits[-len(own) :]])

    training = model.training
    # A window shows in long sequences, a bias on distances in wide rows.
    tried = {"sequence": len(sequence), "row": len(position_ids)}
    model.eval()
    try:
        return all(stay_apart(model, length, together, alone, (name, shared > 0)) for name, length in tried.items())
    finally:
        model.train(training)
