"""Files that may hold images: by ending, by place, and what else lies there."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

# Left out: what starts another program (EPS starts Ghostscript), what is drawn and not stored (WMF), and what Pillow
# knows by name only.
_NO_RASTER = {"EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5"}
Image.init()
RASTER_FORMATS = tuple(sorted(set(Image.OPEN) - _NO_RASTER))
RASTER_ENDINGS = frozenset(ending for ending, kind in Image.EXTENSION.items() if kind in RASTER_FORMATS)

_JUNK = {"thumbs.db", "desktop.ini", "icon\r"}  # what file managers leave


def local_path(text: str | Path) -> Path:
    """The path as it stands, if something is there; else with a leading `~` taken for the user's home."""
    path = Path(text)
    if path.exists() or not str(text).startswith("~"):
        return path
    try:
        return path.expanduser()
    except RuntimeError:  # a user without a home
        return path


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or what an operating system or file manager leaves behind."""
    return name.startswith((".", "__")) or name.lower() in _JUNK


def files_below(folder: Path) -> list[str]:
    """Every file at any depth that is no junk nor in a junk folder, by its path below `folder` (with `/`), sorted.

    Links to folders are followed, unless they lead back up.
    """
    found: list[str] = []
    ways = [(folder, "", frozenset([os.path.realpath(folder)]))]
    while ways:
        place, prefix, above = ways.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                if is_junk(entry.name):
                    continue
                if not entry.is_dir():
                    found.append(prefix + entry.name)
                elif (real := os.path.realpath(entry.path)) not in above:
                    ways.append((Path(entry.path), f"{prefix}{entry.name}/", above | {real}))
    return sorted(found)


def is_image(name: str) -> bool:
    """Whether a file's ending is one of the raster formats that Pillow reads."""
    return os.path.splitext(name)[1].lower() in RASTER_ENDINGS


def by_ending(names: Iterable[str]) -> str:
    """Files counted by ending, the most frequent first: `3 .txt, 1 .svg, 1 without an ending`."""
    counted = Counter(os.path.splitext(name)[1].lower() for name in names)
    ordered = sorted(counted.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{count:,} {ending or 'without an ending'}" for ending, count in ordered)
