"""conf/readout: what each readout can be set to, and the kinds of model it can be taken from.

Beside the readouts' own files, which import torch: a wrong name is refused before that is there.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from llmimg.errors import UserError
from llmimg.nearest import choose
from llmimg.settings import Positive, settings_of


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


@settings_of("readout")
class GenerateSettings:
    """conf/readout/generate.yaml: how an answer is searched for, or drawn, where there are not just a few.

    Attributes:
        beams: answers that beam search follows at once; 1 takes the likeliest token each time.
        samples: answers that are drawn, of which the likeliest is taken; 0 draws none.
        temperature: log-probabilities are divided by it before they are drawn from.
        top_k: draw from so many of the likeliest tokens; 0 is all.
        top_p: draw from the fewest of the likeliest tokens that have this much of the probability (Holtzman et al.,
            ICLR 2020); 1 is all.
    """

    beams: Positive = 1
    samples: Annotated[int, Field(ge=0)] = 0
    temperature: Annotated[float, Field(gt=0)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0

    def __post_init__(self):
        if self.samples and self.beams > 1:
            raise UserError("readout.samples draws answers, and readout.beams searches for one: set one of them.")


@settings_of("readout")
class ContrastiveSettings:
    """conf/readout/contrastive.yaml.

    Attributes:
        dimension: of the space that images and texts share.
        temperature: what products of unit vectors are divided by where learning begins; it is learned from there.
    """

    dimension: Positive = 128
    temperature: Annotated[float, Field(gt=0)] = 0.07


SETTINGS = {
    "head": NoSettings,
    "score": ScoreSettings,
    "generate": GenerateSettings,
    "likelihood": NoSettings,
    "masked": NoSettings,
    "contrastive": ContrastiveSettings,
    "mixture": NoSettings,  # each task's own
}

PROMPTED = ("score", "generate")  # those whose answer follows a prompt

# readout → the kinds of model it can be taken from
KINDS = {
    "head": ("language", "image", "baseline"),
    "score": ("language", "endpoint", "baseline"),
    "generate": ("language", "endpoint", "baseline"),
    "likelihood": ("language",),
    "masked": ("language",),
    "contrastive": ("language",),
    "mixture": ("language",),
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
