"""The Arrow cache: `datasets.map` with processes, under one key of our own.

A prepared split is a folder named by its key. It is written beside, and renamed when whole: what stands under a key is
complete. Whoever holds the key's lock prepares; others wait for it, be they ranks of one run or two runs.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from filelock import FileLock

import llmimg.textify
from llmimg.data import Decoding
from llmimg.errors import UserError
from llmimg.textify import Textifier
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.store import ImageIds

_LIBRARIES = (
    "numpy",
    "pillow",
    "opencv-python-headless",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "tokenizers",
    "transformers",
    "pyarrow",
    "datasets",
)
_CODE = ("textify", "data", "tokens")
_BATCH = 1000
_ROWS_A_PROCESS = 20_000
_OURS = re.compile(r"[0-9a-f]{16}(\.writing)?")  # a key, whole or being written


def cache_folder(cache_dir: str | None = None) -> Path:
    """The folder of all prepared splits."""
    return Path(cache_dir or os.environ.get("LLMIMG_CACHE") or "~/.cache/llmimg").expanduser()


def cache_key(dataset: datasets.Dataset, encoder: Encoder, split: str) -> str:
    """Sixteen hexadecimal digits that stand for everything that shapes the ids of a split.

    That is: the rows (their fingerprint), the split, decoding and resizing, the textifier with its settings and what it
    learned, the tokenizer's contents, the code that makes ids, and the versions of the libraries it calls.
    """
    return key_of(
        dataset,
        encoder.decoding,
        encoder.textifier,
        split=split,
        state=digests(encoder.textifier.state),
        tokenizer=encoder.vocabulary.fingerprint,
    )


def digests(state: Mapping[str, np.ndarray]) -> dict[str, str]:
    """What a textifier learned, in a few characters."""
    return {name: hashlib.sha256(np.ascontiguousarray(array)).hexdigest() for name, array in state.items()}


def key_of(dataset: datasets.Dataset, decoding: Decoding, textifier: Textifier, **parts: Any) -> str:
    """The key of what is made of these rows by this textifier, and of whatever else shapes it."""
    return hashed(
        source=dataset._fingerprint,
        decoding=[decoding.size, decoding.fit, decoding.white],
        textifier=[type(textifier).__module__, textifier.settings()],
        **parts,
    )


def hashed(**parts: Any) -> str:
    """The key of what these parts, the code that makes ids and the libraries it calls shape."""
    whole = {"code": _code_fingerprint(), "versions": {name: version(name) for name in _LIBRARIES}, **parts}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]


def prepare(
    dataset: datasets.Dataset,
    encoder: Encoder,
    split: str,
    *,
    folder: Path,
    about: dict[str, Any],
    num_proc: int | None = None,
    skip_broken: bool = False,
) -> ImageIds:
    """The image ids of a split, from the cache, or written there first.

    Args:
        dataset: columns `image` (undecoded) and `id`.
        folder: `cache_folder(…)`.
        about: what `cache list` says of it.
        num_proc: processes; None chooses by the number of images and cores.
        skip_broken: whether broken images are noted (`ImageIds.problems`), or an error.

    Raises:
        UserError: a broken image, a full disk, or a folder that cannot be written.
    """
    place = folder / cache_key(dataset, encoder, split)
    about |= {"split": split, "rows": len(dataset)}
    keep(place, lambda work: _write(dataset, encoder, work, split, num_proc, skip_broken), about)
    ids = ImageIds.open(sorted(place.glob("*.arrow")), json.loads((place / "about.json").read_text())["seconds"])
    if ids.problems and not skip_broken:
        raise UserError(next(iter(ids.problems.values())) + BROKEN_REMEDY)
    return ids


def keep(place: Path, write: Callable[[Path], None], about: dict[str, Any]) -> None:
    """See to it that the folder `place` is there: written by `write`, under its lock, unless it is.

    Args:
        write: fills an empty folder.
        about: what `cache list` says of it.

    Raises:
        UserError: a full disk, or a folder that cannot be written; and what `write` raises.
    """
    if not (place / "about.json").exists():
        try:
            with _lock(place):
                if not (place / "about.json").exists():
                    _write_whole(place, write, about)
        except OSError as error:
            raise _disk_error(error, place.parent) from error
    with contextlib.suppress(OSError):  # a cache that others own may be read-only
        os.utime(place)  # `cache prune` goes by last use


def _write_whole(place: Path, write: Callable[[Path], None], about: dict[str, Any]) -> None:
    for stale in place.parent.glob(f"{place.name}.writing*"):
        shutil.rmtree(stale, ignore_errors=True)
    work = place.with_name(f"{place.name}.writing")
    work.mkdir()
    started = time.perf_counter()
    try:
        write(work)
        (work / "about.json").write_text(
            json.dumps(about | {"seconds": round(time.perf_counter() - started, 3)}, indent=1)
        )
        work.rename(place)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _lock(place: Path, timeout: float = -1) -> FileLock:
    """The lock of a key. Its file stays: removing one that another process waits for would let two in."""
    locks = place.parent / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / place.name, timeout=timeout)


BROKEN_REMEDY = " Mend or remove it, or set data.broken=skip."


def _write(
    dataset: datasets.Dataset, encoder: Encoder, work: Path, split: str, num_proc: int | None, skip_broken: bool
) -> None:
    dtype = encoder.vocabulary.lookup.dtype.name
    datasets.logging.set_verbosity_error()
    with serial_tokenizer():
        dataset.select_columns(["image", "id"]).with_format("arrow").map(
            _encode_rows,
            fn_kwargs={"encoder": encoder.for_workers(), "skip_broken": skip_broken},
            batched=True,
            batch_size=_BATCH,
            writer_batch_size=_BATCH * 10,
            num_proc=processes_for(len(dataset), num_proc, _ROWS_A_PROCESS),
            remove_columns=["image", "id"],
            features=datasets.Features(
                {"image_ids": datasets.List(datasets.Value(dtype)), "problem": datasets.Value("string")}
            ),
            cache_file_name=str(work / "ids.arrow"),
            new_fingerprint=work.stem,
            desc=f"writing {split} images as text",
        )


def _encode_rows(rows: pa.Table, encoder: Encoder, skip_broken: bool) -> pa.Table:
    images = rows["image"].to_pylist()
    ids, problems = encoder(images, rows["id"].to_pylist())
    if problems and not skip_broken:
        raise UserError(problems[min(problems)] + BROKEN_REMEDY)
    lists = pa.ListArray.from_arrays(pa.array(ids.offsets, pa.int32()), pa.array(ids.values))
    return pa.table({"image_ids": lists, "problem": pa.array(map(problems.get, range(len(images))), pa.string())})


def processes_for(rows: int, wanted: int | None, rows_a_process: int) -> int | None:
    """How many processes a map takes: those that are wanted, or one for so many rows, up to the number of cores. None
    is this one, without a pool."""
    processes = min(rows, wanted or min(os.cpu_count() or 1, rows // rows_a_process))
    return processes if processes > 1 else None


@contextlib.contextmanager
def serial_tokenizer():
    """A tokenizer's threads do not survive a fork: each process tokenises with one."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before


def _disk_error(error: OSError, folder: Path) -> UserError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return UserError(
            f"The disk that holds the cache {folder} is full: free some space (`python -m llmimg cache prune`), or set "
            "tokens.cache_dir to another disk. Nothing unfinished was kept."
        )
    return UserError(f"The cache {folder} cannot be written ({error}): set tokens.cache_dir to a folder that can.")


def _code_fingerprint() -> str:
    root = Path(llmimg.textify.__file__).parent.parent
    digest = hashlib.sha256()
    for name in _CODE:
        for file in sorted([root / name] if name.endswith(".py") else (root / name).glob("*.py")):
            digest.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class CacheEntry:
    """One prepared split: its key, what it is, its bytes, and when it was last used (seconds since the epoch)."""

    key: str
    about: dict[str, Any]
    bytes: int
    used: float


def cache_entries(folder: Path) -> list[CacheEntry]:
    """All prepared splits, the last used first."""
    found = []
    for about in folder.glob("*/about.json"):
        with contextlib.suppress(FileNotFoundError):  # another process prunes
            size = sum(file.stat().st_size for file in about.parent.iterdir())
            used = about.parent.stat().st_mtime
            found.append(CacheEntry(about.parent.name, json.loads(about.read_text()), size, used))
    return sorted(found, key=lambda entry: -entry.used)


def prune(folder: Path, older_than_days: float = 0) -> list[str]:
    """Remove prepared splits not used for that many days, and what killed preparations left; running ones are spared.

    Returns:
        The names of the removed folders.
    """
    removed = []
    limit = time.time() - older_than_days * 86400
    # Whatever else lies in a folder that someone named is not ours to remove.
    for place in sorted(path for path in folder.glob("*") if _OURS.fullmatch(path.name)):
        with contextlib.suppress(TimeoutError, FileNotFoundError), _lock(place.with_suffix(""), timeout=0):
            if place.stat().st_mtime <= limit or place.suffix == ".writing":
                shutil.rmtree(place)
                removed.append(place.name)
    return removed
