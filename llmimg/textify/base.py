"""What every textifier is: images → pieces, the box each piece speaks of, and the way back."""

import abc
import dataclasses
import functools
from typing import Any

import numpy as np

from llmimg.registry import Registry
from llmimg.textify.grammar import Grammar, Lexicon
from llmimg.textify.ragged import Ragged

TEXTIFIERS = Registry("textifier", "llmimg.textify")


class Textifier(abc.ABC):
    """One way to write an image as text. A subclass is a frozen dataclass whose fields are its only settings.

    Images are uint8 `[N, H, W, C]`, C = 1 or 3, N ≥ 1; boxes are int32 `[total, 4]` as (left, top, right, bottom) in
    pixels, right and bottom exclusive.
    """

    @functools.cached_property
    @abc.abstractmethod
    def grammar(self) -> Grammar:
        """The pieces and their order."""

    @property
    def lexicon(self) -> Lexicon:
        return self.grammar.lexicon

    @abc.abstractmethod
    def write(self, images: np.ndarray) -> Ragged:
        """Piece ids of a batch: N rows.

        Raises:
            UserError: where an image cannot be written with these settings.
        """

    @abc.abstractmethod
    def boxes(self, pieces: Ragged, height: int, width: int) -> np.ndarray:
        """The pixels each piece speaks of, for images of that size: int32 `[total, 4]`."""

    def read(self, pieces: Ragged, height: int, width: int) -> np.ndarray | None:
        """The way back: images uint8 `[N, H, W, C]` of that size; None where a textifier has none."""
        return None

    def texts(self, pieces: Ragged) -> list[str]:
        return [self.lexicon.text(row) for row in pieces]

    def settings(self) -> dict[str, Any]:
        """Its name and fields: what `make` makes it from again."""
        return {"name": TEXTIFIERS.name_of(type(self)), **dataclasses.asdict(self)}


def words(names: list[str]) -> dict[str, list[str]]:
    """Words separated by spaces, as two kinds of piece: `first` stands at the start of a text, `next` after a space."""
    return {"first": names, "next": [f" {name}" for name in names]}
