"""conf/readout: what each readout can be set to."""

from dataclasses import dataclass

from llmimg.errors import UserError
from llmimg.settings import choose


@dataclass(frozen=True)
class NoSettings:
    """A readout that has nothing to be set."""


@dataclass(frozen=True)
class ScoreSettings:
    """conf/readout/score.yaml.

    Attributes:
        normalise: how answers of different lengths and frequencies are made comparable: `none`, `length` (the mean of
            its tokens' log-probabilities), or `prior` (minus what the answer has without an image: pointwise mutual
            information, Holtzman et al., EMNLP 2021).
    """

    normalise: str = "none"

    def __post_init__(self):
        choose(self.normalise, dict.fromkeys(("none", "length", "prior")), "readout.normalise")


@dataclass(frozen=True)
class GenerateSettings:
    """conf/readout/generate.yaml.

    Attributes:
        beams: answers that are followed at once; null is as many as a gigabyte of logits has room for. All are followed
            in the end: fewer at once take less memory and more passes, and change no result.
    """

    beams: int | None = None

    def __post_init__(self):
        if self.beams is not None and self.beams < 1:
            raise UserError(f"readout.beams={self.beams} is out of range: it takes 1 or more, or null.")


SETTINGS = {
    "head": NoSettings,
    "score": ScoreSettings,
    "generate": GenerateSettings,
    "likelihood": NoSettings,
    "masked": NoSettings,
}
