"""What the tasks of a mixture learn from, and their outcomes as one."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from llmimg.readouts.base import Learning, Readout
from llmimg.readouts.mixture import Mixed, MixedMasked
from llmimg.readouts.settings import PROMPTED
from llmimg.solvers.base import Outcome
from llmimg.solvers.parts import TaskPart
from llmimg.solvers.text import TextPart
from llmimg.tasks.base import Task
from llmimg.training.mixture import Mixture, Stream

Parts = Mapping[str, TaskPart | TextPart]


def learned_together(task: Any, parts: Parts) -> Learning | None:
    """What a model learns of all tasks; None of one alone, whose readout says it."""
    if "" in parts:
        return None
    readouts = {name: part.readout for name, part in parts.items()}
    kind = Mixed if all(each.causal for each in readouts.values()) else MixedMasked
    return kind(task, readouts)


def evaluated_apart(parts: Parts) -> dict[str, tuple[Readout, Any]]:
    """Of each task of a mixture what takes its answers in training, and from which examples; of one alone nothing."""
    if "" in parts:
        return {}
    return {name: (part.of_split("validation"), part.examples["validation"]) for name, part in parts.items()}


def examples_of_all(task: Any, parts: Parts, seed: int) -> Mixture:
    """What all tasks learn from: a stream for each, but one for all that are asked of the same images at once."""
    streams = []
    for names in _streams(task, parts):
        weights = {name: weight for name in names if (weight := task.settings.parts[name].weight)}
        if weights:
            most = max(weights.values())
            asked = {name: weight / most for name, weight in weights.items()}
            streams.append(Stream(_to_learn([parts[name] for name in asked]), most, asked))
    return Mixture(streams, seed)


def _to_learn(parts: list[Any]) -> Any:
    """The training examples of tasks that share them."""
    first = parts[0]
    if isinstance(first, TextPart):
        return first.examples["train"]
    columns = dict.fromkeys(column for part in parts for column in part.known["train"].columns)
    return first.to_learn(first.rows("train", tuple(columns)))


def _streams(task: Any, parts: Parts) -> list[list[str]]:
    """The names of tasks that share a stream: those that read the same images in a prompt, where they are packed."""
    found: dict[tuple[int, str], list[str]] = {}
    for name, part in parts.items():
        prompted = part.settings.readout_name in PROMPTED and not part.task.writes_images
        reads = task.settings.packed and prompted
        found.setdefault((id(part.settings.data), "" if reads else name), []).append(name)
    return list(found.values())


def as_one(task: Task, outcomes: Mapping[str, Outcome]) -> Outcome:
    """The outcomes of all tasks."""
    if "" in outcomes:
        return outcomes[""]
    predictions, rows = task.joined({name: (each.predictions, each.rows) for name, each in outcomes.items()})
    numbers = np.concatenate([each.numbers for each in outcomes.values()])
    columns = {"tokens": np.concatenate([each.columns["tokens"] for each in outcomes.values()])}
    nothing = [
        np.full((len(each.numbers), 2), np.nan) if each.costs is None else each.costs for each in outcomes.values()
    ]
    return Outcome(numbers, rows, list(predictions), columns, np.concatenate(nothing))


def of_part(metrics: Mapping[str, float], name: str) -> dict[str, float]:
    """Of metrics.json's numbers those of a task, by the names that it has alone: `test/detect/map` is `test/map`."""
    if not name:
        return dict(metrics)
    own = {key: key.partition("/") for key in metrics}
    return {
        f"{split}/{rest.removeprefix(f'{name}/')}": metrics[key]
        for key, (split, _, rest) in own.items()
        if rest.startswith(f"{name}/")
    }


def as_part(key: str, name: str) -> str:
    """The name in metrics.json of a task's number: `test/map` is `test/detect/map` in a mixture."""
    split, _, rest = key.partition("/")
    return f"{split}/{name}/{rest}" if name else key
