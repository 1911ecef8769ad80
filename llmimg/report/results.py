"""What a finished run leaves for its readers: predictions, the record and its page, and last of all the numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from llmimg.report.archive import arrays_of, save_predictions, save_record
from llmimg.report.page import render
from llmimg.report.record import Example, RunRecord
from llmimg.run_folder import RunFolder, write_text


def save_results(
    folder: RunFolder,
    *,
    title: str,
    label_names: Sequence[str],
    metrics: Mapping[str, float],
    table: Mapping[str, Any],
    notes: Sequence[str],
    history: Sequence[dict[str, float]] = (),
    context: int = 0,
    examples: Sequence[Example] = (),
    mistakes: Sequence[Example] = (),
) -> None:
    """Write `predictions.parquet`, `record.json`, `report.html`, and then `metrics.json`, which says that all is there.

    Args:
        table: the columns of predictions.parquet.
        The others are as of `RunRecord`.
    """
    save_predictions(table, label_names, folder)
    record = RunRecord(
        title=title,
        config=folder.config(),
        environment=folder.environment(),
        metrics=dict(metrics),
        history=list(history),
        label_names=tuple(label_names),
        context=context,
        examples=list(examples),
        mistakes=list(mistakes),
        notes=list(notes),
        **arrays_of(table, label_names, context),
    )
    save_record(record, folder)
    write_text(folder.path / "report.html", render(record))
    folder.finish(metrics)
