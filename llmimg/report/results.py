"""What a finished run leaves for its readers: predictions, the record and its page, and last of all the numbers."""

from collections.abc import Mapping, Sequence

from llmimg.report.archive import lengths_of, save_predictions, save_record
from llmimg.report.page import render
from llmimg.report.record import Example, RunRecord
from llmimg.run_folder import RunFolder, write_text
from llmimg.tasks.base import Task
from llmimg.tasks.figures import Figure
from llmimg.tasks.measure import Table


def save_results(
    folder: RunFolder,
    task: Task,
    *,
    title: str,
    metrics: Mapping[str, float],
    table: Table,
    figures: Sequence[Figure],
    notes: Sequence[str],
    history: Sequence[dict[str, float]] = (),
    context: int = 0,
    examples: Sequence[Example] = (),
    mistakes: Sequence[Example] = (),
) -> None:
    """Write `predictions.parquet`, `record.json`, `report.html`, and then `metrics.json`, which says that all is there.

    Args:
        task: bound to its data.
        table: the columns of predictions.parquet.
        The others are as of `RunRecord`.
    """
    save_predictions(table, task.classes or (), folder)
    record = RunRecord(
        title=title,
        config=folder.config(),
        environment=folder.environment(),
        metrics=dict(metrics),
        measures=task.measures_for(task.settings),
        ranked_by=task.row_measure.meaning,
        history=list(history),
        figures=list(figures),
        lengths=lengths_of(table, context),
        context=context,
        examples=list(examples),
        mistakes=list(mistakes),
        notes=list(notes),
    )
    save_record(record, folder)
    write_text(folder.path / "report.html", render(record))
    folder.finish(metrics)
