"""The small GPT-2 of the benchmarks, from scratch, on CIFAR-10 as `region_color` with a vocabulary of its own."""

from pathlib import Path
from typing import Any

import datasets
import torch
from transformers import PreTrainedModel, Trainer, set_seed

from llmimg import textify
from llmimg.data import Decoding
from llmimg.data.rows import Rows
from llmimg.models.language import make_model
from llmimg.models.settings import ModelSettings
from llmimg.readouts.base import READOUTS, TextReadout
from llmimg.readouts.head import label_config
from llmimg.tasks.base import TASKS, Task
from llmimg.tasks.info import DataInfo
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import Layout
from llmimg.tokens.script import Script
from llmimg.tokens.store import ImageIds
from llmimg.tokens.vocabulary import make_vocabulary
from llmimg.training.arguments import make_arguments
from llmimg.training.examples import Examples
from llmimg.training.fit import make_trainer

SEED = 0
BATCH = 64


def own_encoder() -> Encoder:
    """One token a piece: what a model from scratch takes by default."""
    textifier = textify.make("region_color", grid=4)
    return Encoder(Decoding(), textifier, make_vocabulary("own", textifier, None))


def layout_for(encoder: Encoder, ids: ImageIds) -> Layout:
    """As much context as the longest text needs."""
    framing = Layout.of(encoder.vocabulary, 0).framing
    return Layout.of(encoder.vocabulary, int(ids.lengths.max()) + framing)


def classify(split: datasets.Dataset) -> Task:
    """The task that a run has by default."""
    return TASKS["classify"].with_settings(DataInfo(tuple(split.features["label"].names)))


def small_gpt2(encoder: Encoder, layout: Layout, task: Task) -> PreTrainedModel:
    """2 layers, width 64, no dropout, float32; the same weights every time."""
    set_seed(SEED)
    settings = ModelSettings(name="gpt2_tiny", architecture="gpt2", layers=2, width=64, heads=4)
    return make_model(settings, encoder.vocabulary, layout.context, READOUTS["head"].auto_class, label_config(task))


def head(encoder: Encoder, layout: Layout, task: Task) -> TextReadout:
    """A classification head."""
    return READOUTS["head"](task, layout, Script(encoder.vocabulary))


def image_texts(split: datasets.Dataset, ids: ImageIds, task: Task) -> Examples:
    """What the Trainer reads."""
    return Examples(ids, Rows(split, task.columns, Decoding()), torch.arange(len(ids)).numpy())


def our_trainer(
    model: PreTrainedModel,
    texts: Examples,
    readout: TextReadout,
    folder: Path,
    **arguments: Any,
) -> Trainer:
    """A run's own Trainer, without evaluation and checkpoints."""
    quiet = {"eval_strategy": "no", "save_strategy": "no", "disable_tqdm": True, "logging_steps": 1_000_000}
    settings = {"per_device_train_batch_size": BATCH, "optim": "adamw_torch_fused", **quiet, **arguments}
    return make_trainer(model, make_arguments(settings, folder, SEED), readout, texts, texts)
