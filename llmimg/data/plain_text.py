"""Plain text files, which a model may learn from beside images."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from llmimg.data.columns import fingerprint
from llmimg.data.contents import file_hashes
from llmimg.errors import UserError

END = ""  # stands behind a file's last line; a line itself is never empty, as it keeps its break


def text_files(place: str) -> list[Path]:
    """The files that a path, a folder (its `*.txt`, at any depth) or a pattern (`notes/**/*.md`) stands for, sorted.

    Raises:
        UserError: where there are none.
    """
    path = os.path.expanduser(place)
    pattern = os.path.join(glob.escape(path), "**", "*.txt") if os.path.isdir(path) else path
    found = [path] if os.path.isfile(path) else glob.glob(pattern, recursive=True)
    files = sorted(Path(each) for each in found if os.path.isfile(each))
    if not files:
        raise UserError(f"No text file is at '{place}' (task.text): give a file, a folder of *.txt, or a pattern.")
    return files


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
            raise UserError(f"{file} (task.text) is not text in UTF-8: convert it, or leave it out.") from error
        yield END


def contents(files: Sequence[Path], cache: Path | None = None) -> str:
    """A hash of what the files hold, in this order; `cache` as of `file_hashes`."""
    return fingerprint(*file_hashes(files, cache))
