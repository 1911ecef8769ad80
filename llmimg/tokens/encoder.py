"""The one encoder: decode → resize → textify → ids. The cached map, live augmentation and the recogniser all call
it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from llmimg.data import Decoding, by_shape
from llmimg.textify import Ragged, Textifier
from llmimg.tokens import zero_shot  # noqa: F401 (it gives textify=region_objects its models)
from llmimg.tokens.vocabulary import Vocabulary


@dataclass(frozen=True)
class Encoder:
    """Images → image ids: the tokens of an image's text, unframed and uncut."""

    decoding: Decoding
    textifier: Textifier
    vocabulary: Vocabulary

    def for_workers(self) -> "Encoder":
        """Itself without the tokenizer, which look-ups do not need: a hundredth of the bytes to send to a process."""
        # pyrefly: ignore[bad-argument-type]
        return replace(self, vocabulary=replace(self.vocabulary, tokenizer=None, answers=None, open=None))

    def __call__(self, items: Sequence[Any], names: Sequence[str] | None = None) -> tuple[Ragged, dict[int, str]]:
        """Encode whatever `llmimg.data.decode` takes.

        Returns:
            Image ids, and for each image that is broken why, by its index; its row of ids is empty.
        """
        images, problems = self.decoding(items, names)
        return self._encoded(images), problems

    def hashed(
        self, items: Sequence[Any], names: Sequence[str] | None = None
    ) -> tuple[Ragged, dict[int, str], list[str | None]]:
        """The same, and the hash of each image's pixels as they were before they were brought to size; None where it is
        broken."""
        images, problems, hashes = self.decoding.hashed(items, names)
        return self._encoded(images), problems, hashes

    def _encoded(self, images: Sequence[np.ndarray | None]) -> Ragged:
        whole = [image for image in images if image is not None]
        ids = self.ids(whole) if whole else Ragged.from_rows([], self.vocabulary.lookup.dtype)
        if len(whole) == len(images):
            return ids
        empty, rows = np.empty(0, ids.values.dtype), iter(ids)
        return Ragged.from_rows([empty if image is None else next(rows) for image in images])

    def ids(self, images: Sequence[np.ndarray]) -> Ragged:
        """Image ids of decoded images, uint8 `[H, W, C]` each."""
        return self.vocabulary.lookup(write_all(self.textifier, images))

    def reconstructions(self, images: Sequence[np.ndarray], room: int | None = None) -> list[np.ndarray] | None:
        """The images that the texts of these give back, uint8 `[H, W, C]` each; None where the textifier gives none.

        Args:
            room: how many tokens of a text are read; None reads all.
        """
        if room is None:
            return reconstructions(self.textifier, images)
        return reconstructions(
            self.textifier,
            images,
            lambda pieces: Ragged.from_rows([pieces[0][: self.pieces_read(pieces, room)]], pieces.values.dtype),
        )

    def pieces_read(self, pieces: Ragged, room: int) -> int:
        """How many pieces of one image are read in so many tokens: those of which all tokens are."""
        spans = self.vocabulary.lookup.spans(pieces)
        return int(spans[room, 0]) if len(spans) > room else len(pieces.values)


def reconstructions(
    textifier: Textifier, images: Sequence[np.ndarray], read_pieces: Callable[[Ragged], Ragged] = lambda pieces: pieces
) -> list[np.ndarray] | None:
    """The images that the texts of these give back, uint8 `[H, W, C]` each; None where the textifier gives none.

    Args:
        read_pieces: of the pieces of one image those that are read.
    """
    found = []
    for image in images:
        given = textifier.read(read_pieces(textifier.write(image[None])), *image.shape[:2])
        if given is None:
            return None
        found.append(given[0])
    return found


def write_all(textifier: Textifier, images: Sequence[np.ndarray]) -> Ragged:
    """Piece ids of decoded images, uint8 `[H, W, C]` each: whole batches, one for each size that occurs."""
    groups = by_shape(images)
    if len(groups) == 1:
        return textifier.write(np.stack(images))
    rows: dict[int, np.ndarray] = {}
    for indices in groups:
        for index, row in zip(indices, textifier.write(np.stack([images[index] for index in indices])), strict=True):
            rows[index] = row
    return Ragged.from_rows([rows[index] for index in range(len(images))])
