"""Plain text that a model learns beside images, as one task of a mixture."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from llmimg.errors import UserError
from llmimg.settings import Unit, settings_of
from llmimg.tasks.base import TASKS, Row
from llmimg.tasks.pretrain import Pretraining
from llmimg.tokens.sample import Part


@settings_of("task")
class TextSettings:
    """conf/task/text.yaml.

    Attributes:
        files: a file, a folder of `*.txt` or a pattern, or several.
        mask, rate, span: for readout=masked, as of task=mlm.
    """

    files: tuple[str, ...] | str | None = None
    mask: Literal["token", "span"] = "token"
    rate: Annotated[float, Field(gt=0, lt=1)] = 0.15
    span: Annotated[float, Field(ge=1), Unit("tokens")] = 3.0

    def __post_init__(self):
        files = (self.files,) if isinstance(self.files, str) else self.files or ()
        object.__setattr__(self, "files", files)
        if not files:
            raise UserError("task=text has no text: set task.files to a file, a folder of *.txt, or a pattern.")


@TASKS.register("text")
@dataclass(frozen=True)
class PlainTextModelling(Pretraining):
    """What comes next in plain text, or what was hidden in it."""

    settings: TextSettings
    Settings = TextSettings
    readouts = ("likelihood", "masked")
    of_images: ClassVar[bool] = False

    def answer(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        """Rows of plain text are cut from a stream, and hold nothing else."""
        return ()
