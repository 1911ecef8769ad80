"""How a task asks: the prompt of each row, in one wording or in several."""

import abc
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from llmimg.tasks.info import NOTHING_KNOWN, DataInfo
from llmimg.tasks.templates import Template
from llmimg.tokens.sample import Part

# One row: the canonical columns that the task needs (`llmimg.data.columns`), and besides them
#   id         text;
#   size       (height, width) of the image on which objects and mask lie;
#   placement  `llmimg.data.Placement` of that image in what the model sees; None where it is what the model sees.
# A row to learn from lies on what the model sees, moved by fit and augmentation; a row to score on the source's image.
# A row to be asked has `asks`, `size` and `placement` alone.
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Prompting(abc.ABC):
    """The side of a task that asks, by the prompts of its settings (`llmimg.tasks.templates`).

    Attributes:
        settings: of its class's `Settings`.
        info: of the data it is asked of.
        wording: which of its prompts it is asked with in evaluation.
    """

    settings: Any
    info: DataInfo = NOTHING_KNOWN
    wording: int = 0

    asks: ClassVar[tuple[str, ...]] = ()  # the columns that are needed to ask, besides the image

    @property
    def constants(self) -> Mapping[str, str]:
        """What stands in its prompts for the settings' `constants`."""
        return {}

    @functools.cached_property
    def wordings(self) -> tuple[Template, ...]:
        """Its prompts, with what differs from row to row left open."""
        return tuple(Template.parsed(text, self.constants) for text in self.settings.prompts)

    def wording_of(self, seed: int | None) -> int:
        """Which of them a sample has; `seed` as of `prompt`."""
        if seed is None or len(self.wordings) == 1:
            return self.wording
        return int(np.random.default_rng([seed, 1]).integers(len(self.wordings)))

    @property
    def own_words(self) -> bool:
        """Whether its prompts hold words of the row's own."""
        return any(template.own for template in self.wordings)

    def in_every_wording(self) -> tuple[Self, ...]:
        """Itself, asked with each of its prompts in evaluation."""
        return tuple(dataclasses.replace(self, wording=each) for each in range(len(self.wordings)))

    @property
    def behind(self) -> str:
        """The words behind an answer."""
        return self.wordings[self.wording].behind

    @property
    def askings(self) -> Sequence[Row]:
        """Rows that stand for all, to see how prompts are built: where it can be asked by a few known words alone, one
        for each of these."""
        return [dict.fromkeys(self.asks, "?")]

    @property
    def stand_in(self) -> Row:
        """The first of these."""
        return self.askings[0]

    def prompt(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        """What the model is given.

        Args:
            row: with the columns of `asks`.
            seed: all that is random in it; None in evaluation.
        """
        return self.wordings[self.wording_of(seed)].filled(row)
