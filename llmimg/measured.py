"""What a run's text costs, and how much of the images it holds: the numbers under `data/`."""

import resource
import sys
from collections.abc import Mapping
from dataclasses import asdict

import datasets
import numpy as np
import torch

from llmimg.data import SPLITS, Data
from llmimg.metrics.image import psnr_db, residual_bits, ssim
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import Layout, token_budget
from llmimg.tokens.store import ImageIds
from llmimg.training.dataset import ImageTexts

WAY_BACK_SAMPLE = 500  # images from which the way back is measured


def peak_memory_mb() -> float:
    """The most memory in use so far, in 10⁶ bytes: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6  # bytes there, KiB elsewhere


def data_metrics(ids: Mapping[str, ImageIds], texts: Mapping[str, ImageTexts], layout: Layout) -> dict[str, float]:
    """What the images of all splits cost in tokens, and what of them was cut off."""
    budget = token_budget(np.concatenate([ids[split].lengths[texts[split].rows] for split in SPLITS]), layout.room)
    counts = {"train_images": texts["train"], "val_images": texts["validation"], "test_images": texts["test"]}
    bits = ids["train"].entropy()
    price = {
        "bits_per_token": bits,
        "bits_per_image": bits * float(ids["train"].lengths.mean()),
        "prepare_images_per_second": len(ids["train"]) / max(ids["train"].seconds, 1e-3),
    }
    numbers = asdict(budget) | price | {name: len(split) for name, split in counts.items()}
    return {f"data/{name}": value for name, value in numbers.items()}


def way_back_metrics(
    encoder: Encoder, data: Data, texts: Mapping[str, ImageTexts], bits_per_image: float | None
) -> dict[str, float]:
    """How much of the test images their text holds, where it has a way back.

    Args:
        bits_per_image: what a model finds the text's information to be, which bits a dimension follow from: of the
            text, and of what it lost, whose code is made from training images.
    """
    images = _images(encoder, data.test, texts["test"])
    back = encoder.way_back(images)
    if not back:
        return {}
    similarity = ssim(images, back)
    metrics = {"data/psnr_db": psnr_db(images, back), **({} if similarity is None else {"data/ssim": similarity})}
    if bits_per_image is None:
        return metrics
    known = _images(encoder, data.train, texts["train"])
    errors = [
        [image.astype(np.int16) - other for image, other in zip(some, given, strict=True)]
        for some, given in ((known, encoder.way_back(known)), (images, back))
    ]
    lost = residual_bits(*errors)
    dimensions = float(np.mean([image.size for image in images]))
    return {
        **metrics,
        "test/bits_per_dim": (bits_per_image + lost) / dimensions,
        "data/lost_bits_per_dim": lost / dimensions,
    }


def _images(encoder: Encoder, split: datasets.Dataset, texts: ImageTexts) -> list[np.ndarray]:
    return encoder.decoding(split[texts.rows[:WAY_BACK_SAMPLE]]["image"])[0]
