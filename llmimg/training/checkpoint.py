"""When a checkpoint is whole: a manifest, written last, says what belongs to it and what it is a checkpoint of."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from llmimg.run_folder import write_text

FILE = "manifest.json"


class Torn(Exception):
    """A checkpoint that is not whole; the message says what of it is not, as the end of a sentence."""


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint is, besides its files.

    Attributes:
        step: steps trained until then.
        data: fingerprint of the data that were trained on.
        base: fingerprint of the weights that do not learn and are not in the checkpoint; empty where it has all.
        processes: how many trained.
        global_batch: examples a step, over all processes and accumulated batches.
        ended: training was over, by its last step or by early stopping.
        resumable: it holds more than weights.
        best: the name of the checkpoint with the best weights so far, where those are to be kept.
        loss: sum of the losses not logged yet, mean over processes.
        logged: the step of the last logged loss.
        gradient: the norm of the last step's gradient, where it is known.
        rate: the last step's learning rate.
        files: path within the checkpoint → size in bytes and SHA-256.
    """

    step: int
    data: str
    base: str
    processes: int
    global_batch: int
    ended: bool
    resumable: bool
    best: str | None
    loss: float
    logged: int
    gradient: float | None
    rate: float | None
    files: dict[str, tuple[int, str]] = field(default_factory=dict)

    def seal(self, checkpoint: Path) -> None:
        """Write it, with all files that are in the checkpoint: what comes later does not belong to it."""
        (checkpoint / FILE).unlink(missing_ok=True)
        files = {
            file.relative_to(checkpoint).as_posix(): (file.stat().st_size, _digest(file))
            for file in sorted(checkpoint.rglob("*"))
            if file.is_file()
        }
        write_text(checkpoint / FILE, json.dumps(dataclasses.asdict(self) | {"files": files}, indent=1))


def read_manifest(checkpoint: Path) -> Manifest:
    """The manifest of a whole checkpoint, each of its files held against it.

    Raises:
        Torn: where a file is missing or another than was written, here or in the checkpoint with the best weights.
    """
    manifest = _whole(checkpoint)
    if manifest.best and manifest.best != checkpoint.name:
        try:
            _whole(checkpoint.with_name(manifest.best))
        except Torn as error:
            raise Torn(f"{manifest.best} has the best weights until then, and {error}") from error
    return manifest


def _whole(checkpoint: Path) -> Manifest:
    try:
        manifest = Manifest(**json.loads((checkpoint / FILE).read_text(encoding="utf-8")))
        files = [(checkpoint / name, size, digest) for name, (size, digest) in manifest.files.items()]
    except FileNotFoundError as error:
        raise Torn("it was not written to its end") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise Torn(f"its {FILE} cannot be read") from error
    for file, size, _ in files:
        if not file.is_file():
            raise Torn(f"its {file.name} is missing")
        if file.stat().st_size != size:
            raise Torn(f"its {file.name} has {file.stat().st_size:,} bytes, of {size:,} that were written")
    for file, _, digest in files:
        if _digest(file) != digest:
            raise Torn(f"its {file.name} is not what was written")
    return manifest


def step_of(checkpoint: Path) -> int | None:
    """The step in the name of a checkpoint's folder, `checkpoint-<step>`; None for any other name."""
    start, _, step = checkpoint.name.partition("-")
    return int(step) if start == "checkpoint" and step.isdecimal() and step.isascii() else None


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
