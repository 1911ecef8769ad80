"""From a resolved configuration to a finished folder: refuse, skip, show, launch or run it."""

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from llmimg.configuration import Configuration
from llmimg.errors import UserError
from llmimg.ranks import is_first_process, world_size
from llmimg.report.table import headline
from llmimg.run_folder import RunFolder
from llmimg.training.arguments import check_trainer

log = logging.getLogger("llmimg")


def carry_out(plain: Mapping[str, Any]) -> dict[str, float]:
    """Carry out one resolved configuration.

    Args:
        plain: as `conf/` composes it, `run_dir` filled in.

    Returns:
        The content of metrics.json; empty for a dry run.

    Raises:
        UserError: a user's mistake, wherever it shows.
    """
    configuration = Configuration.of(plain)
    folder = RunFolder(configuration.run_dir)
    speak()
    if configuration.dry_run:
        check_trainer(configuration.trainer)
        log.info(
            "%s\nChecked, and nothing was read. It would run in %s.",
            yaml.safe_dump(dict(plain), sort_keys=False),
            folder.path,
        )
        return {}
    notes = [] if configuration.force else folder.check_is_ours(plain)
    if folder.is_finished and not configuration.force:
        log.info("\n".join([*notes, f"Finished before: {folder.path} (force=true starts over)."]))
    else:
        check_trainer(configuration.trainer)
        if configuration.launch.processes > 1 and world_size() == 1:
            _launch(configuration, plain)
        else:
            _run(configuration, plain, folder, notes)
    if not is_first_process():
        return {}
    metrics = folder.metrics()
    log.info("%s\nReport: %s", headline(metrics), folder.path / "report.html")
    return metrics


def speak() -> None:
    """Plain lines on standard output, from the first process only; bars that fill a log file move rarely."""
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_MININTERVAL", "10")
    if not log.handlers:
        log.addHandler(logging.StreamHandler(sys.stdout))
    log.propagate = False
    log.setLevel(logging.INFO if is_first_process() else logging.ERROR)


def _run(configuration: Configuration, plain: Mapping[str, Any], folder: RunFolder, notes: list[str]) -> None:
    from transformers.utils import logging as transformers_logging

    from llmimg.experiment import run_experiment

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()  # of loading and saving; the Trainer's own stays

    if configuration.force and is_first_process():
        folder.clear()
    goes_on = bool(folder.config())
    try:
        run_experiment(configuration, plain, folder, notes)
    except UserError:
        if not goes_on and is_first_process():
            folder.clear()  # nothing half-written stays of a run that cannot be
        raise
    finally:
        folder.close_log()


def _launch(configuration: Configuration, plain: Mapping[str, Any]) -> None:
    """Hand the resolved configuration to several processes: they do not compose again."""
    import torch

    run_dir = Path(configuration.run_dir).absolute()
    resolved = run_dir.with_name(f"{run_dir.name}.launch.yaml")
    resolved.parent.mkdir(parents=True, exist_ok=True)
    resolved.write_text(yaml.safe_dump(dict(plain), sort_keys=False))
    count = str(configuration.launch.processes)
    if torch.cuda.is_available():
        launcher = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", count, "--module"]
    else:  # accelerate starts a single process on CPUs
        launcher = ["torch.distributed.run", "--standalone", "--nproc_per_node", count, "-m"]
    try:
        command = [sys.executable, "-m", *launcher, "llmimg", "run", str(resolved), f"run_dir={configuration.run_dir}"]
        outcome = subprocess.run(command)
    finally:
        resolved.unlink(missing_ok=True)
    if outcome.returncode:
        raise UserError(
            f"The {count} processes of {configuration.run_dir} ended with status {outcome.returncode}: see above."
        )
