"""What is asked of an image: one file a task."""

from llmimg.tasks.base import TASKS, Task

__all__ = ["TASKS", "Task"]
