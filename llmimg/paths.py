"""Paths that a user gave, and names of files."""

import re
from pathlib import Path

from llmimg.errors import UserError

_NOT_IN_NAMES = re.compile(r'[%/\\:*?"<>|\x00-\x1f]')  # of files, on one system or another


def local_path(text: str | Path) -> Path:
    """The path as it stands, if something is there; else with a leading `~` taken for the user's home."""
    path = Path(text)
    if path.exists() or not str(text).startswith("~"):
        return path
    try:
        return path.expanduser()
    except RuntimeError:  # a user without a home
        return path


def output_folder(text: str) -> Path:
    """The folder that `out=` names, there or not.

    Raises:
        UserError: where it cannot be one.
    """
    folder = Path(text)
    if file := next(filter(Path.is_file, (folder, *folder.parents)), None):
        raise UserError(f"out={text} cannot be a folder, as {file} is a file: give another.")
    return folder


def file_name(text: str) -> str:
    """A name that a file can have on any system, another for each text: `/` is `%2F` there, and so on."""
    return _NOT_IN_NAMES.sub(lambda found: f"%{ord(found[0]):02X}", text)
