"""conf/readout: what each readout can be set to, and the kinds of model it can be taken from.

Beside the readouts' own files, which import torch: a wrong name is refused before that is there.
"""

from collections.abc import Sequence
from typing import Literal

from llmimg.errors import UserError
from llmimg.nearest import choose
from llmimg.settings import settings_of


@settings_of("readout")
class NoSettings:
    """A readout that has nothing to be set."""


@settings_of("readout")
class ScoreSettings:
    """conf/readout/score.yaml.

    Attributes:
        normalise: how answers of different lengths and frequencies are made comparable: `none`, `length` (the mean of
            its tokens' log-probabilities), or `prior` (minus what the answer has without an image: pointwise mutual
            information, Holtzman et al., EMNLP 2021).
    """

    normalise: Literal["none", "length", "prior"] = "none"


SETTINGS = {
    "head": NoSettings,
    "score": ScoreSettings,
    "generate": NoSettings,
    "likelihood": NoSettings,
    "masked": NoSettings,
}

# readout → the kinds of model it can be taken from
KINDS = {
    "head": ("language", "image", "baseline"),
    "score": ("language", "endpoint"),
    "generate": ("language", "endpoint"),
    "likelihood": ("language",),
    "masked": ("language",),
}


def chosen_readout(readouts: Sequence[str], readout: str, kind: str) -> str:
    """The readout's name, `auto` resolved: the first of a task's for this kind of model."""
    if readout != "auto":
        return readout
    return next((name for name in readouts if kind in KINDS[name]), readouts[0])


def check_combination(task: str, readouts: Sequence[str], readout: str, kind: str) -> None:
    """Refuse what does not go together.

    Args:
        readouts: those that can answer the task.

    Raises:
        UserError: an unknown readout, or one that does not fit the task or the kind of model; it names those that do.
    """
    choose(readout, SETTINGS, "readout")
    if readout not in readouts:
        raise UserError(f"task={task} cannot be read out by readout={readout}: take readout={' or '.join(readouts)}.")
    if kind not in KINDS[readout]:
        raise UserError(
            f"task={task} with readout={readout} does not go with a model of the kind '{kind}': take one of the "
            f"kind {' or '.join(KINDS[readout])}."
        )
