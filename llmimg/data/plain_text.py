"""Plain text files, which a model may learn from beside images."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from llmimg.data.columns import fingerprint
from llmimg.data.contents import file_hashes
from llmimg.data.files import files_below
from llmimg.errors import UserError
from llmimg.paths import local_path

END = ""  # stands behind a file's last line; a line itself is never empty, as it keeps its break


def text_files(source: str) -> list[Path]:
    """The files that a path, a folder (its `*.txt`, at any depth) or a pattern (`notes/**/*.md`) stands for, sorted.

    Raises:
        UserError: where there are none.
    """
    path = local_path(source)
    if path.is_dir():
        found = [path / name for name in files_below(path) if name.endswith(".txt")]
    else:
        found = [path] if path.is_file() else map(Path, glob.glob(_pattern(path), recursive=True))
    files = sorted(each for each in found if each.is_file())
    if not files:
        raise UserError(f"No text file is at '{source}' (task.files): give a file, a folder of *.txt, or a pattern.")
    return files


def _pattern(path: Path) -> str:
    """The path as a pattern, but for as much of it as stands there literally."""
    there = next(each for each in (path, *path.parents) if each.exists() or each == each.parent)
    return os.path.join(glob.escape(str(there)), str(path.relative_to(there)))


def lines(files: Sequence[Path]) -> Iterator[str]:
    """Every line of the files with its line break, and `END` behind each file.

    Raises:
        UserError: a file that is not UTF-8.
    """
    for file in files:
        try:
            with file.open(encoding="utf-8", newline="") as opened:
                yield from opened
        except UnicodeDecodeError as error:
            raise UserError(f"{file} (task.files) is not text in UTF-8: convert it, or leave it out.") from error
        yield END


def contents(files: Sequence[Path], cache: Path | None = None) -> str:
    """A hash of what the files hold, in this order; `cache` as of `file_hashes`."""
    return fingerprint(*file_hashes(files, cache))
