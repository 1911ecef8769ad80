"""Whether what a run has saved gives the answers that the run was measured by: it is loaded again, as others will, and
asked about some of the test images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForImageClassification, TrainingArguments

from llmimg.hub import load_config, load_weights
from llmimg.readouts.base import Readout
from llmimg.recogniser import Recogniser
from llmimg.tokens.sample import Example
from llmimg.training.examples import Examples

_SAMPLE = 64  # images
# How far answers may differ, of their own size: in float32 on a CPU, and elsewhere; in half precision or fewer bits.
_CPU, _FULL, _HALF = 1e-4, 5e-3, 5e-2

Outputs = Callable[[Sequence[Example]], tuple[np.ndarray, float]]


def check_recogniser(
    folder: Path, images: Examples, expected: np.ndarray, arguments: TrainingArguments, name: str = ""
) -> list[str]:
    """Load a run's recogniser and hold its outputs against those of the run.

    Args:
        folder: where it was saved.
        images: the test split's examples.
        expected: the outputs of the run `[N, …]` for them.
        arguments: say where and in what precision they were made.
        name: which task it is, of a mixture.

    Returns:
        What a reader of the results must know: that some differ.

    Raises:
        RuntimeError: where so many differ that it cannot be the run's.
    """

    def outputs(examples: Sequence[Example]) -> tuple[np.ndarray, float]:
        recogniser = Recogniser.load(folder, str(arguments.device)).of(name)
        near = _cast(recogniser.model, arguments)
        if recogniser.readout.task.by_split:  # what a recogniser holds images against comes with them
            rows = images.known.scored(images.numbers)
            recogniser = recogniser.with_readout(recogniser.readout.of_split(rows))
        return recogniser.readout.compared(recogniser.outputs(examples)), near

    return _check(folder, outputs, images, expected)


def check_image_model(
    folder: Path, readout: Readout, images: Examples, expected: np.ndarray, arguments: TrainingArguments
) -> list[str]:
    """The same for an image model, by its readout."""

    @torch.inference_mode()
    def outputs(examples: Sequence[Example]) -> tuple[np.ndarray, float]:
        config = load_config(str(folder))
        model, _ = load_weights(AutoModelForImageClassification, str(folder), config, use_safetensors=True)
        moved: Any = model
        near = _cast(moved.to(arguments.device).eval(), arguments)
        batch = {name: each.to(model.device, model.dtype) for name, each in readout.batch(examples).items()}
        found: Any = readout.outputs(model, batch)  # a head gives one array
        return found.cpu().numpy(), near

    return _check(folder, outputs, images, expected)


def _cast(model: torch.nn.Module, arguments: TrainingArguments) -> float:
    """Bring a model to the precision that the Trainer was told to evaluate in; how far its answers may then differ."""
    if arguments.fp16_full_eval or arguments.bf16_full_eval:
        model.to(torch.float16 if arguments.fp16_full_eval else torch.bfloat16)
    if getattr(model, "is_quantized", False) or {weight.dtype for weight in model.parameters()} != {torch.float32}:
        return _HALF
    return _CPU if model.device.type == "cpu" else _FULL


def _check(
    folder: Path,
    outputs: Outputs,
    images: Examples,
    expected: np.ndarray,
) -> list[str]:
    some = np.unique(np.linspace(0, len(images) - 1, _SAMPLE).astype(int))
    try:
        found, near = outputs(images.__getitems__(some))
    except torch.OutOfMemoryError:
        return [f"{folder} was not loaded again to be checked: the memory does not hold it twice."]
    expected, given = (np.asarray(each, np.float64).reshape(len(some), -1) for each in (expected[some], found))
    apart = np.abs(expected - given).max(axis=1) / (1 + np.abs(expected).max(axis=1))
    differing = int((~(apart <= near)).sum())
    if not differing:
        return []
    sentence = (
        f"the recogniser that was saved in {folder} gives other answers than the run was measured by, for {differing} "
        f"of {len(some)} test images (by {apart.max():.2g} of their size)"
    )
    if near < _HALF and differing > len(some) / 10:
        raise RuntimeError(f"{sentence[0].upper()}{sentence[1:]}. This is a defect of llmimg; please report it.")
    return [f"BEWARE: {sentence}."]
