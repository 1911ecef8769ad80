"""The path of an experiment, for every task and every kind of model: data → solver → predictions → metrics → report."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from llmimg.bound import bound
from llmimg.configuration import Configuration
from llmimg.data import Data
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
from llmimg.tasks.measure import Table

log = logging.getLogger("llmimg")


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
    for name, asked in task.asked.items():
        _check_scored(asked, data.of(name), kind.splits)
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


def _check_scored(task: Task, data: Data, splits: Sequence[str]) -> None:
    """Refuse splits in which there is nothing to score."""
    for split in splits:
        rows = getattr(data, split)
        known = Rows(rows, task.columns_of(rows.column_names), data.decoding)
        task.check_scored(known.all_scored(np.arange(len(known))), split)


def _report(solver: Solver, outcome: Outcome, metrics: Mapping[str, float], folder: RunFolder) -> None:
    """Write what readers of the run get, of the test split's answers."""
    columns = {"id": [row["id"] for row in outcome.rows], "pixels": solver.image_hashes(outcome)}
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
    task, drawn = solver.task, []
    for index in indices:
        row = outcome.rows[index]
        data = solver.data.of(task.part_of(row))
        item = data.test[int(outcome.numbers[index])]
        image = decode(item["image"], item["id"], data.decoding.white)
        drawn.append((task.draw(image, task.truth(row)), task.draw(image, outcome.predictions[index])))
    return make_examples(indices, solver.show(outcome, indices.tolist()), table, task.remark, drawn)
