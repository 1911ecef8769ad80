"""From a resolved configuration to a finished folder: refuse, skip, show, launch or run it."""

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

import yaml

from llmimg.configuration import Configuration
from llmimg.errors import UserError
from llmimg.ranks import is_first_process, world_size
from llmimg.report.table import headline
from llmimg.run_folder import RunFolder
from llmimg.training.arguments import check_trainer

log = logging.getLogger("llmimg")


def carry_out(resolved: Mapping[str, Any], apart: bool = False) -> dict[str, float]:
    """Carry out one resolved configuration.

    Args:
        resolved: as `conf/` composes it, `run_dir` filled in.
        apart: in a process of its own, as runs of a sweep are: preparing forks, which a process that has trained must
            not do.

    Returns:
        The content of metrics.json; empty for a dry run.

    Raises:
        UserError: a user's mistake, wherever it shows.
    """
    configuration = Configuration.of(resolved)
    if configuration.run_dir is None:
        raise UserError("A configuration needs run_dir= to be carried out: the folder of its run.")
    folder = RunFolder(configuration.run_dir)
    set_up_log()
    if configuration.dry_run:
        check_trainer(configuration.trainer)
        log.info(
            "%s\nChecked, and nothing was read. It would run in %s.",
            yaml.safe_dump(dict(resolved), sort_keys=False),
            folder.path,
        )
        return {}
    notes = folder.check_is_ours(resolved, configuration.force)
    if folder.is_finished and not configuration.force:
        if is_first_process():
            from llmimg.provenance import check_finished  # what reads data loads what a run does not need to be shown

            notes += check_finished(configuration, folder)
        log.info("\n".join([*notes, f"Finished before: {folder.path} (force=true starts over)."]))
    else:
        check_trainer(configuration.trainer)
        if world_size() == 1 and (configuration.launch.processes > 1 or apart):
            _launch(configuration, resolved)
            return folder.metrics()  # the launched process has shown them
        _run(configuration, resolved, folder, notes)
    if not is_first_process():
        return {}
    metrics = folder.metrics()
    measures = configuration.task_kind.measures_for(configuration.task_settings)
    log.info("%s\nReport: %s", headline(metrics, measures), folder.path / "report.html")
    return metrics


def set_up_log() -> None:
    """Plain lines on standard output, from the first process only; bars that fill a log file move rarely. What is
    noted at every few steps goes to the run's log alone."""
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_MININTERVAL", "10")
    elif os.get_terminal_size(sys.stderr.fileno()).columns == 0:  # bars would be as wide as that
        import termios

        termios.tcsetwinsize(sys.stderr.fileno(), (24, 100))
    if not log.handlers:
        spoken = logging.StreamHandler(sys.stdout)
        spoken.setLevel(logging.INFO)
        log.addHandler(spoken)
    log.propagate = False
    log.setLevel(logging.DEBUG if is_first_process() else logging.ERROR)


def _run(configuration: Configuration, resolved: Mapping[str, Any], folder: RunFolder, notes: list[str]) -> None:
    import datasets
    from transformers.utils import logging as transformers_logging

    from llmimg.experiment import run_experiment

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()  # of loading and saving; the Trainer's own stays
    if str(configuration.trainer.get("disable_tqdm")).lower() == "true":
        datasets.disable_progress_bars()
    else:
        datasets.enable_progress_bars()

    mistaken = False
    try:
        run_experiment(configuration, resolved, folder, notes)
    except UserError:
        mistaken = True  # it cannot be gone on with, as what was merely interrupted can
        raise
    finally:
        folder.end(mistaken)


def _launch(configuration: Configuration, resolved: Mapping[str, Any]) -> None:
    """Hand the resolved configuration to one process or several: they do not compose again."""
    import torch

    processes, gpus = configuration.launch.processes, torch.cuda.device_count()
    if gpus and processes > gpus:
        raise UserError(f"launch.processes={processes} is more than the {gpus} GPUs of this machine: lower it.")
    launcher = []
    if processes > 1 and gpus:
        launcher = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes), "--module"]
    elif processes > 1:  # accelerate starts a single process on CPUs
        launcher = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(processes), "-m"]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(dict(resolved), file, sort_keys=False)
        file.flush()
        command = [*([*launcher, "llmimg"] if launcher else ["llmimg"]), "run", file.name]
        outcome = subprocess.run([sys.executable, "-m", *command, f"run_dir={configuration.run_dir}"])
    if outcome.returncode:
        raise UserError(f"The run in {configuration.run_dir} ended with status {outcome.returncode}: see above.")
