"""Which tasks go together in one model."""

from typing import TYPE_CHECKING, Any

from llmimg.errors import UserError
from llmimg.readouts.settings import PROMPTED
from llmimg.tasks.chosen import kind_of
from llmimg.tasks.mixture import MEAN, share_reached

if TYPE_CHECKING:
    from llmimg.configuration import Configuration

_CAUSAL = (*PROMPTED, "likelihood")
MIXED = (*_CAUSAL, "masked")  # readouts that share all of a model


def chosen_in_a_mixture(part: Any) -> dict[str, Any]:
    """The readout of a part (`llmimg.tasks.mixture.PartSettings`), `auto` resolved: the first of its task's that shares
    all of a model."""
    if part.readout.get("name") != "auto":
        return part.readout
    names = [name for name in kind_of(part.task).readouts if name in MIXED]
    return {**part.readout, "name": names[0]} if names else part.readout


def check_mixture(configuration: "Configuration") -> None:
    """Refuse tasks that cannot share a model, and settings that would be passed over.

    Raises:
        UserError: naming the part, and what to do.
    """
    mixture, parts = configuration.task_settings, configuration.parts
    for name, part in parts.items():
        if part.task_name == "mixture":
            raise UserError(f"task.parts.{name} is a mixture itself: name its tasks in task.parts.")
        if part.readout_name not in MIXED:
            others = [each for each in part.task_kind.readouts if each in MIXED]
            raise UserError(
                f"task.parts.{name}: readout={part.readout_name} puts an end of its own on the model, which the other "
                f"tasks do not share: take {' or '.join(others) or 'another task'}."
            )
        for setting, instead in {"image_loss": "task.image_loss", "pack": "task.packed"}.items():
            if getattr(part.task_settings, setting, 0):
                raise UserError(
                    f"task.parts.{name}.task.{setting} is for a task alone: set {instead}, for the texts that all "
                    "share."
                )
        if part.data.images != configuration.data.images:
            raise UserError(
                f"task.parts.{name}.data.images={part.data.images} is not the mixture's "
                f"({configuration.data.images}): a control is for all tasks alike."
            )
        if part.data is not configuration.data and part.data.balance:
            raise UserError(f"task.parts.{name}.data.balance is for a task alone: leave it out.")
        if not part.task_kind.of_images:
            _check_text(name, part, part.data is not configuration.data)
    kinds = {name: part.readout_name in _CAUSAL for name, part in parts.items()}
    if len(set(kinds.values())) > 1:
        one, other = (next(name for name, causal in kinds.items() if causal is each) for each in (True, False))
        raise UserError(
            f"task.parts.{one} writes from left to right, and task.parts.{other} fills in what is hidden: one model "
            "cannot do both. Leave one out."
        )
    if not any(part.task_kind.of_images for part in parts.values()):
        raise UserError("The mixture has plain text alone, and no task of images: name one in task.parts.")
    if mixture.image_loss and not any(part.readout_name in PROMPTED for part in parts.values()):
        raise UserError("task.image_loss is for the image's text in a prompt, and no task has one: set it to 0.")
    of_images = [part for part in parts.values() if part.task_kind.of_images]
    if all(part.data is not configuration.data for part in of_images):
        raise UserError(
            "Every task of the mixture has data of its own, and data= would be passed over: leave out one's."
        )
    _check_stopping(configuration)


def _check_text(name: str, part: "Configuration", has_data: bool) -> None:
    """Refuse what plain text would pass over."""
    if has_data:
        raise UserError(f"task.parts.{name} is plain text, and has task.files: leave its data out.")
    usual = type(part.task_settings)(files="a")
    for setting in ("mask", "rate", "span"):
        if part.readout_name != "masked" and getattr(part.task_settings, setting) != getattr(usual, setting):
            raise UserError(f"task.parts.{name}.task.{setting} is for readout=masked: leave it out.")


def _check_stopping(configuration: "Configuration") -> None:
    """Refuse to go by a mean that is not of all."""
    wanted = {configuration.trainer.get("metric_for_best_model")}
    if configuration.early_stopping.patience is not None:
        wanted.add(configuration.early_stopping.metric or MEAN.key)
    if not wanted & {MEAN.key, f"eval_{MEAN.key}"}:
        return
    for name, part in configuration.parts.items():
        measure = part.task_kind.measures[0]
        if not share_reached(measure, 0.0):
            raise UserError(
                f"The {measure.phrase} of task.parts.{name} has no worst or best, so that the mean of headlines is not "
                f"of all: name what to go by, such as early_stopping.metric={name}/{measure.key}."
            )
