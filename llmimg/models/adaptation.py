"""What of a model learns: all of it, adapters, its norms and ends, its head, or nothing."""

from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from llmimg.errors import UserError
from llmimg.models.settings import AdaptationSettings


def adapted(model: PreTrainedModel, settings: AdaptationSettings, new_tokens: bool = False) -> PreTrainedModel:
    """The model, of which only what the settings say takes gradients.

    Args:
        new_tokens: whether tokens have embeddings that nobody trained yet, which then learn beside adapters.

    Raises:
        UserError: where the model has nothing of the kind.
    """
    return ADAPTATIONS[settings.name](model, settings, new_tokens)


def merged(model: PreTrainedModel, settings: AdaptationSettings) -> PreTrainedModel:
    """What is to be saved: the model itself, its adapters added to its weights where that was asked for."""
    with_adapters: Any = model
    return with_adapters.merge_and_unload() if settings.name == "lora" and settings.save == "merged" else model


def _full(model: PreTrainedModel, settings: AdaptationSettings, new_tokens: bool) -> PreTrainedModel:
    return model


def _lora(model: PreTrainedModel, settings: AdaptationSettings, new_tokens: bool) -> PreTrainedModel:
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    embeddings, tied = model.get_input_embeddings(), is_tied(model)
    whole = _learned_whole(model, new_tokens)
    backbone = {id(module) for module in model.base_model.modules()}
    linear = [
        name
        for name, module in model.named_modules()
        if id(module) in backbone and isinstance(module, torch.nn.Linear | Conv1D) and name not in whole
    ]
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # pyrefly: ignore[bad-argument-type]  # it is only divided by the rank
        lora_dropout=settings.dropout,
        target_modules=linear,
        modules_to_save=sorted(whole) or None,
        ensure_weight_tying=tied and any(model.get_submodule(name) is embeddings for name in whole),
    )
    if getattr(model, "is_quantized", False):
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    with_adapters: Any = get_peft_model(model, config)  # no PreTrainedModel, and as good as one
    return tied_to_copy(with_adapters, tied)


def tied_to_copy(model: PreTrainedModel, is_tied: bool) -> PreTrainedModel:
    """A model with adapters, whose embeddings may learn as a copy beside the old ones: what writes tokens, where it was
    tied to these, is tied to the copy. Of some architectures peft does so itself."""
    with_adapters: Any = model
    base = with_adapters.get_base_model()
    copies = getattr(base.get_input_embeddings(), "modules_to_save", {})
    writer = base.get_output_embeddings()
    if is_tied and "default" in copies and not hasattr(writer, "modules_to_save"):
        writer.weight = copies["default"].weight
    return model


def is_tied(model: PreTrainedModel) -> bool:
    """Whether a model writes tokens with the embeddings it reads them with."""
    writer = model.get_output_embeddings()
    return writer is not None and writer.weight is model.get_input_embeddings().weight


def _learned_whole(model: PreTrainedModel, new_tokens: bool) -> set[str]:
    """The names of the modules that learn whole beside adapters, and are kept with them: what no checkpoint had, the
    head, and the rows of new tokens. What writes tokens is adapted by what comes before it: a copy of it would be torn
    from the embeddings that it is tied to."""
    embeddings, writer = model.get_input_embeddings(), model.get_output_embeddings()
    writing = {id(weight) for weight in writer.parameters()} if writer is not None else set()
    head = {name for name, weight in _head_parameters(model) if id(weight) not in writing}
    drawn = set(getattr(model, "drawn", ()))
    if new_tokens:
        rows = {id(embeddings.weight), *([id(writer.weight)] if writer is not None else [])}
        drawn |= {name for name, weight in model.named_parameters() if id(weight) in rows}
    return {name.rpartition(".")[0] for name in head | drawn}


def _frozen(model: PreTrainedModel, settings: AdaptationSettings, new_tokens: bool) -> PreTrainedModel:
    ends = {id(weight) for _, weight in _head_parameters(model)}
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding) or "norm" in type(module).__name__.lower():
            ends |= {id(weight) for weight in module.parameters(recurse=False)}
    return _only(model, ends)


def _head(model: PreTrainedModel, settings: AdaptationSettings, new_tokens: bool) -> PreTrainedModel:
    head = {id(weight) for _, weight in _head_parameters(model)}
    if not head:
        raise UserError(
            "adaptation=head needs a model with a head of its own, and this one writes with its embeddings: take "
            "adaptation=frozen or lora, or readout=head."
        )
    return _only(model, head)


def _none(model: PreTrainedModel, settings: AdaptationSettings, new_tokens: bool) -> PreTrainedModel:
    return _only(model, set())


def _only(model: PreTrainedModel, kept: set[int]) -> PreTrainedModel:
    for weight in model.parameters():
        weight.requires_grad_(id(weight) in kept)
    return model


def _head_parameters(model: PreTrainedModel) -> list[tuple[str, torch.nn.Parameter]]:
    """Names and parameters outside the backbone; a head that is tied to the embeddings has none."""
    backbone = {id(weight) for weight in model.base_model.parameters()}
    return [(name, weight) for name, weight in model.named_parameters() if id(weight) not in backbone]


ADAPTATIONS = {"full": _full, "lora": _lora, "frozen": _frozen, "head": _head, "none": _none}
