"""Language models: from scratch, from the hub, a local folder, a GGUF file, or another run."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, GgufConfig, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from llmimg.errors import UserError
from llmimg.models.quantised import quantisation
from llmimg.models.scratch import ARCHITECTURES, Sizes
from llmimg.models.settings import ModelSettings
from llmimg.settings import choose
from llmimg.tokens.vocabulary import Vocabulary, mean_embeddings


def context_limit(settings: ModelSettings, causal: bool = False) -> int | None:
    """The longest sequence a pretrained model reads; None from scratch, where the data decide.

    Args:
        causal: whether it is needed as a causal model.

    Raises:
        UserError: where there is no such model, or it sees what comes after, and must not.
    """
    config = _pretrained_config(settings).get_text_config() if settings.pretrained else None
    if causal and (config.model_type if config else settings.architecture) in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        raise UserError(
            f"The model '{settings.path or settings.architecture}' sees what comes after a token, and this task and "
            "readout need a causal one: take model=gpt2_tiny or another decoder, or readout=head."
        )
    if config is None:
        return None
    positions = getattr(config, "max_position_embeddings", None)
    # RoBERTa and its kin count positions from behind the padding token's id.
    offset = config.pad_token_id + 1 if "roberta" in config.model_type or config.model_type == "camembert" else 0
    return positions and positions - offset


def make_model(
    settings: ModelSettings,
    vocabulary: Vocabulary,
    context: int,
    auto_class: type[AutoModel],
    head: Mapping[str, Any],
) -> PreTrainedModel:
    """The model, with embeddings for every token of the vocabulary and its padding token set.

    Args:
        context: the longest sequence, framing included; from scratch, so many positions.
        auto_class: the transformers class that gives the model its head.
        head: what that head needs in the configuration (`num_labels`, …).

    Raises:
        UserError: where there is no such model, or its architecture has no such head.
    """
    pad = vocabulary.tokenizer.pad_token_id
    try:
        if settings.pretrained:
            model = _pretrained(settings, auto_class, {**head, "pad_token_id": pad})
            _fit_embeddings(model, vocabulary)
        else:
            sizes = Sizes(vocabulary=len(vocabulary.tokenizer), context=context, pad=pad)
            config = choose(settings.architecture, ARCHITECTURES, "model architecture")(settings, sizes)
            config.update(dict(head))
            model = auto_class.from_config(config, dtype=getattr(torch, settings.dtype))
    except ValueError as error:
        if "Unrecognized configuration class" not in str(error):
            raise
        raise UserError(
            f"transformers knows no {auto_class.__name__.removeprefix('AutoModelFor')} head for the model "
            f"'{settings.path or settings.architecture}': choose another model or readout."
        ) from error
    model.config.pad_token_id = pad
    return model


def _pretrained(settings: ModelSettings, auto_class: type[AutoModel], overrides: Mapping[str, Any]) -> PreTrainedModel:
    path, gguf_file = settings.location
    config = _pretrained_config(settings)
    classes = config.num_labels
    config.update(dict(overrides))
    # The checkpoint's own dtype would be taken otherwise; mixed precision wants float32 weights.
    dtype = getattr(torch, settings.dtype)
    how = {}
    if gguf_file:  # its weights are to learn: unpacked, as those of any other model
        how = {"gguf_file": gguf_file, "quantization_config": GgufConfig(dequantize=True)}
    elif settings.bits:
        how = {"quantization_config": quantisation(settings.bits, auto_class, config, dtype)}
    if settings.init == "random":
        return auto_class.from_config(config, dtype=dtype)
    try:
        model = auto_class.from_pretrained(
            path, revision=settings.revision or "main", config=config, dtype=dtype, **how
        )
        return _shuffled(model) if settings.init == "shuffled" else model
    except (OSError, SafetensorError) as error:
        raise UserError(_missing(path, "weights", error)) from error
    except RuntimeError as error:
        if "ignore_mismatched_sizes" not in str(error):
            raise
        raise UserError(
            f"The model '{path}' has a head for {classes} classes, and the data have {config.num_labels}: give "
            "model.path= a model of the same classes, or one without a head."
        ) from error


@torch.no_grad()
def _shuffled(model: PreTrainedModel) -> PreTrainedModel:
    """With the values of each tensor in another order: what was learned is gone, how large weights are is not."""
    for weight in model.parameters():
        weight.copy_(weight.flatten()[torch.randperm(weight.numel(), device=weight.device)].view_as(weight))
    return model


def origin(settings: ModelSettings) -> dict[str, Any]:
    """What a model's weights started from, in JSON's types; of a run, also what that one started from."""
    before = Path(settings.location[0] or "") / "recogniser.json"
    told = json.loads(before.read_text(encoding="utf-8")) if settings.path and before.is_file() else {}
    start = {"model": settings.name, "path": settings.path, "init": settings.init}
    return {**start, **({"before": told["origin"]} if "origin" in told else {})}


def _pretrained_config(settings: ModelSettings) -> PreTrainedConfig:
    path, gguf_file = settings.location
    extra = {"gguf_file": gguf_file} if gguf_file else {}
    try:
        return AutoConfig.from_pretrained(path, revision=settings.revision or "main", **extra)
    except (OSError, ValueError) as error:
        raise UserError(_missing(path, "configuration", error)) from error
    except ImportError as error:
        raise UserError(f"A GGUF file needs the package gguf: pip install gguf ({error}).") from error


def _missing(path: str, what: str, error: Exception) -> str:
    if Path(path).is_dir():
        return f"The folder '{path}' holds no model {what} that transformers can read: give model.path= a whole model."
    offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
    return (
        f"The model '{path}' is no local folder, and the hub has no answer for it{offline}: check the name and the "
        "network, or give model.path= a local folder, or choose a model from scratch (model=gpt2_tiny)."
    )


def _fit_embeddings(model: PreTrainedModel, vocabulary: Vocabulary) -> None:
    """Give added pieces the mean embedding of the tokens they replace; give a vocabulary of pieces embeddings of its
    own."""
    size = len(vocabulary.tokenizer)
    if vocabulary.name in ("own", "learn"):
        spread = float(model.get_input_embeddings().weight.detach().std())
        model.resize_token_embeddings(size, mean_resizing=False)
        with torch.no_grad():
            model.get_input_embeddings().weight.normal_(0, spread)
    elif vocabulary.replaced:
        old = model.get_input_embeddings().weight.detach().float().numpy()
        model.resize_token_embeddings(max(size, len(old)), mean_resizing=False)
        weight = model.get_input_embeddings().weight
        with torch.no_grad():
            means = torch.from_numpy(mean_embeddings(old, vocabulary.replaced))
            weight[list(vocabulary.replaced)] = means.to(weight)
    elif size > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(size)
