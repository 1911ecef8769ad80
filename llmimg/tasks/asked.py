"""What images are asked by: one text for all, or one for each."""

from collections.abc import Mapping, Sequence
from typing import Any

from llmimg.errors import UserError
from llmimg.tasks.base import TASKS, Task
from llmimg.tasks.chosen import name_of


def asked_by(task: Task, asks: Sequence[str], given: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """The columns that each of `count` images is asked by, and an `id`: its number.

    Args:
        asks: those that are needed.
        given: for each column a text, or several.

    Raises:
        UserError: a column that the task does not ask by, or that is missing; texts of which there are not `count`.
    """
    name = name_of(task)
    for column in given:
        if column not in asks:
            raise UserError(f"task={name} is not asked by a {column}: leave {column}= out.")
    rows: list[dict[str, Any]] = [{"id": str(index)} for index in range(count)]
    for column in asks:
        value = given.get(column)
        texts = [value] if isinstance(value, str) else list(value or ())
        if not texts or not all(isinstance(each, str) and each.strip() for each in texts):
            raise UserError(f"task={name} asks images by their {column}: give {column}=, text that is not empty.")
        if task.by_split:
            texts = [tuple(texts)] * count  # all are held against each image
        elif isinstance(value, str):
            texts *= count
        if len(texts) != count:
            raise UserError(
                f"task={name} asks each image by its {column}: give {column}= as one text for all, or one for each of "
                f"the {count:,} images."
            )
        rows = [{**row, column: each} for row, each in zip(rows, texts, strict=True)]
    return rows


def all_asks() -> set[str]:
    """What any task asks by."""
    return {column for kind in TASKS.entries().values() for column in kind.asks}
