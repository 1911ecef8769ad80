"""What a training step costs on one core, from examples to gradients: several samples of a row behind one text of its
image, beside the same samples in rows of their own, and beside one sample a row.

Quotients are as in `generate`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from benchmarks.settings import Settings
from benchmarks.small_models import SHAPES, causal
from benchmarks.timing import in_turns, quotients
from llmimg.errors import UserError
from llmimg.readouts.generate import Generate
from llmimg.readouts.loss import counts
from llmimg.tasks.detect import Detect
from llmimg.tasks.info import DataInfo
from llmimg.textify import make
from llmimg.tokens.layout import Frame, Layout
from llmimg.tokens.sample import Example
from llmimg.tokens.script import Script, fixed_words
from llmimg.tokens.vocabulary import make_vocabulary

_TOKENS, _SIDE, _MOST = 64, 32, 4  # of an image, pixels of its side, objects in it
_CLASSES = ("circle", "square", "triangle", "cross")
_SAMPLES = 4
_ROUNDS = 3


def measure(settings: Settings) -> dict[str, Any]:
    """Four samples of a row, on each of the models.

    Raises:
        UserError: where packed samples have another loss than in rows of their own.
    """
    rounds = settings.rounds or _ROUNDS
    return {
        "threads": "one core, one thread in BLAS and OpenMP",
        "tokens_of_image": _TOKENS,
        "samples": _SAMPLES,
        **{name: _compared(name, settings.images, rounds) for name in SHAPES},
    }


def _compared(name: str, images: int, rounds: int) -> dict[str, Any]:
    one, packed = (_readout(count) for count in (1, _SAMPLES))
    model = causal(name, len(one.vocabulary.tokenizer)).train()
    examples = _examples(min(SHAPES[name].batch, images))
    every = [replace(each, seed=seed) for each in examples for seed in packed.seeds(each)]
    sides: dict[str, Callable[[], float]] = {
        "packed": lambda: _step(packed, model, examples),
        "apart": lambda: _step(one, model, every),
        "one": lambda: _step(one, model, examples),
    }
    if not np.isclose(sides["packed"](), sides["apart"](), atol=1e-4):
        raise UserError("Packed samples and those in rows of their own have another loss: times mean nothing.")
    times = in_turns(sides, rounds * SHAPES[name].turns)
    over_one = {key: each for key, each in quotients(times, "one").items() if key.startswith("packed")}
    return {"batch": len(examples), **quotients(times, "apart"), **over_one}


def _readout(samples: int) -> Generate:
    info = DataInfo(classes={"objects": _CLASSES})
    task = Detect.with_settings(info, bins=_SIDE, most=_MOST, order="random", samples=samples)
    vocabulary = make_vocabulary("own", make("gray"), None, task.grammar)
    script = Script(vocabulary.with_words(fixed_words(Script(vocabulary), task.prompt({}, None), None)))
    return Generate(task, Layout.of(script.vocabulary, 2 * _TOKENS, frame=Frame()), script)


def _examples(count: int) -> list[Example]:
    """Images with one to four objects."""
    rng = np.random.default_rng(0)

    def example(number: int) -> Example:
        objects = rng.integers(1, _MOST + 1)
        boxes = np.concatenate([rng.integers(_SIDE - 9, size=(objects, 2)), np.full((objects, 2), 9)], axis=1)
        known = {"bbox": boxes.tolist(), "category": rng.integers(len(_CLASSES), size=objects).tolist()}
        row = {"objects": known, "size": (_SIDE, _SIDE), "placement": None, "id": str(number)}
        return Example(rng.integers(5, 20, _TOKENS), row, number, np.uint64(number))

    return [example(number) for number in range(count)]


def _step(readout: Generate, model: PreTrainedModel, examples: Sequence[Example]) -> float:
    """The loss, its gradients made."""
    batch = readout.training_batch(examples)
    (term,), count = readout.terms, counts(readout.terms, [batch])
    labels = batch.pop(term.labels)
    model.zero_grad()
    loss = term.cost(model(**readout.given(model, batch)).logits, labels, count[0])
    loss.backward()
    return float(loss.detach())
