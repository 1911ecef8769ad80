"""The path of an experiment, for every task and every kind of model: data → solver → predictions → metrics → report."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from llmimg.configuration import Configuration
from llmimg.data import Data, class_counts
from llmimg.data.decoding import decode
from llmimg.data.rows import Rows
from llmimg.provenance import identify, load_data
from llmimg.ranks import is_first_process
from llmimg.report.examples import evenly, make_examples, worst
from llmimg.report.record import Example
from llmimg.report.results import save_results
from llmimg.run_folder import RunFolder
from llmimg.solvers.base import Outcome, Solver, scores, solver_for
from llmimg.tasks.base import Task
from llmimg.tasks.info import DataInfo, training_answers
from llmimg.tasks.measure import Table

log = logging.getLogger("llmimg")

_LOOKED_AT = 64  # training images


def run_experiment(
    settings: Configuration, resolved: Mapping[str, Any], folder: RunFolder, notes: list[str]
) -> dict[str, float]:
    """Carry out one configuration in its folder, or go on with it from its newest checkpoint.

    Args:
        settings: what to do.
        resolved: the same in JSON's types, to be kept in the folder.
        notes: sentences that a reader of the results must know; more are added on the way.

    Returns:
        The content of metrics.json.

    Raises:
        UserError: a user's mistake, wherever it shows.
    """
    kind = solver_for(settings.model.kind)
    kind.check(settings)

    # Data, and what the model gets of them.
    started = time.perf_counter()
    data = load_data(settings, notes)
    task = bound(settings, data)
    for split in kind.splits:
        known = Rows(getattr(data, split), task.columns_of(getattr(data, split).column_names), data.decoding)
        task.check_scored(known.all_scored(np.arange(len(known))), split)
    solver = kind(settings, data, task, notes)
    identity = identify(settings, data, solver.hashes, folder, notes)
    seconds = time.perf_counter() - started
    if is_first_process():
        folder.begin(resolved, settings.force, identity.as_json())
        log.info("\n".join(notes))

    # Fit, and predict: the test split is looked at once, here.
    trained = solver.fit(folder, identity)
    outcomes = {split: solver.predict(split) for split in solver.splits}
    metrics = scores(outcomes, task)
    metrics = {**metrics, **solver.metrics(outcomes, metrics), **trained, "time/prepare_seconds": seconds}

    # Report: what others can load, see and compare.
    solver.save(folder)
    if is_first_process():
        _report(solver, outcomes["test"], metrics, folder)
    return metrics


def bound(settings: Configuration, data: Data) -> Task:
    """The task of a configuration, for these data."""
    kind = settings.task_kind
    info = DataInfo(
        label_names=tuple(data.label_names),
        classes={column: each.names for column, each in data.classes.items()},
        numbers={column: each.numbers for column, each in data.classes.items()},
        counts=class_counts(data, kind.columns),
        answers=training_answers(kind.known_answers(data.train)),
        size=None if data.decoding.size is None else tuple(data.decoding.size),
        channels=_channels(data) if kind.writes_images else 1,
        rows=len(data.train),
    )
    return kind(settings.task_settings).bind(info, settings.textifier)


def _channels(data: Data) -> int:
    """3 where any of the first training images has colour, else 1."""
    images, _ = data.decoding(data.train[:_LOOKED_AT]["image"])
    return max((image.shape[2] for image in images if image is not None), default=1)


def _report(solver: Solver, outcome: Outcome, metrics: Mapping[str, float], folder: RunFolder) -> None:
    """Write what readers of the run get, of the test split's answers."""
    columns = {
        "id": [solver.data.test[int(number)]["id"] for number in outcome.numbers],
        "pixels": [solver.hashes["test"][number] for number in outcome.numbers],
    }
    table = {**columns, **solver.task.table(outcome.predictions, outcome.rows), **outcome.columns}
    if solver.task.exports:
        folder.predictions.mkdir(exist_ok=True)
        solver.task.export(outcome.predictions, outcome.rows, folder.predictions)
    save_results(
        folder,
        solver.task,
        title=solver.title,
        metrics=metrics,
        table=table,
        figures=solver.figures(outcome),
        notes=solver.notes,
        history=solver.history,
        context=solver.context,
        examples=_examples(solver, outcome, table, evenly(len(outcome.numbers))),
        mistakes=_examples(solver, outcome, table, worst(table, solver.task.row_measure.best)),
    )


def _examples(solver: Solver, outcome: Outcome, table: Table, indices: np.ndarray) -> list[Example]:
    """Rows of the test split with what was read of them; drawings lie on the source's image."""
    data, task = solver.data, solver.task
    drawn = []
    for index in indices:
        item, row = data.test[int(outcome.numbers[index])], outcome.rows[index]
        image = decode(item["image"], item["id"], data.decoding.white)
        drawn.append((task.draw(image, task.truth(row)), task.draw(image, outcome.predictions[index])))
    return make_examples(indices, solver.show(outcome, indices.tolist()), table, task.remark, drawn)
