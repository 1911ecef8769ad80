"""What is to be said of a run that writes images, besides what its task measures: whether a classifier recognises what
was drawn, how near that is to training images, and what lossless codecs make of the test images."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from llmimg.baselines.base import pixels
from llmimg.baselines.pixels import RbfSvm
from llmimg.data import Data
from llmimg.data.rng import sampled
from llmimg.metrics.codecs import codec_bits
from llmimg.solvers.base import Outcome
from llmimg.tasks.base import Task
from llmimg.tasks.figures import Bars, Figure, Gallery
from llmimg.textify.pixel import as_rgb
from llmimg.tokens.encoder import Encoder
from llmimg.training.examples import Examples

_TAUGHT = 5000  # training images that the classifier is fitted to, and the nearest is looked for among
_CODED = 2000  # test images that codecs are measured on
_EACH = 3  # images of each class that are shown
_CLASSES = 10  # of which some are shown


class Said(NamedTuple):
    """Numbers by the names of metrics.json, figures, and sentences that a reader must know."""

    metrics: dict[str, float]
    figures: list[Figure]
    notes: list[str]


def imagined(
    task: Task,
    outcome: Outcome,
    data: Data,
    examples: dict[str, Examples],
    encoder: Encoder,
    scores: Mapping[str, float],
    seed: int,
) -> Said:
    """All of it; of a task that writes no images, nothing.

    Args:
        outcome: of the test split, an image a row.
        scores: the task's metrics.
        seed: of the samples that this is measured on.
    """
    if not task.writes_images:
        return Said({}, [], [])
    known = {
        split: sampled(examples[split].numbers, most, seed) for split, most in (("train", _TAUGHT), ("test", _CODED))
    }
    true = {split: encoder.decoding.whole(getattr(data, split)[rows]["image"]) for split, rows in known.items()}
    labels = {split: np.array(getattr(data, split)[rows]["label"]) for split, rows in known.items()}
    back = {split: _stacked(encoder.reconstructions(images) or []) for split, images in true.items()}
    drawn = [(each.image, each.label) for each in outcome.predictions if each.image is not None]
    codecs = codec_bits([_channels(image, task.info.channels) for image in true["test"]])
    metrics = {
        f"data/{name}{where}_bits_per_dim": value
        for name, both in codecs.items()
        for where, value in zip(("", "_in_one_file"), both, strict=True)
    }
    figures: list[Figure] = [_beside_codecs(codecs, scores["test/bits_per_dim"])]
    notes = ["JPEG XL is left out of the codecs: pip install pillow-jxl-plugin."] if "jxl" not in codecs else []
    if len(examples["test"].numbers) > _CODED:
        notes.append(f"Codecs are measured on {_CODED:,} of the test images.")
    if not drawn or len(np.unique(labels["train"])) < 2:
        return Said(metrics, figures, notes)
    images, names = _stacked([image for image, _ in drawn]), task.info.label_names
    asked = np.array([names.index(label) for _, label in drawn])
    judge = RbfSvm().estimator(seed).fit(pixels(back["train"]), labels["train"])
    (near, distance), (_, usual) = (_nearest(each, back["train"]) for each in (images, back["test"]))
    metrics |= {
        "test/recognised": float(np.mean(judge.predict(pixels(images)) == asked)),
        "test/recognised_true": float(np.mean(judge.predict(pixels(back["test"])) == labels["test"])),
        "test/images_drawn": len(drawn),
        "test/nearest_distance": float(np.median(distance)),
        "test/nearest_distance_true": float(np.median(usual)),
    }
    shown = [
        index for label in range(min(len(names), _CLASSES)) for index in np.flatnonzero(asked == label)[:_EACH].tolist()
    ]
    gallery = Gallery(
        "Images that the model wrote",
        tuple(_side_by_side(images[index], back["train"][near[index]]) for index in shown),
        tuple(f"{names[asked[index]]}, {distance[index]:.1f} away" for index in shown),
        "Each beside the training image that is nearest to it, with the root mean square of what differs (values 0 to "
        f"255); true test images are {np.median(usual):.1f} away in the median.",
    )
    return Said(metrics, [gallery, *figures], notes)


def _beside_codecs(codecs: dict[str, tuple[float, float]], bits_per_dim: float) -> Bars:
    alone, together = (np.array([each[side] for each in codecs.values()]) for side in (0, 1))
    return Bars(
        "Bits a dimension, beside lossless codecs",
        ("this model", *codecs),
        {
            "each image by itself": np.append([bits_per_dim], alone),
            "all in one file": np.append([np.nan], together),
        },
        {},
        "Of the test images. Codecs keep all of an image; the model's are those of its text.",
    )


def _stacked(images: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack(images)


def _channels(image: np.ndarray, channels: int) -> np.ndarray:
    return as_rgb(image[None])[0] if channels == 3 else image


def _nearest(images: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The index of the nearest of others to each image, int64 `[N]`, and the root mean square of their difference."""
    flat, known = (each.reshape(len(each), -1).astype(np.float64) for each in (images, others))
    squares = (flat**2).sum(axis=1)[:, None] + (known**2).sum(axis=1) - 2 * flat @ known.T
    nearest = squares.argmin(axis=1)
    least = squares[np.arange(len(flat)), nearest]
    return nearest, np.sqrt(np.maximum(least, 0) / flat.shape[1])


def _side_by_side(image: np.ndarray, other: np.ndarray) -> np.ndarray:
    gap = np.full((image.shape[0], 1, image.shape[2]), 255, np.uint8)
    return np.concatenate([image, gap, other], axis=1)
