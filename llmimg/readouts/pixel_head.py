"""The answer from the head of an image model, which sees pixels: what language models are held against."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedConfig, PreTrainedModel, ResNetConfig

from llmimg.readouts.base import Batch, Readout, tensors
from llmimg.readouts.head import class_targets, class_terms
from llmimg.readouts.loss import Term
from llmimg.tasks.base import Task
from llmimg.tokens.sample import Example

_RESNET_SIDE = 32  # its stem divides sides by four: smaller images are enlarged by a whole factor


class PixelHead(Readout):
    """Logits `[B, K]`, of float pixels from −1 to 1, `[B, C, H, W]`."""

    def __init__(self, task: Task, config: PreTrainedConfig):
        super().__init__(task)
        self.side = _RESNET_SIDE if isinstance(config, ResNetConfig) else 0
        self.patch = getattr(config, "patch_size", 1)

    @property
    def terms(self) -> tuple[Term, ...]:
        return class_terms(self.task)

    def training_batch(self, examples: Sequence[Example]) -> Batch:
        return {**self.batch(examples), **tensors(labels=class_targets(self.task, examples))}

    def batch(self, examples: Sequence[Example]) -> Batch:
        images = np.stack([example.image for example in examples])
        height, width = images.shape[1:3]
        factor = max(1, -(-self.side // min(height, width)))
        # A patch at the right or lower edge goes on as the edge does.
        images = np.pad(images, ((0, 0), (0, -height % self.patch), (0, -width % self.patch), (0, 0)), mode="edge")
        images = images.repeat(factor, axis=1).repeat(factor, axis=2)
        return {"pixel_values": tensors(pixels=images.transpose(0, 3, 1, 2))["pixels"].float() / 127.5 - 1}

    def outputs(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        return model(**batch).logits.float()
