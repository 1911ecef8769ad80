"""conf/task: what each task can be set to. It imports nothing heavy: names are checked before data are read."""

import math
from dataclasses import dataclass

from llmimg.errors import UserError
from llmimg.settings import choose


@dataclass(frozen=True)
class ClassifySettings:
    """conf/task/classify.yaml.

    Attributes:
        template: the text in which the model reads an image and answers, for `readout=score` and `generate`: `{image}`
            and `{answer}` once each, in this order; `{classes}` in front of the image lists them all.
        chat: write it as the turns of a conversation, by the tokenizer's own chat template: what stands in front of
            `{answer}` is the user's, the answer the model's.
        shots: how many training images with their answers stand in front of each image, drawn by `seed`, as evenly of
            all classes as goes.
    """

    template: str = "{image}\nclass: {answer}\n"
    chat: bool = False
    shots: int = 0

    def __post_init__(self):
        if any(self.template.count(place) != 1 for place in ("{image}", "{answer}")) or (
            self.template.index("{image}") > self.template.index("{answer}")
        ):
            raise UserError(
                f"task.template={self.template!r} has not {{image}} and {{answer}} once each, in this order."
            )
        if "{classes}" in self.template.partition("{image}")[2]:
            raise UserError(f"task.template={self.template!r} has {{classes}} behind {{image}}: put it in front.")
        if self.shots < 0:
            raise UserError(f"task.shots={self.shots} is out of range: it takes 0 or more.")


@dataclass(frozen=True)
class PretrainSettings:
    """What every kind of pretraining can be set to.

    Attributes:
        text: plain text to learn from beside the images': a file, a folder of `*.txt` or a pattern, or several.
        weights: how often the images' text and each plain text are drawn, in this order; null draws all alike.
    """

    text: tuple[str, ...] | str | None = None
    weights: tuple[float, ...] | None = None

    def __post_init__(self):
        text = (self.text,) if isinstance(self.text, str) else self.text or ()
        object.__setattr__(self, "text", text)
        if self.weights is None:
            object.__setattr__(self, "weights", (1.0,) * (1 + len(text)))
        if len(self.weights) != 1 + len(text):
            raise UserError(
                f"task.weights has {len(self.weights)} numbers: it takes one for the images' text and one for each of "
                f"the {len(text)} plain texts (task.text)."
            )
        if not all(0 <= weight < math.inf for weight in self.weights) or not any(self.weights):
            raise UserError(f"task.weights={list(self.weights)} is out of range: it takes 0 or more, not all 0.")


@dataclass(frozen=True)
class ClmSettings(PretrainSettings):
    """conf/task/clm.yaml.

    Attributes:
        pack: tokens a row of a training batch holds, of as many whole sequences as fit; 0 gives each a row of its own.
    """

    pack: int = 0

    def __post_init__(self):
        super().__post_init__()
        if self.pack < 0:
            raise UserError(f"task.pack={self.pack} is out of range: it takes 0 or more tokens.")


@dataclass(frozen=True)
class MlmSettings(PretrainSettings):
    """conf/task/mlm.yaml.

    Attributes:
        mask: what is hidden together: `token`, `span` (runs of tokens, as in SpanBERT: Joshi et al., TACL 2020) or
            `block` (rectangles of the image).
        rate: the share of tokens that is hidden; of these 80 % are masked, 10 % random and 10 % left (BERT).
        span: mean length of a run, in tokens.
        block: side of a rectangle, as a share of the image's.
    """

    mask: str = "token"
    rate: float = 0.15
    span: float = 3.0
    block: float = 0.3

    def __post_init__(self):
        super().__post_init__()
        choose(self.mask, dict.fromkeys(("token", "span", "block")), "task.mask")
        for name, least, most in (("rate", 0, 1), ("block", 0, 1)):
            if not least < getattr(self, name) < most:
                raise UserError(f"task.{name}={getattr(self, name)} is out of range: it takes between 0 and 1.")
        if self.span < 1:
            raise UserError(f"task.span={self.span} is out of range: it takes 1 or more tokens.")


SETTINGS = {"classify": ClassifySettings, "clm": ClmSettings, "mlm": MlmSettings}
