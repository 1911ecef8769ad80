"""The one table of what goes together. It imports nothing heavy: a wrong combination is refused before data are
read."""

from llmimg.errors import UserError
from llmimg.settings import choose

# task → readout → whose output it can be: the kinds of model, as `llmimg.readouts` knows them.
COMBINATIONS = {"classify": {"head": "a language model with a sequence-classification head"}}


def check_combination(task: str, readout: str) -> None:
    """Refuse what does not go together.

    Raises:
        UserError: an unknown task or readout, or two that do not fit; it names those that do.
    """
    fitting = choose(task, COMBINATIONS, "task")
    known = {name for readouts in COMBINATIONS.values() for name in readouts}
    choose(readout, dict.fromkeys(known), "readout")
    if readout not in fitting:
        raise UserError(f"task={task} cannot be read out by readout={readout}: take readout={' or '.join(fitting)}.")
