"""What is prepared once and kept: folders named by a key, each whole or not there.

A folder is written beside its path and renamed when it is complete. Whoever holds the key's lock writes; others wait
for it, be they ranks of one run or two runs. `about.json`, written last, has a checksum of every file, and one of
itself and the key: what does not agree with it when it is opened is made anew.
"""

import contextlib
import errno
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from filelock import FileLock

from llmimg.errors import UserError
from llmimg.paths import local_path

log = logging.getLogger("llmimg")

_ABOUT = "about.json"
_OURS = re.compile(r"[0-9a-f]{16}(\.writing)?")  # a key, whole or being written
_CHUNK = 2**24  # bytes hashed at once


def cache_folder(cache_dir: str | None = None) -> Path:
    """The folder of all that is prepared.

    Raises:
        UserError: for a user without a home who names none.
    """
    folder = local_path(cache_dir or os.environ.get("LLMIMG_CACHE") or "~/.cache/llmimg")
    if str(folder).startswith("~"):
        raise UserError(f"There is no home for the cache {folder}: name a folder by LLMIMG_CACHE or tokens.cache_dir.")
    return folder


def keep(
    folder: Path,
    write: Callable[[Path], Collection[int] | None],
    about: Mapping[str, Any],
    stale: Callable[[Mapping[str, Any]], bool] = lambda kept: False,
) -> dict[str, Any]:
    """See to it that the folder `folder` is there and whole: written by `write`, under its lock, unless it is.

    Args:
        write: fills an empty folder; what it gives, the rows whose images could not be read, is kept as `broken`.
        about: what `cache list` says of it.
        stale: whether what was kept is to be written again.

    Returns:
        `about`, with `seconds` that writing took, `broken`, and `files` with their checksums.

    Raises:
        UserError: a full disk, or a folder that cannot be written; and what `write` raises.
    """
    kept = _whole(folder)
    if kept is None or stale(kept):
        try:
            with _lock(folder):
                kept = _whole(folder)
                if kept is None or stale(kept):
                    if kept is None and folder.exists():
                        log.warning("What lay in the cache under %s was damaged: it is made anew.", folder.name)
                    kept = _write_whole(folder, write, about)
        except OSError as error:
            raise _disk_error(error, folder.parent) from error
    with contextlib.suppress(OSError):  # a cache that others own may be read-only
        os.utime(folder)  # `cache prune` goes by last use
    return kept


def _write_whole(
    folder: Path, write: Callable[[Path], Collection[int] | None], about: Mapping[str, Any]
) -> dict[str, Any]:
    for stale in (folder, *folder.parent.glob(f"{folder.name}.writing*")):
        shutil.rmtree(stale, ignore_errors=True)
    work = folder.with_name(f"{folder.name}.writing")
    work.mkdir()
    started = time.perf_counter()
    try:
        broken = sorted(write(work) or ())
        kept = {**about, "seconds": round(time.perf_counter() - started, 3), "broken": broken, "files": _files(work)}
        (work / _ABOUT).write_text(json.dumps(kept | {"checksum": _checksum(folder, kept)}, indent=1))
        work.rename(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return kept


def _whole(folder: Path) -> dict[str, Any] | None:
    """What a folder's `about.json` says; None where it is missing, a file is not what was written, or it was
    under another key."""
    try:
        kept = json.loads((folder / _ABOUT).read_text())
        if kept.pop("checksum") == _checksum(folder, kept) and kept["files"] == _files(folder):
            return kept
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        pass
    return None


def _files(folder: Path) -> dict[str, str]:
    """The checksum of every file in a folder but `about.json`."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file != folder / _ABOUT)
    return {file.relative_to(folder).as_posix(): _file_checksum(file) for file in files}


def _file_checksum(file: Path) -> str:
    """XXH3 of 128 bits: faster than a disk reads."""
    digest = xxhash.xxh3_128()
    if file.stat().st_size:
        mapped = np.memmap(file, np.uint8, "r")
        for start in range(0, len(mapped), _CHUNK):
            digest.update(mapped[start : start + _CHUNK].data)
    return digest.hexdigest()


def _checksum(folder: Path, kept: Mapping[str, Any]) -> str:
    """Of what is said of a folder under this key: under another it is not what was asked for."""
    return xxhash.xxh3_128_hexdigest(json.dumps([folder.name, kept], sort_keys=True).encode())


def _lock(folder: Path, timeout: float = -1) -> FileLock:
    """The lock of a key. Its file stays: removing one that another process waits for would let two in."""
    locks = folder.parent / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / folder.name, timeout=timeout)


def _disk_error(error: OSError, folder: Path) -> UserError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return UserError(
            f"The disk that holds the cache {folder} is full: free some space (`python -m llmimg cache prune`), or set "
            "tokens.cache_dir to another disk. Nothing unfinished was kept."
        )
    return UserError(f"The cache {folder} cannot be written ({error}): set tokens.cache_dir to a folder that can.")


@dataclass(frozen=True)
class CacheEntry:
    """One kept folder: its key, what it is, its bytes, and when it was last used (seconds since the epoch)."""

    key: str
    about: dict[str, Any]
    bytes: int
    used: float


def cache_entries(folder: Path) -> list[CacheEntry]:
    """All kept folders, the last used first."""
    found = []
    for entry in (path for path in folder.glob("*") if _OURS.fullmatch(path.name) and not path.suffix):
        with contextlib.suppress(FileNotFoundError):  # another process prunes
            size = sum(file.stat().st_size for file in entry.iterdir())
            used = entry.stat().st_mtime
            try:
                about = dict(json.loads((entry / _ABOUT).read_text()))
            except (OSError, ValueError, TypeError):
                about = {"data": "(damaged)"}
            found.append(CacheEntry(entry.name, about, size, used))
    return sorted(found, key=lambda entry: -entry.used)


def prune(folder: Path, older_than_days: float = 0) -> list[str]:
    """Remove kept folders not used for that many days, and what killed preparations left; running ones are spared.

    Returns:
        The names of the removed folders.
    """
    removed = []
    limit = time.time() - older_than_days * 86400
    # Whatever else lies in a folder that someone named is not ours to remove.
    for entry in sorted(path for path in folder.glob("*") if _OURS.fullmatch(path.name)):
        with contextlib.suppress(TimeoutError, FileNotFoundError), _lock(entry.with_suffix(""), timeout=0):
            if entry.stat().st_mtime <= limit or entry.suffix == ".writing":
                shutil.rmtree(entry)
                removed.append(entry.name)
    return removed
