"""A run's folder: what stands in it, when it is finished, and whether it is this configuration's."""

import contextlib
import json
import logging
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Collection, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

import llmimg
from llmimg.atomic import replacing
from llmimg.errors import UserError
from llmimg.paths import local_path

# How a run is carried out, not what it is: these may differ between the folder's configuration and ours.
FREE = {"run_dir", "dry_run", "force", "objective", "launch.processes", "tokens.cache_dir", "tokens.num_proc"}
_FILES = (
    "metrics.json",
    "config.yaml",
    "environment.json",
    "data.json",
    "run.log",
    "profile.json",
    "record.json",
    "predictions.parquet",
    "report.html",
)
_LIBRARIES = ("torch", "transformers", "datasets", "accelerate", "tokenizers", "numpy", "scikit-learn", "pillow")


class RunFolder:
    """The folder of one run; only the first process writes to it."""

    def __init__(self, path: str | Path):
        self.path = local_path(path)
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model"
        self.predictions = self.path / "predictions"
        self._log_file: logging.FileHandler | None = None
        self._lock = FileLock(self.path / ".lock")
        self._is_new = False

    @property
    def is_finished(self) -> bool:
        return (self.path / "metrics.json").is_file()

    def metrics(self) -> dict[str, float]:
        return self._read("metrics.json", json.loads)

    def environment(self) -> dict[str, Any]:
        return self._read("environment.json", json.loads)

    def data(self) -> dict[str, Any]:
        """Which data the run is of; empty where it does not say."""
        return self._read("data.json", json.loads)

    def config(self) -> dict[str, Any]:
        """The resolved configuration that the folder belongs to; empty for a new folder."""
        return self._read("config.yaml", yaml.safe_load)

    def _read(self, name: str, parse: Callable[[str], Any]) -> dict[str, Any]:
        """A file's content; empty where there is no such file.

        Raises:
            UserError: where it is torn, or no mapping.
        """
        file = self.path / name
        if not file.is_file():
            return {}
        try:
            content = parse(file.read_text(encoding="utf-8"))
        except (ValueError, yaml.YAMLError) as error:
            raise UserError(f"{file} cannot be read: mend it, or start over with force=true.") from error
        if not isinstance(content, dict):
            raise UserError(f"{file} is none that llmimg wrote: mend it, or start over with force=true.")
        return content

    def check_is_ours(self, config: Mapping[str, Any], force: bool) -> list[str]:
        """Refuse a folder of something else, or, unless `force`, of another configuration.

        Returns:
            What a reader must know: that another commit of the code began it.

        Raises:
            UserError: naming the settings that differ.
        """
        if not (self.path / "config.yaml").is_file():
            if self.path.exists() and any(not file.name.startswith(".") for file in self.path.iterdir()):
                raise UserError(
                    f"{self.path} holds files, and no run of llmimg: set run_dir= to a new or empty folder."
                )
            return []
        if force:
            return []
        wrote = self.environment()
        if wrote.get("llmimg", llmimg.__version__) != llmimg.__version__:
            raise UserError(
                f"{self.path} was written by llmimg {wrote['llmimg']}, and this is {llmimg.__version__}: choose "
                "another run_dir=, or start over with force=true."
            )
        there, here = flatten(self.config()), flatten(config)
        differing = sorted(
            key for key in there.keys() | here.keys() if there.get(key) != here.get(key) and key not in FREE
        )
        if differing:
            shown = ", ".join(f"{key} ({there.get(key)} there, {here.get(key)} here)" for key in differing[:5])
            more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
            raise UserError(
                f"{self.path} holds a run of another configuration; different: {shown}{more}. Choose another run_dir=, "
                "or start over with force=true."
            )
        commit = git_commit()
        if wrote.get("git_commit") != commit:
            return [f"The code was at commit {wrote.get('git_commit')} when this run began, and is at {commit} now."]
        return []

    def begin(self, config: Mapping[str, Any], force: bool, data: Mapping[str, Any]) -> None:
        """Take the folder: from now on it is this process's, and what is written there is the run's.

        An unfinished run keeps the environment it began in; `force` removes what a run has left.

        Args:
            config: the resolved configuration.
            data: which data it is carried out on, in JSON's types.

        Raises:
            UserError: where the folder cannot be written, or another process is at it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            self._is_new = force or not (self.path / "config.yaml").is_file()
            if self._is_new:
                self._clear()
                kept = without(config, ("run_dir", "dry_run", "force"))
                write_text(self.path / "environment.json", json.dumps(environment(), indent=1))
                write_text(self.path / "data.json", json.dumps(data, indent=1, ensure_ascii=False))
                write_text(self.path / "config.yaml", yaml.safe_dump(kept, sort_keys=False, allow_unicode=True))
            self._log_file = logging.FileHandler(self.path / "run.log", encoding="utf-8")
            logging.getLogger("llmimg").addHandler(self._log_file)
        except Timeout as error:
            raise UserError(
                f"Another process is carrying out the run in {self.path}: wait for it, or end it."
            ) from error
        except OSError as error:
            raise UserError(
                f"The run's folder {self.path} cannot be written ({error}): set run_dir= to one that can."
            ) from error

    def end(self, mistaken: bool) -> None:
        """Let the folder go; nothing half-written stays of a new run that cannot be carried out."""
        if self._log_file is not None:
            logging.getLogger("llmimg").removeHandler(self._log_file)
            self._log_file.close()
            self._log_file = None
        if self._lock.is_locked:
            if mistaken and self._is_new:
                self._clear()
            self._lock.release()
            with contextlib.suppress(OSError):  # an empty folder goes with its lock
                if mistaken and self._is_new:
                    Path(self._lock.lock_file).unlink()
                    self.path.rmdir()

    def _clear(self) -> None:
        for name in _FILES:
            (self.path / name).unlink(missing_ok=True)
        for folder in (self.checkpoints, self.model, self.predictions):
            shutil.rmtree(folder, ignore_errors=True)

    def finish(self, metrics: Mapping[str, float]) -> None:
        """Write the numbers: the last file, which says that the run is whole."""
        write_text(self.path / "metrics.json", json.dumps(metrics, indent=1))


def write_text(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with replacing(file) as part:
        part.write_text(text, encoding="utf-8")


def without(config: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """Nested mappings without some dotted keys."""
    here = {key for key in keys if "." not in key}
    below = [key.split(".", 1) for key in keys if "." in key]
    return {
        name: without(value, [key for group, key in below if group == name]) if isinstance(value, Mapping) else value
        for name, value in config.items()
        if name not in here
    }


def distinguishing(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of a run's configuration, what tells it from other runs: all but its seed, and where its files are. How many
    processes it is spread over makes larger steps, and counts."""
    return without(config, FREE - {"launch.processes"} | {"seed"})


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings → dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return flat


def git_commit() -> str | None:
    """The commit of the checkout llmimg is in, marked where files differ from it; None outside of one."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(llmimg.__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None


def environment() -> dict[str, Any]:
    """Versions, the code's commit, and the device."""
    import torch

    gpus = torch.cuda.device_count()
    device = (
        f"{gpus} × {torch.cuda.get_device_name(0)}" if gpus else f"CPU ({platform.machine()}, {os.cpu_count()} cores)"
    )
    return {
        "llmimg": llmimg.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
        "git_commit": git_commit(),
        "device": device,
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
    }
