"""Several texts of one image in one, each under a heading."""

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from llmimg.errors import UserError
from llmimg.settings import settings_of
from llmimg.textify.base import TEXTIFIERS, Textifier, make
from llmimg.textify.grammar import START, Grammar, Lexicon
from llmimg.textify.ragged import Ragged


@TEXTIFIERS.register("concat")
@settings_of("textify")
class Concat(Textifier):
    """What several textifiers write, one after the other, each under its name.

    `"region_color:\\nregion_color_124_127_146 …\\ngray:\\n0 7 15 …"`. A heading speaks of the whole image. The way
    back is that of the first part that has one.

    Attributes:
        parts: the textifiers, each as its name and settings.
    """

    parts: tuple[dict[str, Any], ...] = ({"name": "region_color"}, {"name": "gray"})

    def __post_init__(self):
        if not self.parts:
            raise UserError("textify.parts is empty: give it textifiers, as [{name: gray}, {name: sift}].")
        for part in self.parts:
            if "name" not in part:
                raise UserError(f"A part of textify.parts names no textifier ({part}): give it a name.")
        _ = self._unlearned

    @functools.cached_property
    def _unlearned(self) -> list[Textifier]:
        return [make(**part) for part in self.parts]

    @functools.cached_property
    def _textifiers(self) -> list[Textifier]:
        """The parts, each with what it learned."""
        return [
            each.with_state(_of_part(self.state, index)) if each.is_learned else each
            for index, each in enumerate(self._unlearned)
        ]

    @property
    def is_learned(self) -> bool:
        return any(each.is_learned for each in self._unlearned)

    def learn(self, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """What each part learns, its names behind the part's index: `"1.codes"`."""
        return {
            f"{index}.{name}": array
            for index, each in enumerate(self._unlearned)
            for name, array in each.learn(images).items()
        }

    @functools.cached_property
    def grammar(self) -> Grammar:
        parts = [each.grammar for each in self._unlearned]
        kinds: dict[str, Sequence[str]] = {
            f"heading_{index}": [heading] for index, heading in enumerate(self._headings)
        }
        moves: dict[str, dict[str, str]] = {START: {"heading_0": f"0/{START}"}}
        for index, part in enumerate(parts):
            for kind, ids in part.lexicon.kinds.items():
                kinds[f"{index}/{kind}"] = part.lexicon.pieces[ids.start : ids.stop]
            for state, following in part.moves.items():
                moves[f"{index}/{state}"] = {f"{index}/{kind}": f"{index}/{after}" for kind, after in following.items()}
            if index + 1 < len(parts):
                for state in part.final:
                    moves.setdefault(f"{index}/{state}", {})[f"heading_{index + 1}"] = f"{index + 1}/{START}"
        last = len(parts) - 1
        return Grammar(Lexicon.of(**kinds), moves, frozenset(f"{last}/{state}" for state in parts[-1].final))

    @property
    def _headings(self) -> list[str]:
        return ["\n" * (index > 0) + f"{part['name']}:\n" for index, part in enumerate(self.parts)]

    @functools.cached_property
    def _starts(self) -> list[int]:
        """Where each part's pieces begin in the lexicon; the last entry is where it ends."""
        sizes = [len(each.lexicon) for each in self._unlearned]
        return list(itertools.accumulate(sizes, initial=len(self.parts)))

    def write(self, images: np.ndarray) -> Ragged:
        dtype = self.lexicon.dtype
        written = []
        for index, (each, start) in enumerate(zip(self._textifiers, self._starts, strict=False)):
            pieces = each.write(images)
            written.append(Ragged.rectangular(np.full((len(images), 1), index, dtype)))
            written.append(Ragged(pieces.values.astype(dtype) + dtype.type(start), pieces.offsets))
        return Ragged.side_by_side(written)

    def boxes(self, pieces: Ragged, images: np.ndarray) -> np.ndarray:
        height, width = images.shape[1:3]
        boxes = np.tile(np.array([0, 0, width, height], np.int32), (len(pieces.values), 1))
        for index, each in enumerate(self._textifiers):
            inside, part = self._part(pieces, index)
            boxes[inside] = each.boxes(part, images)
        return boxes

    def read(self, pieces: Ragged, height: int, width: int) -> np.ndarray | None:
        for index, each in enumerate(self._textifiers):
            image = each.read(self._part(pieces, index)[1], height, width)
            if image is not None:
                return image
        return None

    @property
    def piece_cells(self) -> np.ndarray | None:
        """Those of its one part; of several, no sum tells which of them is whole."""
        own = self._unlearned[0].piece_cells
        return None if own is None or len(self.parts) > 1 else np.concatenate([np.zeros(1, np.int64), own])

    def budget(self, height: int, width: int) -> int:
        return self._unlearned[0].budget(height, width)

    def appearance(self) -> np.ndarray | None:
        """What the pieces of each part look like, in columns of its own; a heading is nothing."""
        looks = [(start, each.appearance()) for start, each in zip(self._starts, self._textifiers, strict=False)]
        looks = [(start, look) for start, look in looks if look is not None]
        if not looks:
            return None
        found = np.full((len(self.lexicon), sum(look.shape[1] for _, look in looks)), np.nan, np.float32)
        column = 0
        for start, look in looks:
            found[start : start + len(look), column : column + look.shape[1]] = look
            column += look.shape[1]
        return found

    def _part(self, pieces: Ragged, index: int) -> tuple[np.ndarray, Ragged]:
        """Which pieces are those of a part, bool `[total]`, and they alone."""
        start, end = self._starts[index : index + 2]
        inside = (pieces.values >= start) & (pieces.values < end)
        offsets = np.concatenate([[0], np.cumsum(inside)])[pieces.offsets]
        values = (pieces.values[inside] - start).astype(self._unlearned[index].lexicon.dtype)
        return inside, Ragged(values, offsets)


def _of_part(state: Mapping[str, np.ndarray], index: int) -> dict[str, np.ndarray]:
    return {name.removeprefix(f"{index}."): array for name, array in state.items() if name.startswith(f"{index}.")}
