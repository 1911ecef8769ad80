"""What a run costs: the text of its images in tokens, and memory."""

import resource
import sys
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import torch

from llmimg.data import SPLITS
from llmimg.tokens.layout import Layout, token_budget
from llmimg.tokens.store import ImageIds
from llmimg.training.examples import Examples


def peak_memory_mb() -> float:
    """The most memory in use so far, in 10⁶ bytes: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6  # bytes there, KiB elsewhere


def data_metrics(ids: Mapping[str, ImageIds], texts: Mapping[str, Examples], layout: Layout) -> dict[str, float]:
    """What the images of all splits cost in tokens, and what of them was truncated."""
    budget = token_budget(np.concatenate([ids[split].lengths[texts[split].numbers] for split in SPLITS]), layout.room)
    counts = {"train_images": texts["train"], "val_images": texts["validation"], "test_images": texts["test"]}
    bits, whole = ids["train"].entropy(), ids["train"].whole
    price = {
        "bits_per_token": bits,
        "bits_per_image": bits * float(ids["train"].lengths[whole].mean()),
        "prepare_images_per_second": len(whole) / max(ids["train"].seconds, 1e-3),
    }
    numbers = asdict(budget) | price | {name: len(split) for name, split in counts.items()}
    return {f"data/{name}": value for name, value in numbers.items()}
