"""The parts there are, and what can be set on the command line."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

from llmimg.errors import UserError
from llmimg.nearest import did_you_mean
from llmimg.settings import Positive, build, settings_of

PARTS = ("tokens", "textify", "breakdown", "prepare", "growth", "warm", "training", "generate", "packing")
ONE_CORE = ("tokens", "textify", "breakdown", "generate", "packing")

_ROOT = Path(__file__).resolve().parent.parent


@settings_of()
class Settings:
    """Attributes:
    data: CIFAR-10, a hub id or a local folder; null looks in $LLMIMG_SHARED (../shared), and then asks the hub.
    tokenizer: GPT-2's, likewise.
    images: the most images any part uses; every part scales with it.
    rounds: how often the sides of a comparison take turns; null is each part's own number.
    num_proc: processes on either side of `prepare`.
    steps: optimizer steps a round of `training`.
    """

    data: str | None = None
    tokenizer: str | None = None
    images: Annotated[int, Field(ge=12)] = 60_000
    rounds: Positive | None = None
    num_proc: Positive = 2
    steps: Annotated[int, Field(ge=2)] = 150

    @property
    def data_path(self) -> str:
        """A local folder or a hub id."""
        return self.data or _shared("data/cifar10") or "uoft-cs/cifar10"

    @property
    def tokenizer_path(self) -> str:
        """A local folder or a hub id."""
        return self.tokenizer or _shared("models/gpt2") or "openai-community/gpt2"


def parse(arguments: list[str]) -> tuple[list[str], Settings]:
    """The parts to run, in the order of `PARTS`, and the settings.

    Raises:
        UserError: an unknown part or key, or a value out of range.
    """
    pairs = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    names = [argument for argument in arguments if "=" not in argument]
    for name in names:
        if name not in PARTS:
            raise UserError(f"There is no benchmark '{name}': {did_you_mean(name, PARTS)}")
    return [name for name in PARTS if name in names or not names], build(Settings, pairs)


def _shared(name: str) -> str | None:
    path = Path(os.environ.get("LLMIMG_SHARED") or _ROOT.parent / "shared") / name
    return str(path) if path.is_dir() else None
