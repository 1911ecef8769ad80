"""A run's folder: what stands in it, when it is finished, and whether it is this configuration's."""

import contextlib
import json
import logging
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

import llmimg
from llmimg.errors import UserError

# How a run is carried out, not what it is: these may differ between the folder's configuration and ours.
FREE = {"run_dir", "dry_run", "force", "launch.processes", "tokens.cache_dir", "tokens.num_proc"}
_FILES = (
    "metrics.json",
    "config.yaml",
    "environment.json",
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
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model"
        self._log_file: logging.FileHandler | None = None

    @property
    def is_finished(self) -> bool:
        return (self.path / "metrics.json").is_file()

    def metrics(self) -> dict[str, float]:
        return json.loads((self.path / "metrics.json").read_text())

    def config(self) -> dict[str, Any]:
        """The resolved configuration that the folder belongs to; empty for a new folder.

        Raises:
            UserError: where it cannot be read.
        """
        file = self.path / "config.yaml"
        if not file.is_file():
            return {}
        try:
            return yaml.safe_load(file.read_text()) or {}
        except yaml.YAMLError as error:
            raise UserError(f"{file} cannot be read: mend it, or start over with force=true.") from error

    def environment(self) -> dict[str, Any]:
        file = self.path / "environment.json"
        return json.loads(file.read_text()) if file.is_file() else {}

    def check_is_ours(self, config: Mapping[str, Any]) -> list[str]:
        """Refuse a folder of another configuration.

        Returns:
            What a reader must know: that another version or commit of the code wrote it.

        Raises:
            UserError: naming the settings that differ.
        """
        there, here = flatten(self.config()), flatten(config)
        if not there:
            return []
        wrote = self.environment()
        if wrote.get("llmimg", llmimg.__version__) != llmimg.__version__:
            raise UserError(
                f"{self.path} was written by llmimg {wrote['llmimg']}, and this is {llmimg.__version__}: choose "
                "another run_dir=, or start over with force=true."
            )
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

    def clear(self) -> None:
        """Start over: remove what a run wrote, and nothing else that may lie there."""
        self.close_log()
        for name in _FILES:
            (self.path / name).unlink(missing_ok=True)
        for folder in (self.checkpoints, self.model):
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # other things lie there, or nothing was ever written
            self.path.rmdir()

    def begin(self, config: Mapping[str, Any]) -> None:
        """Write the configuration and the environment.

        Raises:
            UserError: where the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            kept = {key: value for key, value in config.items() if key not in FREE}
            write_text(self.path / "config.yaml", yaml.safe_dump(kept, sort_keys=False, allow_unicode=True))
            write_text(self.path / "environment.json", json.dumps(environment(), indent=1))
            self._log_file = logging.FileHandler(self.path / "run.log")
            logging.getLogger("llmimg").addHandler(self._log_file)
        except OSError as error:
            raise UserError(
                f"The run's folder {self.path} cannot be written ({error}): set run_dir= to one that can."
            ) from error

    def close_log(self) -> None:
        """Stop writing `run.log`."""
        if self._log_file is not None:
            logging.getLogger("llmimg").removeHandler(self._log_file)
            self._log_file.close()
            self._log_file = None

    def finish(self, metrics: Mapping[str, float]) -> None:
        """Write the numbers: the last file, which says that the run is whole."""
        write_text(self.path / "metrics.json", json.dumps(metrics, indent=1))


def write_text(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = file.with_name(f".{file.name}.part")
    part.write_text(text)
    os.replace(part, file)


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
