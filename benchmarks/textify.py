"""Decoded images → pieces on one core, for every textifier, as its settings are by default."""

import time
from statistics import median
from typing import Any

from benchmarks.inputs import cifar10, decoded
from benchmarks.settings import Settings
from llmimg.errors import UserError
from llmimg.textify import TEXTIFIERS, make

# What a step of GPT-2 small reads at 144 tokens an image on one H100, images/s (an estimate): a cold core that writes
# fewer keeps it waiting, unless the text is cached or several processes write.
_EATEN = 2800
_BATCH = 1000
_SECONDS = 1.0


def measure(settings: Settings) -> dict[str, Any]:
    """Images/s and pieces an image of each textifier, and those that write fewer than a GPU can read."""
    images = decoded(cifar10(settings)["train"], 2 * _BATCH)
    training, images = list(images[:_BATCH]), images[_BATCH:]
    result: dict[str, dict[str, Any]] = {}
    for name in TEXTIFIERS.entries():
        textifier = make(name)
        if name == "region_objects":
            result[name] = {"not measured": "what it costs is its model's affair"}
            continue
        try:
            textifier = textifier.with_state(textifier.learn(training)) if textifier.is_learned else textifier
            textifier.write(images[:10])
        except UserError as error:
            result[name] = {"not measured": str(error)}
            continue
        few = images[:100] if _rate(textifier, images[:20]) < 1000 else images
        textifier.write(few)  # a palette meets its colours
        rates = [_rate(textifier, few) for _ in range(settings.rounds or 5)]
        pieces = float(textifier.write(few).lengths.mean())
        result[name] = {"images_per_second": round(median(rates)), "pieces_per_image": round(pieces, 1)}
    rates = {name: each["images_per_second"] for name, each in result.items() if "images_per_second" in each}
    result |= {"threads": "one core", "batch": _BATCH}
    return result | {f"below_{_EATEN}_a_second": [name for name, rate in rates.items() if rate < _EATEN]}


def _rate(textifier, images) -> float:
    started, rounds = time.perf_counter(), 0
    while (passed := time.perf_counter() - started) < _SECONDS / 4 or not rounds:
        textifier.write(images)
        rounds += 1
    return rounds * len(images) / passed
