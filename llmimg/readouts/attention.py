"""Which token may see which, as transformers' models take it."""

import torch
from transformers import PreTrainedModel

from llmimg.tokens.packing import SHARED


def attention_argument(allowed: torch.Tensor, model: PreTrainedModel) -> torch.Tensor:
    """bool `[B, L, L]` (row sees column) → what a model takes for its `attention_mask` to be just that."""
    if model.config._attn_implementation == "sdpa":
        return allowed[:, None]
    hidden = torch.finfo(model.dtype).min
    return torch.zeros(allowed.shape, dtype=model.dtype, device=allowed.device).masked_fill(~allowed, hidden)[:, None]


def seen(owners: torch.Tensor) -> torch.Tensor:
    """Owners int64 `[B, L]` (`llmimg.tokens.packing`) → what each token sees, bool `[B, L, L]`: of what stands before
    it, what is shared and what is its own sequence's."""
    column, row = owners[:, None, :], owners[:, :, None]
    return ((column == row) | (column == SHARED)).tril()
