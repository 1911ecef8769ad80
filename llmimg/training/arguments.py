"""conf/trainer → transformers.TrainingArguments: any of its fields."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmimg.errors import UserError
from llmimg.settings import check_names

# Set by the run itself: where its files are, and what its seed is.
_OURS = {"output_dir": "run_dir", "seed": "seed"}


def check_trainer(trainer: Mapping[str, Any]) -> None:
    """Refuse what is not a field of TrainingArguments, without making one (that starts devices and process groups).

    Raises:
        UserError: naming the nearest field.
    """
    from dataclasses import fields

    from transformers import TrainingArguments

    for name, setting in _OURS.items():
        if name in trainer:
            raise UserError(f"'trainer.{name}' follows from the run: set {setting}= instead.")
    check_names(trainer, [field.name for field in fields(TrainingArguments)], "trainer")


def make_arguments(trainer: Mapping[str, Any], folder: Path, seed: int):
    """TrainingArguments for a run in `folder`. Made late: it starts the device and, on several ranks, the process
    group.

    Raises:
        UserError: a value that TrainingArguments refuses, in its own words.
    """
    import torch
    from transformers import TrainingArguments

    ours = {
        "dataloader_pin_memory": torch.cuda.is_available(),
        # Several processes on CPUs find each other only where it is said; else each would train by itself.
        "use_cpu": not torch.accelerator.is_available(),
    }
    try:
        return TrainingArguments(
            output_dir=str(folder / "checkpoints"),
            seed=seed,
            # Our rows are arrays of any length: what a model's forward takes is made in the collator.
            remove_unused_columns=False,
            # A NaN must be seen, and every parameter takes part in every step.
            logging_nan_inf_filter=False,
            ddp_find_unused_parameters=False,
            **ours | dict(trainer),
        )
    except (ValueError, TypeError, ImportError, AssertionError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(f"The Trainer does not take these settings under trainer.*: {first}") from error
