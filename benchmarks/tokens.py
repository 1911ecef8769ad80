"""Decoded images → token ids on one core: whole batches and look-up beside the listing's loop and the tokenizer."""

from typing import Any

import numpy as np

from benchmarks.inputs import cifar10, decoded, encoder, gpt2_tokenizer
from benchmarks.listing import token_ids
from benchmarks.settings import Settings
from benchmarks.timing import compare, in_turns
from llmimg.errors import UserError
from llmimg.textify import Ragged

# name → (settings, images: as many as the listing does in a second or two).
_TEXTIFIERS = {
    "region_color": ({"grid": 4}, 4000),
    "gray": ({"levels": 256}, 800),
    "rgb": ({"levels": 256}, 300),
}
_BATCH = 1000  # the cache's
_TARGET = {"region_color": 100}


def measure(settings: Settings) -> dict[str, Any]:
    """Images/s of both ways and their ratio, for each textifier.

    Raises:
        UserError: where the ids of the two ways differ.
    """
    images = decoded(cifar10(settings)["train"], max(count for _, count in _TEXTIFIERS.values()))
    result: dict[str, Any] = {"threads": "one core, one thread in BLAS, OpenMP and the tokenizer", "batch": _BATCH}
    for name, (textifier_settings, count) in _TEXTIFIERS.items():
        result[name] = textifier_settings | _measure(name, textifier_settings, images[:count], settings)
        result[name] |= {"target": _TARGET[name]} if name in _TARGET else {}
    return result


def _measure(name: str, textifier_settings: dict[str, int], images: np.ndarray, settings: Settings) -> dict[str, Any]:
    tokenizer = gpt2_tokenizer(settings)
    encode = encoder(tokenizer, name, **textifier_settings)

    def ours() -> list[Ragged]:
        batches = (images[start : start + _BATCH] for start in range(0, len(images), _BATCH))
        return [encode.vocabulary.lookup(encode.textifier.write(batch)) for batch in batches]

    listed = token_ids(images, name, tokenizer)
    if listed != [row.tolist() for batch in ours() for row in batch]:
        raise UserError(f"The token ids of {name} differ from the tokenizer's: times of different work mean nothing.")
    sides = {"ours": ours, "listing": lambda: token_ids(images, name, tokenizer)}
    times = in_turns(sides, settings.rounds or 5, at_least=0.3 if settings.rounds is None else 0.0)
    tokens = sum(map(len, listed)) / len(images)
    return compare(times, "listing", len(images)) | {"tokens_per_image": tokens, "ids_equal": True}
