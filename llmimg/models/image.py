"""Small image models, which see pixels: what a language model on image text is held against."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import AutoModelForImageClassification, PreTrainedModel, ResNetConfig, ViTConfig

from llmimg.hub import new_model
from llmimg.models.settings import ModelSettings
from llmimg.nearest import choose
from llmimg.settings import Positive, build, settings_of


@settings_of("model.options")
class VitOptions:
    """`patch`: pixels a side of what one token stands for."""

    patch: Positive = 2


@settings_of("model.options")
class NoOptions:
    """A ResNet takes `model.layers` (blocks a stage) and `model.width` alone."""


def make_image_model(settings: ModelSettings, shape: Sequence[int], head: Mapping[str, Any]) -> PreTrainedModel:
    """A ResNet (He et al. 2016; two stages of basic blocks) or a ViT (Dosovitskiy et al. 2021) from scratch.

    Args:
        shape: of an image, (H, W, C).
        head: `num_labels`, `id2label`, `label2id`.

    Raises:
        UserError: options that the architecture does not have.
    """
    height, width, channels = shape
    choose(settings.architecture or "", dict.fromkeys(("resnet", "vit")), "image architecture")
    if settings.architecture == "vit":
        patch = build(VitOptions, settings.options).patch
        config = ViTConfig(
            image_size=(-(-height // patch) * patch, -(-width // patch) * patch),
            patch_size=patch,
            num_channels=channels,
            hidden_size=settings.width,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            intermediate_size=4 * settings.width,
            hidden_dropout_prob=settings.dropout,
            attention_probs_dropout_prob=settings.dropout,
            initializer_range=settings.initializer_range,
        )
    else:
        build(NoOptions, settings.options)
        config = ResNetConfig(
            num_channels=channels,
            embedding_size=settings.width,
            hidden_sizes=[settings.width, 2 * settings.width],
            depths=[settings.layers] * 2,
            layer_type="basic",
        )
    config.update(dict(head))
    return new_model(AutoModelForImageClassification, config, dtype=getattr(torch, settings.dtype))
