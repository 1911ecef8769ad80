"""Pretrained models whose linear layers are kept in 8 or 4 bits, by bitsandbytes."""

import importlib.util

import torch
from transformers import AutoModel, BitsAndBytesConfig, PreTrainedConfig, PreTrainedModel

from llmimg.errors import UserError
from llmimg.hub import new_model


def quantisation(
    bits: int, auto_class: type[AutoModel], config: PreTrainedConfig, dtype: torch.dtype
) -> BitsAndBytesConfig:
    """How `from_pretrained` is to read the linear layers of a model; its head stays as it is.

    Args:
        bits: 8 or 4.
        dtype: what is computed in, from 4 bits.

    Raises:
        UserError: where bitsandbytes is missing.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError(f"model.bits={bits} needs the package bitsandbytes: pip install bitsandbytes.")
    with torch.device("meta"):
        model = new_model(auto_class, config)
    head = [name for name, _ in model.named_children() if name != model.base_model_prefix]
    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=head)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=head,
    )


def parameter_counts(model: PreTrainedModel) -> tuple[int, int]:
    """How many weights a model has, and how many of them learn; of a layer that learns as a copy beside adapters, the
    copy alone."""
    weights = [weight for name, weight in model.named_parameters() if ".original_module." not in name]
    # Of weights in 4 bits, two are one stored number; their own shape is kept beside them.
    shapes = [getattr(getattr(weight, "quant_state", None), "shape", weight.shape) for weight in weights]
    sizes = [(shape.numel(), weight.requires_grad) for shape, weight in zip(shapes, weights, strict=True)]
    return sum(size for size, _ in sizes), sum(size for size, learns in sizes if learns)
