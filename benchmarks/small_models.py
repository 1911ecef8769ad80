"""Causal models with random weights, and prompts of random tokens: what answers cost does not hang on what they say."""

from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedModel

from llmimg.models.scratch import ARCHITECTURES, Sizes
from llmimg.models.settings import ModelSettings

_TOKENS, _CONTEXT = 64, 256


@dataclass(frozen=True)
class Shape:
    """Of a GPT-2, how many prompts it is given at once, and how many turns a round is."""

    layers: int
    width: int
    heads: int
    batch: int
    turns: int


SHAPES = {"tiny": Shape(2, 64, 4, 32, 5), "30M": Shape(9, 512, 8, 8, 1)}


def causal(name: str, vocabulary: int) -> PreTrainedModel:
    """One that continues a text."""
    return AutoModelForCausalLM.from_config(_config(name, vocabulary)).eval()


def classifier(name: str, vocabulary: int, classes: int) -> PreTrainedModel:
    """The same with a head for so many classes."""
    config = _config(name, vocabulary)
    config.num_labels = classes
    return AutoModelForSequenceClassification.from_config(config).eval()


def prompts(count: int, tokens: range) -> tuple[torch.Tensor, torch.Tensor]:
    """int64 `[count, 64]` of these tokens, and a mask of ones."""
    ids = torch.randint(tokens.start, tokens.stop, (count, _TOKENS), generator=torch.Generator().manual_seed(0))
    return ids, torch.ones_like(ids)


def _config(name: str, vocabulary: int):
    torch.manual_seed(0)
    shape = SHAPES[name]
    settings = ModelSettings(name=name, architecture="gpt2", layers=shape.layers, width=shape.width, heads=shape.heads)
    return ARCHITECTURES["gpt2"](settings, Sizes(vocabulary, _CONTEXT, 0))
