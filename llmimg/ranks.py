"""Which of several processes this is, from the launcher's environment: known before any process group is."""

import os


def is_first_process() -> bool:
    """Whether this process writes and speaks for all."""
    return int(os.environ.get("RANK", "0")) == 0


def world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
