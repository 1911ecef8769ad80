"""Files that may hold images: by ending, by path, and what else lies there."""

import functools
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from llmimg.errors import UserError

# Left out: what starts another program (EPS starts Ghostscript), what is drawn and not stored (WMF), and what Pillow
# knows by name only.
_NO_RASTER = {"EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5"}
_JUNK = {"thumbs.db", "desktop.ini", "icon\r", "__macosx", "__pycache__"}


@functools.cache
def raster_formats() -> tuple[str, ...]:
    """The formats of stored pixels that Pillow reads, for `Image.open(formats=)`."""
    Image.init()  # a tenth of a second, when the first image is looked for
    return tuple(sorted(set(Image.OPEN) - _NO_RASTER))


@functools.cache
def raster_endings() -> frozenset[str]:
    """The endings of their files, with the dot, in lower case."""
    formats = raster_formats()
    return frozenset(each for each, kind in Image.EXTENSION.items() if kind in formats)


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or what systems and file managers leave behind."""
    return name.startswith(".") or name.lower() in _JUNK


def files_below(folder: Path) -> list[str]:
    """Every file at any depth that is no junk nor in a junk folder, by its path below `folder` (with `/`), sorted.

    Links to folders are followed, unless they lead back up; links that lead nowhere count as files.

    Raises:
        UserError: a folder that may not be listed, or a name that is not UTF-8.
    """
    found: list[str] = []
    ways = [(str(folder), "", frozenset([os.path.realpath(folder)]))]
    while ways:
        path, prefix, above = ways.pop()
        for entry in _entries(path):
            if is_junk(entry.name):
                continue
            if not entry.is_dir():
                found.append(prefix + entry.name)
            elif (real := os.path.realpath(entry.path)) not in above:
                ways.append((entry.path, f"{prefix}{entry.name}/", above | {real}))
    return sorted(found)


def folders_in(folder: Path) -> list[str]:
    """The names of the folders that lie directly in a folder and are no junk, sorted; errors as of `files_below`."""
    return sorted(entry.name for entry in _entries(str(folder)) if entry.is_dir() and not is_junk(entry.name))


def _entries(folder: str) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError as error:
        raise UserError(f"The folder '{folder}' cannot be listed ({error.strerror}): make it readable.") from error
    for entry in found:
        try:
            entry.name.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"A name in the folder '{folder}' is not UTF-8 ({os.fsencode(entry.name)!r}): rename it."
            ) from error
    return found


def left_out(root: Path, lying: Sequence[str], read: Iterable[str]) -> list[str]:
    """A sentence on the files below `root` that were not read, counted by ending; none where all were.

    Args:
        lying: what `files_below` found.
        read: those of them that were read.
    """
    left = sorted(set(lying).difference(read), key=lambda name: (not is_image(name), name))
    if not left:
        return []
    counted = f"{len(left):,} of {len(lying):,} files below '{root}' were not read: {by_ending(left)}"
    return [f"{counted} (such as '{left[0]}')."]


def ending(name: str) -> str:
    """The ending of a file's name with its dot, in lower case; empty where it has none."""
    return os.path.splitext(name)[1].lower()


def is_image(name: str) -> bool:
    """Whether a file's ending is one of the raster formats that Pillow reads."""
    return ending(name) in raster_endings()


def by_ending(names: Iterable[str]) -> str:
    """Files counted by ending, the most frequent first: `3 .txt, 1 .svg, 1 without an ending`."""
    counted = Counter(map(ending, names))
    ordered = sorted(counted.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{count:,} {each or 'without an ending'}" for each, count in ordered)
