"""The one table of what goes together. It imports nothing heavy: a wrong combination is refused before data are read.

Whether a model has the head that a readout takes, transformers knows; it is asked when the model is made.
"""

from llmimg.errors import UserError
from llmimg.readouts.settings import SETTINGS
from llmimg.settings import choose

# task → readout → the kinds of model it can be taken from; readout=auto is the first that fits
COMBINATIONS = {
    "classify": {
        "head": ("language", "image", "baseline"),
        "score": ("language", "endpoint"),
        "generate": ("language", "endpoint"),
    },
    "clm": {"likelihood": ("language",)},
    "mlm": {"masked": ("language",)},
}


def chosen_readout(task: str, readout: str, kind: str) -> str:
    """The readout's name, `auto` resolved: the task's first for this kind of model."""
    if readout != "auto":
        return readout
    fitting = choose(task, COMBINATIONS, "task")
    return next((name for name, kinds in fitting.items() if kind in kinds), next(iter(fitting)))


def check_combination(task: str, readout: str, kind: str) -> None:
    """Refuse what does not go together.

    Raises:
        UserError: an unknown task or readout, or ones that do not fit each other or the kind of model; it names those
            that do.
    """
    fitting = choose(task, COMBINATIONS, "task")
    choose(readout, SETTINGS, "readout")
    if readout not in fitting:
        raise UserError(f"task={task} cannot be read out by readout={readout}: take readout={' or '.join(fitting)}.")
    if kind not in fitting[readout]:
        raise UserError(
            f"task={task} with readout={readout} does not go with a model of the kind '{kind}': take one of the "
            f"kind {' or '.join(fitting[readout])}."
        )
