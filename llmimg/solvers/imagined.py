"""What is to be said of a run that writes images, besides what its task measures: whether a classifier recognises what
was drawn, how near that is to training images, and what lossless codecs make of the test images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from llmimg.baselines.base import pixels
from llmimg.baselines.pixels import RbfSvm
from llmimg.data import Data
from llmimg.data.rng import sampled
from llmimg.errors import UserError
from llmimg.metrics.codecs import codec_bits
from llmimg.readouts.base import TextReadout
from llmimg.solvers.base import Outcome
from llmimg.tasks.figures import Bars, Figure, Gallery
from llmimg.textify.pixel import as_rgb
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.image_answers import upper_part
from llmimg.tokens.sample import Example
from llmimg.training.examples import Examples

_TAUGHT = 5000  # training images that the classifier is fitted to, and the nearest is looked for among
_CODED = 2000  # test images that codecs are measured on
_EACH = 3  # images of each class that are shown
_CLASSES = 10  # of which some are shown
_GIVEN = 0.5  # of the height of an image that is completed
_NOTHING = 128  # gray, where nothing is given

Answers = Callable[[Sequence[Example], TextReadout], tuple[Any, np.ndarray]]  # as `ReadoutTrainer.answer`


class Said(NamedTuple):
    """Numbers by the names of metrics.json, figures, and sentences that a reader must know."""

    metrics: dict[str, float]
    figures: list[Figure]
    notes: list[str]


def imagined(
    readout: TextReadout,
    answer: Answers,
    outcome: Outcome,
    data: Data,
    examples: Mapping[str, Examples],
    encoder: Encoder,
    scores: Mapping[str, float],
    seed: int,
) -> Said:
    """All of it; of a task that writes no images, nothing.

    Args:
        answer: gives the outputs of a readout for some examples.
        outcome: of the test split, an image a row.
        scores: the task's metrics.
        seed: of the samples that this is measured on.
    """
    task = readout.task
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
    notes = ["JPEG XL is left out of the codecs: pip install 'llmimg[codecs]'."] if "jxl" not in codecs else []
    if len(examples["test"].numbers) > _CODED:
        notes.append(f"Codecs are measured on {_CODED:,} of the test images.")
    if readout.draws:
        figures += _completed(readout, answer, data, examples["test"], encoder, notes)
    if drawn and len(np.unique(labels["train"])) > 1:
        measured, gallery = _held_against(drawn, task.info.label_names, back, labels, seed)
        metrics, figures = metrics | measured, [gallery, *figures]
    return Said(metrics, figures, notes)


def _held_against(
    drawn: Sequence[tuple[np.ndarray, str]],
    names: Sequence[str],
    back: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    seed: int,
) -> tuple[dict[str, float], Gallery]:
    """What a classifier takes images for that were drawn, and how near they are to training images.

    Args:
        drawn: images, and the classes that they were drawn for.
        back: training and test images as their text gives them back, uint8 `[N, H, W, C]`, of which `labels` are the
            classes.
    """
    images = _stacked([image for image, _ in drawn])
    asked = np.array([names.index(label) for _, label in drawn])
    judge = RbfSvm().estimator(seed).fit(pixels(back["train"]), labels["train"])
    (near, distance), (_, usual) = (_nearest(each, back["train"]) for each in (images, back["test"]))
    measured = {
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
    return measured, gallery


def _completed(
    readout: TextReadout, answer: Answers, data: Data, test: Examples, encoder: Encoder, notes: list[str]
) -> list[Figure]:
    """Some test images of each class, of which the upper half was given, with what the model made of them; a note
    instead where none can be gone on with."""
    labels = np.array(data.test["label"][:])[test.numbers]
    chosen = [index for label in np.unique(labels)[:_CLASSES] for index in np.flatnonzero(labels == label)[:_EACH]]
    images = encoder.decoding.whole(data.test[test.numbers[chosen]]["image"])
    try:
        given = [upper_part(encoder, image, _GIVEN) for image in images]
    except UserError as error:
        notes.append(str(error))
        return []
    begun = [replace(each, begun=tokens) for each, (tokens, _) in zip(test.__getitems__(chosen), given, strict=True)]
    made_of = readout.predictions(answer(begun, readout)[0], [each.row for each in begun])
    shown, captions = [], []
    for image, (_, rows), made in zip(encoder.reconstructions(images) or [], given, made_of, strict=True):
        if made.image is not None:
            upper = image.copy()
            upper[rows:] = _NOTHING
            shown.append(_side_by_side(image, upper, made.image))
            captions.append(made.label)
    meaning = (
        "Each test image as its text gives it back, its upper half that the model was given with its class, and what "
        "it made of that."
    )
    return [Gallery("Halves of images, completed", tuple(shown), tuple(captions), meaning)] if shown else []


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


def _side_by_side(*images: np.ndarray) -> np.ndarray:
    gap = np.full((images[0].shape[0], 1, images[0].shape[2]), 255, np.uint8)
    return np.concatenate([each for image in images for each in (gap, image)][1:], axis=1)
