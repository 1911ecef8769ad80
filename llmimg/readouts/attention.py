"""Which token may see which, as transformers' models take it."""

import torch
from transformers import PreTrainedModel


def attention_argument(allowed: torch.Tensor, model: PreTrainedModel) -> torch.Tensor:
    """bool `[B, L, L]` (row sees column) → what a model takes for its `attention_mask` to be just that."""
    if model.config._attn_implementation == "sdpa":
        return allowed[:, None]
    hidden = torch.finfo(model.dtype).min
    return torch.zeros(allowed.shape, dtype=model.dtype, device=allowed.device).masked_fill(~allowed, hidden)[:, None]
