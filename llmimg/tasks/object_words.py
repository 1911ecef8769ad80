"""Objects as words: `" y4 x7 y20 x15 cat"`, of each the coordinates of its upper left and lower right corner, and its
class (Pix2Seq: Chen et al., ICLR 2022).

Each side of the image that the model sees is divided into `bins` parts alike, whatever its length. A coordinate is the
number of an edge between them, from 0 to `bins`: edge k lies at k / bins of the side.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmimg.textify import START, Grammar, Lexicon
from llmimg.textify.appearance import appearance_of, steps

LENGTH = 5  # words of an object
_SIDES = [1, 0, 3, 2]  # y0, x0, y1, x1 of x0, y0, x1, y1, and back


@dataclass(frozen=True)
class ObjectWords:
    """What objects are written with.

    Attributes:
        names: of their classes.
        bins: parts that a side of the image is divided into.
    """

    names: tuple[str, ...]
    bins: int

    @functools.cached_property
    def grammar(self) -> Grammar:
        """Any number of objects, none included. Coordinates and classes never stand where the other may."""
        edges = range(self.bins + 1)
        lexicon = Lexicon.of(
            y=[f" y{edge}" for edge in edges],
            x=[f" x{edge}" for edge in edges],
            name=[f" {name}" for name in self.names],
        )
        moves = {
            START: {"y": "left"},
            "left": {"x": "bottom"},
            "bottom": {"y": "right"},
            "right": {"x": "name"},
            "name": {"name": "object"},
            "object": {"y": "left"},
        }
        return Grammar(lexicon, moves, frozenset({START, "object"}))

    @functools.cached_property
    def completing(self) -> np.ndarray:
        """1 for each piece that completes an object, its class; 0 for the others. int64 `[P]`."""
        return (np.arange(len(self.grammar.lexicon)) >= self._first[-1]).astype(np.int64)

    def appearance(self) -> np.ndarray:
        """As `Task.appearance`: a coordinate is its number, a class looks like nothing."""
        looks = steps(self.bins + 1)
        return appearance_of(self.grammar.lexicon, (("y",), looks), (("x",), looks))

    def mistaken(self) -> str | None:
        """A class whose name has a word that is a coordinate: its answers could be read in two ways."""
        numbers = {piece.strip() for piece in self.grammar.lexicon.pieces[: self._first[-1]]}
        return next((name for name in self.names if numbers & set(name.split(" "))), None)

    def write(self, corners: np.ndarray, classes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Piece ids, int64 `[N, 5]`, of boxes x0, y0, x1, y1 `[N, 4]` in an image of `size` (height, width).

        A box that is thinner than a bin, so that two of its sides have one nearest edge, takes the whole bin that its
        middle lies in: without area it would be found nowhere.
        """
        sides = np.asarray(corners, float).reshape(-1, 2, 2) * self.bins / np.array(size[::-1], float)
        edges = np.rint(sides).astype(np.int64)
        thin = (edges[:, 0] == edges[:, 1])[:, None]
        around = np.minimum(np.floor(sides.mean(axis=1)), self.bins - 1).astype(np.int64)
        edges = np.where(thin, np.stack([around, around + 1], axis=1), edges).reshape(-1, 4)
        return np.concatenate([edges[:, _SIDES], np.asarray(classes)[:, None]], axis=1) + self._first

    def read(self, pieces: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """What words say, decoded: boxes float64 `[N, 4]` and classes int64 `[N]`, of `[N, 5]`."""
        words = np.asarray(pieces, np.int64) - self._first
        return words[:, _SIDES] * np.tile(size[::-1], 2) / self.bins, words[:, -1]

    @functools.cached_property
    def _first(self) -> np.ndarray:
        """The first piece of each of an object's five kinds of word."""
        return np.array([self.grammar.lexicon.kinds[kind].start for kind in ("y", "x", "y", "x", "name")], np.int64)


def confidence(log_probabilities: Sequence[float] | np.ndarray) -> np.ndarray:
    """How sure each object is, float64 `[N]`, 0 to 1, by the log-probabilities of its words `[N, 5]`.

    It is that of its class times the geometric mean of its four coordinates'. Their product would fall with the number
    of bins, as neighbouring edges share what is likely, and a bound on it would mean something else for each.
    """
    words = np.asarray(log_probabilities, np.float64)
    return np.exp(words[:, -1] + words[:, :-1].mean(axis=1))
