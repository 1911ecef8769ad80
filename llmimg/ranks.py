"""Which of several processes this is, from the launcher's environment: known before any process group is."""

import os


def is_first_process() -> bool:
    """Whether this process writes and speaks for all."""
    return int(os.environ.get("RANK", "0")) == 0


def is_first_of_machine() -> bool:
    """Whether this process speaks for its machine: a mistake may show on one machine alone."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0


def world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
