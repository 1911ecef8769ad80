"""conf/readout: what each readout can be set to."""

from dataclasses import dataclass

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


SETTINGS = {
    "head": NoSettings,
    "score": ScoreSettings,
    "generate": NoSettings,
    "likelihood": NoSettings,
    "masked": NoSettings,
}
