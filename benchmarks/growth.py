"""How the cost of a preparation grows with the number of images: seconds, bytes on disk, seconds to open it again."""

import tempfile
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from benchmarks.inputs import cifar10, encoder, gpt2_tokenizer
from benchmarks.settings import Settings
from benchmarks.timing import best_seconds
from llmimg.tokens.cache import prepare
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.folders import cache_entries

# Of `settings.images`: 1,000, 4,000, 16,000 and all of the whole set.
_PARTS = (1 / 60, 4 / 60, 16 / 60, 1)


def measure(settings: Settings) -> dict[str, Any]:
    """The costs at four sizes, and what fits them.

    One process, because a pool that starts at some size would be a step in the curve.
    """
    everything = datasets.concatenate_datasets(list(cifar10(settings).values()))
    encode = encoder(gpt2_tokenizer(settings))
    sizes = sorted({max(1, round(len(everything) * part)) for part in _PARTS})
    with tempfile.TemporaryDirectory() as parent:
        points = [_point(everything, size, encode, Path(parent), settings.rounds or 2) for size in sizes]
    costs = ("prepare_seconds", "bytes", "warm_open_seconds")
    return {
        "num_proc": 1,
        "rounds": settings.rounds or 2,
        "points": points,
        "fits": {cost: fit([point["images"] for point in points], [point[cost] for point in points]) for cost in costs},
    }


def fit(sizes: list[int], costs: list[float]) -> dict[str, float]:
    """Cost ≈ fixed + per image · n, by least squares of relative errors, and the slope of log cost over log n from the
    second size on (the first is mostly fixed cost)."""
    n, cost = np.asarray(sizes, float), np.asarray(costs, float)
    fixed, per_image = np.linalg.lstsq(np.stack([1 / cost, n / cost], axis=1), np.ones(len(n)), rcond=None)[0]
    result = {"fixed": float(fixed), "per_image": float(per_image)}
    if len(n) > 2:
        result["exponent"] = round(float(np.polyfit(np.log(n[1:]), np.log(cost[1:]), 1)[0]), 3)
    return result


def _point(everything: datasets.Dataset, size: int, encode: Encoder, parent: Path, rounds: int) -> dict[str, Any]:
    rows = everything.select(range(size))
    folders = [parent / f"{size}-{number}" for number in range(rounds)]
    empty = iter(folders)

    def cold() -> None:
        prepare(rows, encode, "train", folder=next(empty), about={}, num_proc=1)

    def warm() -> None:
        prepare(rows, encode, "train", folder=folders[0], about={}, num_proc=1)

    return {
        "images": size,
        "prepare_seconds": round(best_seconds(cold, rounds), 4),
        "bytes": cache_entries(folders[0])[0].bytes,
        "warm_open_seconds": round(best_seconds(warm, 5), 5),
    }
