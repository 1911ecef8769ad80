"""Lower layers learn more slowly: layer-wise decay of the learning rate (Clark et al., ELECTRA, ICLR 2020)."""

import re
from typing import Any

import torch
from transformers import PreTrainedModel

from llmimg.errors import UserError

# How architectures name their stack: h.3, layer.3, layers.3, blocks.3; in stages: stages.1.layers.3, layers.1.blocks.3,
# blocks.1.3; XLM has a stack of each part of its layers.
_LAYER = re.compile(
    r"(?:^|\.)(?:stages?\.(\d+)\.(?:(?:layers?|blocks?)\.(\d+)\.)?"
    r"|layers?\.(\d+)\.(?:blocks?\.(\d+)\.)?"
    r"|(?:h|blocks?)\.(\d+)\.(?:(\d+)\.)?"
    r"|(?:attentions|ffns|layer_norm[12])\.(\d+)\.)"
)


def depths(model: PreTrainedModel) -> dict[str, int]:
    """Each parameter's height in the stack: 0 for embeddings, 1 to L for layers, through all stages, and L + 1 for what
    stands above them."""
    embeddings = {
        id(weight)
        for module in model.modules()
        if isinstance(module, torch.nn.Embedding)
        for weight in module.parameters(recurse=False)
    }
    layers = {name: _layer(name) for name, _ in model.named_parameters()}
    known = sorted({layer for layer in layers.values() if layer is not None})
    heights = {layer: height for height, layer in enumerate(known, start=1)}
    top = 1 + len(heights)
    return {
        name: heights[layer] if layer else 0 if id(weight) in embeddings or "embed" in name else top
        for (name, weight), layer in zip(model.named_parameters(), layers.values(), strict=True)
    }


def _layer(name: str) -> tuple[int, int] | None:
    """Stage and layer of a parameter, or layer and 0; what a stage has besides its layers stands with its first."""
    found = _LAYER.search(name)
    numbers = [int(number) for number in found.groups() if number is not None] if found else []
    return (numbers[0], numbers[1] if len(numbers) > 1 else 0) if numbers else None


def by_layer(groups: list[dict[str, Any]], model: PreTrainedModel, decay: float) -> list[dict[str, Any]]:
    """An optimiser's parameter groups, each taken apart by height, with the learning rate times `decay` for each step
    down from the top; the top's first.

    Raises:
        UserError: where no layers are found.
    """
    heights = depths(model)
    top = max(heights.values())
    if top < 2:
        raise UserError(
            f"layer_decay={decay:g} finds no layers to tell apart in the model '{model.config.model_type}': leave it "
            "out."
        )
    of = {id(weight): heights[name] for name, weight in model.named_parameters()}
    apart = []
    for group in groups:
        for height in sorted({of[id(weight)] for weight in group["params"]}, reverse=True):
            members = [weight for weight in group["params"] if of[id(weight)] == height]
            apart.append({**group, "params": members, "lr": group["lr"] * decay ** (top - height)})
    return apart
