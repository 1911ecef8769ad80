"""What every textifier is: images → pieces, the box each piece speaks of, and the image back from pieces."""

import abc
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from llmimg.errors import UserError
from llmimg.registry import Registry
from llmimg.settings import build
from llmimg.textify.grammar import Grammar, Lexicon
from llmimg.textify.ragged import Ragged

TEXTIFIERS = Registry("textifier", "llmimg.textify")


class Textifier(abc.ABC):
    """One way to write an image as text. A subclass is decorated by `settings_of`: its fields are its only settings.

    Images are uint8 `[N, H, W, C]`, C = 1 or 3, N ≥ 1; boxes are int32 `[total, 4]` as (left, top, right, bottom) in
    pixels, right and bottom exclusive.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]  # `settings_of` makes every subclass a dataclass

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
    def boxes(self, pieces: Ragged, images: np.ndarray) -> np.ndarray:
        """The pixels each piece speaks of: int32 `[total, 4]`, in the images uint8 `[N, H, W, C]` that were written."""

    def read(self, pieces: Ragged, height: int, width: int) -> np.ndarray | None:
        """Reconstruct: images uint8 `[N, H, W, C]` of that size; None where a textifier has none.

        Any text of the grammar is an image: one that ends early leaves the rest black, and what comes after the last
        pixel is dropped.
        """
        return None

    @property
    def piece_cells(self) -> np.ndarray | None:
        """How many cells of an image each piece fills, int64 `[P]`: a text of the grammar whose pieces fill
        `budget(height, width)` in sum is read back as a whole image of that size. None where no text is."""
        return None

    def budget(self, height: int, width: int) -> int:
        """How many cells the text of an image of that size fills; only where there are `piece_cells`."""
        raise NotImplementedError

    def appearance(self) -> np.ndarray | None:
        """What its pieces look like, float32 `[pieces, F]`, in features of one scale: pieces that look alike have rows
        that are near. NaN where a piece has nothing of a feature; a piece that looks like nothing (a row mark, a
        heading) has nothing but NaN. None where all are so.

        Raises:
            UserError: where it must learn first, and has not.
        """
        return None

    @property
    def is_learned(self) -> bool:
        """Whether it writes only with what `learn` made of training images (a palette, codebooks)."""
        return False

    @property
    def learns_from_images(self) -> bool:
        """Whether what it learns depends on training images, its settings and nothing else, so that it may be kept."""
        return True

    def learn(self, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """What it must know before it can write, from training images uint8 `[H, W, C]` of any sizes: named arrays.
        Randomness comes from its settings alone."""
        return {}

    @functools.cached_property
    def state(self) -> Mapping[str, np.ndarray]:
        """What was learned.

        Raises:
            UserError: where it was not.
        """
        if self.is_learned:
            raise UserError(
                f"textify={TEXTIFIERS.name_of(type(self))} writes with what it learned from training images, and has "
                "not learned yet: call with_state(learn(images)), or load it from a run."
            )
        return {}

    def with_state(self, state: Mapping[str, np.ndarray]) -> Self:
        """Itself with what `learn` gave, or what was saved of it."""
        knowing = dataclasses.replace(self)
        knowing.__dict__["state"] = state
        return knowing

    def texts(self, pieces: Ragged) -> list[str]:
        return [self.lexicon.text(row) for row in pieces]

    def settings(self) -> dict[str, Any]:
        """Its name and fields: what `make` makes it from again."""
        return {"name": TEXTIFIERS.name_of(type(self)), **dataclasses.asdict(self)}


def make(name: str, **settings: Any) -> Textifier:
    """The textifier of that name.

    Raises:
        UserError: an unknown name or setting, or a value out of range.
    """
    return build(TEXTIFIERS[name], settings)


def words(names: list[str]) -> dict[str, list[str]]:
    """Words separated by spaces, as two kinds of piece: `first` stands at the start of a text, `next` after a space."""
    return {"first": names, "next": [f" {name}" for name in names]}
