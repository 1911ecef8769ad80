"""Which task a configuration asks for, and what a task is called there."""

from collections.abc import Mapping
from typing import Any

from llmimg.tasks.base import TASKS, Task


def kind_of(group: Mapping[str, Any]) -> type[Task]:
    """The class of the task that a configuration's group `task` asks for, in JSON's types.

    Raises:
        UserError: there is none of its name.
    """
    return TASKS[group.get("name")].chosen(group)


def name_of(task: Task) -> str:
    """What a task is called in a configuration."""
    settings = vars(task.settings)
    return next(name for name, kind in TASKS.entries().items() if kind.chosen(settings) is type(task))
