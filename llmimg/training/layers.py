"""Lower layers learn more slowly: layer-wise decay of the learning rate (Clark et al., ELECTRA, ICLR 2020)."""

import re
from typing import Any

import torch
from transformers import PreTrainedModel

# How architectures name their stack: h.3, layer.3, layers.3, blocks.3.
_LAYER = re.compile(r"(?:^|\.)(?:h|layers?|blocks?)\.(\d+)\.")


def depths(model: PreTrainedModel) -> dict[str, int]:
    """Each parameter's height in the stack: 0 for embeddings, 1 to L for layers, L + 1 for what stands above them."""
    embeddings = {
        id(weight)
        for module in model.modules()
        if isinstance(module, torch.nn.Embedding)
        for weight in module.parameters(recurse=False)
    }
    found = {name: _LAYER.search(name) for name, _ in model.named_parameters()}
    top = 1 + max((int(match[1]) + 1 for match in found.values() if match), default=0)
    return {
        name: int(found[name][1]) + 1 if found[name] else 0 if id(weight) in embeddings or "embed" in name else top
        for name, weight in model.named_parameters()
    }


def by_layer(groups: list[dict[str, Any]], model: PreTrainedModel, decay: float) -> list[dict[str, Any]]:
    """An optimiser's parameter groups, each taken apart by height, with the learning rate times `decay` for each step
    down from the top."""
    heights = depths(model)
    top = max(heights.values())
    of = {id(weight): heights[name] for name, weight in model.named_parameters()}
    apart = []
    for group in groups:
        for height in sorted({of[id(weight)] for weight in group["params"]}):
            members = [weight for weight in group["params"] if of[id(weight)] == height]
            apart.append({**group, "params": members, "lr": group["lr"] * decay ** (top - height)})
    return apart
