"""Where training begins: at the start, or where an unfinished run of the same data stands."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from transformers import TrainingArguments

from llmimg.errors import UserError
from llmimg.ranks import is_first_process, world_size
from llmimg.training.checkpoint import Manifest, Torn, read_manifest, step_of

log = logging.getLogger("llmimg")


@dataclass(frozen=True)
class Start:
    """Where training begins.

    Attributes:
        data: fingerprint of the data; what is saved says so.
        checkpoint: what to go on from; None at the start.
        manifest: what that is.
        notes: sentences that a reader of the results must know.
    """

    data: str = ""
    checkpoint: Path | None = None
    manifest: Manifest | None = None
    notes: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing is left to train: the weights are taken as they are."""
        return self.manifest is not None and self.manifest.ended


def starting_point(folder: Path, arguments: TrainingArguments, learns: bool, notes: list[str], *data: str) -> Start:
    """Where training begins, for a run that learns at all; what a reader must know of it is said, and added to `notes`.

    Args:
        folder: of its checkpoints.
        data: fingerprints of the data to train on, of the tokens they are written in, and of the weights to begin from.

    Raises:
        UserError: as `where_to_begin`.
    """
    start = where_to_begin(folder, arguments, " ".join(data)) if learns else Start()
    for note in start.notes:
        log.info(note)
    notes.extend(start.notes)
    return start


def where_to_begin(folder: Path, arguments: TrainingArguments, data: str) -> Start:
    """The newest whole checkpoint in `folder`, or the start. What is newer and not whole is passed over, and removed.

    Called by all processes, which come to the same.

    Args:
        arguments: their batches are made smaller, or accumulated, where another number of processes went before.
        data: fingerprint of the data to train on.

    Raises:
        UserError: where the checkpoint is of other data, or its batches cannot be shared by so many processes.
    """
    start = agreed(lambda: _found(folder, data))
    if start.manifest is not None:
        arguments.eval_on_start = False  # that was then
        share_out(arguments, start.manifest)
    return start


def agreed(decide: Callable[[], Any]) -> Any:
    """What the first process decides, in all of them.

    Raises:
        UserError: as it does there.
    """
    answer: list[Any] = [None, None]
    if is_first_process():
        try:
            answer[0] = decide()
        except UserError as error:
            answer[1] = str(error)
    if world_size() > 1:
        broadcast_object_list(answer)
    if answer[1] is not None:
        raise UserError(answer[1])
    return answer[0]


def _found(folder: Path, data: str) -> Start:
    steps = {path: step for path in folder.glob("checkpoint-*") if (step := step_of(path)) is not None}
    passed: list[Path] = []
    notes = []
    for path in sorted(steps, key=steps.__getitem__, reverse=True):
        try:
            manifest = read_manifest(path)
        except Torn as error:
            notes.append(f"{path.name} was passed over: {error}.")
        else:
            if manifest.data != data:
                raise UserError(
                    f"The data, the tokens that they are written in, or the weights that training began from, are not "
                    f"those of {path}: put them back, set another run_dir=, or start over with force=true."
                )
            if manifest.resumable or manifest.ended:
                break
            notes.append(f"{path.name} was passed over: it has weights alone (trainer.save_only_model).")
        passed.append(path)
    else:
        path = manifest = None
    for each in passed:
        shutil.rmtree(each, ignore_errors=True)
    if manifest is not None and manifest.processes != world_size() and not manifest.ended:
        notes.append(
            f"{manifest.processes} processes trained until step {manifest.step}, and {world_size()} from there on, "
            f"with steps of the same {manifest.global_batch} examples; what is drawn at random (dropout) is drawn anew."
        )
    if passed and path is None:
        notes.append("No checkpoint was whole: training started over.")
    return Start(data, path, manifest, tuple(notes))


def share_out(arguments: TrainingArguments, manifest: Manifest) -> None:
    """Make so many processes take steps of as many examples as the run did before.

    Raises:
        UserError: where they cannot.
    """
    devices = world_size() * max(1, arguments.n_gpu)
    mine = arguments.per_device_train_batch_size
    if devices * mine * arguments.gradient_accumulation_steps == manifest.global_batch or manifest.ended:
        return
    each, left = divmod(manifest.global_batch, devices)
    if left:
        raise UserError(
            f"This run takes steps of {manifest.global_batch} examples, by {manifest.processes} processes until now, "
            f"which {devices} cannot share evenly: start as many as then, or start over with force=true."
        )
    batch = max(size for size in range(1, min(mine, each) + 1) if each % size == 0)
    arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps = batch, each // batch
