"""Images/s of training through our path beside a bare PyTorch loop: same model, same batches, same steps.

The bare loop gets its batches as finished tensors; ours reads the cache, lays out and collates. Both run in float32
with the default threads. A Trainer's `train` begins with some tenths of a second of its own, which a short measurement
makes look large: `ratio` counts it, `steady_ratio` takes it off by subtracting the time of a single step on both sides.
"""

import copy
import math
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.bare_loop import Optimizing, train
from benchmarks.inputs import cifar10
from benchmarks.settings import Settings
from benchmarks.small_run import (
    BATCH,
    classify,
    head,
    image_texts,
    layout_for,
    our_trainer,
    own_encoder,
    small_gpt2,
)
from benchmarks.timing import Times, compare, in_turns
from llmimg.errors import UserError
from llmimg.tokens.cache import prepare

_TARGET = 0.95


def measure(settings: Settings) -> dict[str, Any]:
    """Images/s of both and their ratio.

    Raises:
        UserError: where the two do not end at the same mean loss.
    """
    split, encode, optimizing = cifar10(settings)["train"], own_encoder(), Optimizing()
    rounds = settings.rounds or 3
    with tempfile.TemporaryDirectory() as parent:
        ids = prepare(split, encode, "train", folder=Path(parent), about={})
        layout, task = layout_for(encode, ids), classify(split)
        texts, model = image_texts(split, ids, task), small_gpt2(encode, layout, task)
        readout = head(encode, layout, task)
        arguments = {
            "learning_rate": optimizing.learning_rate,
            "weight_decay": optimizing.weight_decay,
            "max_grad_norm": optimizing.max_grad_norm,
            "lr_scheduler_type": "constant",
        }

        def make(steps):
            return our_trainer(copy.deepcopy(model), texts, readout, Path(parent), max_steps=steps, **arguments)

        # Untimed: the batches in the Trainer's order, and proof that both do the same.
        recorded = []
        recording = make(settings.steps)
        recording.data_collator = lambda rows: recorded.append(readout.training_batch(rows)) or recorded[-1]
        ours = recording.train().training_loss
        theirs = train(copy.deepcopy(model), recorded[: settings.steps], optimizing)
        bare = sum(theirs) / len(theirs)
        if not math.isclose(ours, bare, rel_tol=1e-5):
            raise UserError(f"The losses differ ({ours} and {bare}): times of different work mean nothing.")

        def timed(steps: int) -> dict[str, Times]:
            trainers = iter([make(steps) for _ in range(rounds)])
            models = iter([copy.deepcopy(model) for _ in range(rounds)])
            sides = {
                "ours": lambda: next(trainers).train(),
                "bare": lambda: train(next(models), recorded[:steps], optimizing),
            }
            return in_turns(sides, rounds)

        one, all_steps = timed(1), timed(settings.steps)
    start = {name: statistics.median(times.wall) for name, times in one.items()}
    steady = {name: statistics.median(times.wall) - start[name] for name, times in all_steps.items()}
    return compare(all_steps, "bare", settings.steps * BATCH) | {
        "steady_ratio": round(steady["bare"] / steady["ours"], 3),
        "seconds_of_one_step": {name: round(seconds, 4) for name, seconds in start.items()},
        "steps": settings.steps,
        "batch": BATCH,
        "tokens": layout.context,
        "mean_loss": {"ours": ours, "bare": bare},
        "target": _TARGET,
    }
