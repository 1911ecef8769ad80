"""Small image models, which see pixels: what a language model on image text is held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel, ResNetConfig, ViTConfig

from llmimg.data import AugmentSettings, augment, blended, example_seeds, mixing
from llmimg.hub import new_model
from llmimg.models.settings import ModelSettings
from llmimg.settings import build, choose
from llmimg.tasks.base import Task

_RESNET_SIDE = 32  # its stem divides sides by four: smaller images are enlarged by a whole factor


@dataclass(frozen=True)
class VitOptions:
    """`patch`: pixels a side of what one token stands for."""

    patch: int = 2


@dataclass(frozen=True)
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
    choose(settings.architecture, dict.fromkeys(("resnet", "vit")), "image architecture")
    if settings.architecture == "vit":
        patch = build(VitOptions, settings.options, "model.options").patch
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
        build(NoOptions, settings.options, "model.options")
        config = ResNetConfig(
            num_channels=channels,
            embedding_size=settings.width,
            hidden_sizes=[settings.width, 2 * settings.width],
            depths=[settings.layers] * 2,
            layer_type="basic",
        )
    config.update(dict(head))
    return new_model(AutoModelForImageClassification, config, dtype=getattr(torch, settings.dtype))


class Pixels(torch.utils.data.Dataset):
    """One example an image: its pixels, changed afresh in every epoch where `augment` is active, and its annotation.

    Args:
        ids: names of the images.
        images: uint8 `[N, H, W, C]`.
        annotations: column → one value an image.
    """

    def __init__(
        self,
        ids: Sequence[str],
        images: np.ndarray,
        annotations: Mapping[str, np.ndarray],
        change: AugmentSettings | None = None,
        seed: int = 0,
    ):
        self.ids, self.images, self.annotations = ids, images, annotations
        self.change, self.seed = change, seed
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # for loader workers that outlive an epoch

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_count(self) -> int:
        """Images an epoch."""
        return len(self.images)

    def begin_epoch(self, epoch: int) -> None:
        """Called at the start of every epoch (from 0)."""
        self.epoch.fill_(epoch)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        images, examples = self._changed(indices), [self._annotated(index) for index in indices]
        if self.change is not None and self.change.mixup:
            seeds = example_seeds(self.seed, int(self.epoch), indices)
            partners, shares = mixing(self.change.mixup, seeds, len(self))
            images = blended(images, self._changed(partners), shares)
            blends = zip(examples, partners, shares, strict=True)
            examples = [{**each, "blend": (self._annotated(other), share)} for each, other, share in blends]
        return [{"image": image, **example} for image, example in zip(images, examples, strict=True)]

    def _annotated(self, index: int) -> dict[str, Any]:
        return {name: column[index] for name, column in self.annotations.items()}

    def _changed(self, indices: Sequence[int]) -> np.ndarray:
        if self.change is None:
            return self.images[indices]
        return augment(self.images[indices], self.change, example_seeds(self.seed, int(self.epoch), indices))


class PixelCollator:
    """A batch for the model: float pixels from −1 to 1, `[B, C, H, W]`, with the task's targets."""

    def __init__(self, config: PreTrainedConfig, task: Task):
        self.side = _RESNET_SIDE if isinstance(config, ResNetConfig) else 0
        self.patch = getattr(config, "patch_size", 1)
        self.task = task

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        images = np.stack([row["image"] for row in rows])
        height, width = images.shape[1:3]
        factor = max(1, -(-self.side // min(height, width)))
        # A patch at the right or lower edge goes on as the edge does.
        images = np.pad(images, ((0, 0), (0, -height % self.patch), (0, -width % self.patch), (0, 0)), mode="edge")
        images = images.repeat(factor, axis=1).repeat(factor, axis=2)
        pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 127.5 - 1
        targets = {name: torch.from_numpy(array) for name, array in self.task.targets(rows).items()}
        return {"pixel_values": pixels, **targets}
