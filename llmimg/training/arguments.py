"""conf/trainer → transformers.TrainingArguments: any of its fields."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmimg.errors import UserError
from llmimg.nearest import check_names
from llmimg.settings import Positive, read, setting_types
from llmimg.tasks.measure import Measure

# What follows from the run itself, and what to set instead.
_OURS = {
    "output_dir": "set run_dir= instead",
    "seed": "set seed= instead",
    "remove_unused_columns": "batches are made by the task's collator",
    "resume_from_checkpoint": "an unfinished run goes on by itself, and force=true starts over",
    "restore_callback_states_from_checkpoint": "an interrupted run goes on as if it had not been",
    "ignore_data_skip": "an interrupted run goes on as if it had not been",
    "batch_eval_metrics": "a split is measured as a whole",
    "eval_do_concat_batches": "a split is measured as a whole",
}
# TrainingArguments takes any number, and fails late.
_NARROWER = dict.fromkeys(
    ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"), Positive
)
_NUMBERS: tuple[Any, ...] = (
    int,
    float,
    bool,
    int | None,
    float | None,
    bool | None,
    Positive,
)  # the types that are checked here


def argument_types() -> dict[str, Any]:
    """The fields of TrainingArguments and the types they take."""
    # It says what it lacks, while it is imported, and at every step what it does.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    from transformers import TrainingArguments

    return setting_types(TrainingArguments)


def check_trainer(trainer: Mapping[str, Any]) -> None:
    """Refuse what is no field of TrainingArguments or not of its type, without making one (that starts devices and
    process groups).

    Raises:
        UserError: naming the nearest field, or what it takes.
    """
    for name in _OURS.keys() & trainer.keys():
        raise UserError(f"'trainer.{name}' follows from the run: {_OURS[name]}.")
    hints = argument_types()
    check_names(trainer, hints, "trainer")
    for name, value in trainer.items():
        hint = _NARROWER.get(name, hints[name])
        number = read(value, hint, f"trainer.{name}") if hint in _NUMBERS else value
        if name == "max_steps" and number == 0:
            raise UserError(f"trainer.max_steps={value} trains nothing: it takes 1 or more, or -1 for whole epochs.")
    if trainer.get("train_sampling_strategy") == "group_by_length":
        raise UserError("trainer.train_sampling_strategy=group_by_length is not done here: images are drawn at random.")


def stop_early(trainer: Mapping[str, Any], measure: Measure) -> dict[str, Any]:
    """The Trainer's settings for ending early by a measure of the validation split: it keeps the best weights, and so
    saves whenever it evaluates."""
    evaluated = {key: trainer[key] for key in ("eval_strategy", "eval_steps") if key in trainer}
    saved = {key.replace("eval", "save"): value for key, value in evaluated.items()}
    best = {"metric_for_best_model": measure.key, "greater_is_better": measure.higher_is_better}
    return {**trainer, **saved, **best, "load_best_model_at_end": True}


def make_arguments(trainer: Mapping[str, Any], folder: Path, seed: int):
    """TrainingArguments for a run in `folder`. Made late: it starts the device and, on several ranks, the process
    group.

    Raises:
        UserError: a value that TrainingArguments refuses, in its own words.
    """
    import torch
    from transformers import TrainingArguments

    ours: dict[str, Any] = {
        "dataloader_pin_memory": torch.cuda.is_available(),
        # Several processes on CPUs find each other only where it is said; else each would train by itself.
        "use_cpu": not torch.accelerator.is_available(),
        # A NaN must be seen, and every parameter takes part in every step.
        "logging_nan_inf_filter": False,
        "ddp_find_unused_parameters": False,
        # Left to itself, it follows how much transformers says: nothing, here.
        "disable_tqdm": False,
    }
    try:
        return TrainingArguments(
            output_dir=str(folder / "checkpoints"),
            seed=seed,
            # Our rows are arrays of any length: what a model's forward takes is made in the collator.
            remove_unused_columns=False,
            restore_callback_states_from_checkpoint=True,
            **{**ours, **trainer},
        )
    except (ValueError, TypeError, ImportError, AssertionError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(f"The Trainer does not take these settings under trainer.*: {first}") from error
