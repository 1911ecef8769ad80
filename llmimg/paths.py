"""Paths that a user gave."""

from pathlib import Path


def local_path(text: str | Path) -> Path:
    """The path as it stands, if something is there; else with a leading `~` taken for the user's home."""
    path = Path(text)
    if path.exists() or not str(text).startswith("~"):
        return path
    try:
        return path.expanduser()
    except RuntimeError:  # a user without a home
        return path
