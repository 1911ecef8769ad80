"""What files hold, as hashes: two files are the same where their bytes are, whatever their names, sizes and times say.

A file's size and time of change do not tell: an archive that is unpacked brings its times along, two files of one size
may be swapped, `chmod` makes a file readable. Every file is read once; an index spares reading it again as long as its
device, inode, size, time of change and time of status change (`ctime`, which no program can set) all stay as they were.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llmimg.atomic import replacing

_SETTLED = 3 * 10**9  # ns: a file changed less long ago may change once more without its times telling
_Stamp = tuple[int, ...]


def file_hashes(files: Sequence[str | Path], cache: Path | None = None) -> list[str]:
    """The SHA-256 of each file's bytes, 64 hexadecimal digits.

    A file that cannot be read has "unreadable: " and the reason instead of digits, and is tried again every time.

    Args:
        cache: the folder of all that is prepared, where the index is kept; None reads every file. A folder that cannot
            be written does no harm.
    """
    paths = [os.path.abspath(file) for file in files]
    kept = (
        None
        if cache is None or not paths
        else cache / ".contents" / f"{_digest(os.path.commonpath(paths).encode())[:32]}.json"
    )
    known = {} if kept is None else kept_json(kept)
    found = {path: _hashed(path, known.get(path)) for path in dict.fromkeys(paths)}
    settled = {path: [*stamp, digest] for path, (digest, stamp) in found.items() if stamp is not None}
    if kept is not None and settled != known:
        keep_json(kept, settled)
    return [found[path][0] for path in paths]


def _hashed(path: str, known: Sequence[int | str] | None) -> tuple[str, _Stamp | None]:
    """A file's hash, and the stamp by which it may be trusted later; None where it may not."""
    try:
        if known is not None and tuple(known[:-1]) == (stamp := _stamp(os.stat(path))):
            return str(known[-1]), stamp
        now = time.time_ns()
        with open(path, "rb") as opened:
            before = os.fstat(opened.fileno())
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
            stamp = _stamp(os.fstat(opened.fileno()))
    except OSError as error:
        return f"unreadable: {error.strerror}", None
    settled = max(before.st_mtime_ns, before.st_ctime_ns) + _SETTLED < now
    return digest, stamp if settled and stamp == _stamp(before) else None


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def kept_json(file: Path) -> dict[str, Any]:
    """What `keep_json` kept; empty where there is nothing, or it does not have the checksum it begins with."""
    with contextlib.suppress(OSError, ValueError):
        checksum, _, text = file.read_bytes().partition(b"\n")
        if checksum.decode() == _digest(text):
            return json.loads(text)
    return {}


def keep_json(file: Path, values: dict[str, Any]) -> None:
    """Keep a few values in a file, whole or not at all; where it cannot be written, nothing is kept."""
    text = json.dumps(values).encode()
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as part:
            part.write_bytes(_digest(text).encode() + b"\n" + text)
