"""Patches as text: each coded by residual k-means, a few words a patch."""

import functools
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from llmimg.errors import UserError
from llmimg.settings import Positive, Seed, settings_of
from llmimg.textify.base import TEXTIFIERS, Textifier
from llmimg.textify.codebook import fit_codes, nearest_codes
from llmimg.textify.grammar import START, Grammar, Lexicon
from llmimg.textify.order import Order, reading_order
from llmimg.textify.pixel import as_rgb, brightness
from llmimg.textify.ragged import Ragged

_FIT_PATCHES = 200_000  # more change the codes no longer, and take longer
_CHUNK = 2**16  # patches coded at once


@TEXTIFIERS.register("patch_words")
@settings_of("textify")
class PatchWords(Textifier):
    """Each patch as `words` words: the nearest of `codes` patterns, then of patterns for what that one leaves, …

    This is residual vector quantisation (Juang and Gray, "Multiple stage vector quantization for speech coding", 1982)
    with codebooks that k-means learns on patches of training images: `"a17 b201 a3 b9"`, a letter for the index in the
    patch's code and a number for the pattern. From the second word on, pattern 0 is "nothing more", so that a further
    word never makes a patch worse. Images whose sides are no multiples of `patch` are continued by their last pixels.
    What learned from gray images writes colour images by their brightness.

    Attributes:
        patch: pixels a side of a patch.
        words: words a patch, 1 to 16.
        codes: patterns a word chooses from, 2 to 65536.
        order: in which patches are read.
        fit_images: training images that the patterns are learned on.
        fit_seed: of that draw, and of k-means.
    """

    patch: Annotated[int, Field(ge=1, le=512)] = 4
    words: Annotated[int, Field(ge=1, le=16)] = 2
    codes: Annotated[int, Field(ge=2, le=2**16)] = 256
    order: Order = "raster"
    fit_images: Positive = 5000
    fit_seed: Seed = 0

    @property
    def is_learned(self) -> bool:
        return True

    def learn(self, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """The patterns, int16 `[words, codes, patch²·C]`, C being 3 where any image has colour.

        Raises:
            UserError: where the images have fewer different patches than there are to be patterns.
        """
        draw = np.random.default_rng(self.fit_seed)
        channels = max(image.shape[-1] for image in images)
        chosen = draw.permutation(len(images))[: self.fit_images]
        rest = np.concatenate([self._patches(images[index][None], channels) for index in chosen])
        rest = rest[draw.permutation(len(rest))[:_FIT_PATCHES]]
        if (different := len(np.unique(rest, axis=0))) < self.codes:
            raise UserError(
                f"The training images have {different:,} different patches, and textify.codes={self.codes} asks for "
                "more patterns: lower textify.codes, or raise textify.fit_images."
            )
        stages = []
        for stage in range(self.words):
            codes = fit_codes(rest, self.codes - (stage > 0), self.fit_seed)
            if stage:
                codes = np.concatenate([np.zeros_like(codes[:1]), codes])
            rest = rest - codes[nearest_codes(rest, codes)]
            stages.append(codes)
        return {"codes": np.stack(stages)}

    @functools.cached_property
    def grammar(self) -> Grammar:
        names = [[f"{chr(ord('a') + stage)}{code}" for code in range(self.codes)] for stage in range(self.words)]
        kinds = {f"word_{stage}": [f" {name}" for name in names[stage]] for stage in range(self.words)}
        lexicon = Lexicon.of(first=names[0], **kinds)
        after = [f"after_{stage}" for stage in range(self.words)]
        moves = {
            state: {f"word_{(stage + 1) % self.words}": after[(stage + 1) % self.words]}
            for stage, state in enumerate(after)
        }
        return Grammar(lexicon, {START: {"first": after[0]}, **moves}, frozenset(after[-1:]))

    def write(self, images: np.ndarray) -> Ragged:
        rows, columns = self._cells(*images.shape[1:3])
        rest = self._patches(images, self._channels)
        ids = np.empty((len(rest), self.words), self.lexicon.dtype)
        for start in range(0, len(rest), _CHUNK):
            part = rest[start : start + _CHUNK]
            for stage, codes in enumerate(self.state["codes"]):
                code = nearest_codes(part, codes)
                ids[start : start + _CHUNK, stage] = code + self.lexicon.kinds[f"word_{stage}"].start
                part = part - codes[code]
        ids = ids.reshape(len(images), rows * columns, self.words)[:, reading_order(self.order, rows, columns)]
        ids[:, 0, 0] -= self.codes  # the first word stands without a space
        return Ragged.rectangular(ids.reshape(len(images), -1))

    def boxes(self, pieces: Ragged, images: np.ndarray) -> np.ndarray:
        height, width = images.shape[1:3]
        rows, columns = self._cells(height, width)
        row, column = np.divmod(reading_order(self.order, rows, columns), columns)
        left, top = column * self.patch, row * self.patch
        right, bottom = np.minimum(left + self.patch, width), np.minimum(top + self.patch, height)
        boxes = np.stack([left, top, right, bottom], axis=1).astype(np.int32)
        return np.tile(np.repeat(boxes, self.words, axis=0), (len(images), 1))

    def read(self, pieces: Ragged, height: int, width: int) -> np.ndarray:
        rows, columns = self._cells(height, width)
        cells, size = rows * columns, self.patch
        ids = pieces.rectangle(cells * self.words).reshape(-1, self.words).astype(np.int64)
        starts = [self.lexicon.kinds[f"word_{stage}"].start for stage in range(self.words)]
        patches = np.zeros((len(ids), self.state["codes"].shape[-1]), np.int32)
        for stage, codes in enumerate(self.state["codes"]):
            patches += codes[(ids[:, stage] - starts[stage]) % self.codes]
        patches = np.clip(patches, 0, 255).astype(np.uint8).reshape(len(pieces), cells, -1)
        patches[np.arange(cells) >= (pieces.lengths // self.words)[:, None]] = 0
        raster = np.empty_like(patches)
        raster[:, reading_order(self.order, rows, columns)] = patches
        grid = raster.reshape(len(pieces), rows, columns, size, size, self._channels)
        whole = grid.transpose(0, 1, 3, 2, 4, 5).reshape(len(pieces), rows * size, columns * size, -1)
        return whole[:, :height, :width]

    @property
    def piece_cells(self) -> np.ndarray:
        """Each word is one of those of a patch."""
        return np.ones(len(self.lexicon), np.int64)

    def budget(self, height: int, width: int) -> int:
        rows, columns = self._cells(height, width)
        return rows * columns * self.words

    def appearance(self) -> np.ndarray:
        """A word is its pattern. Those of a further word, which are small, are made as large as those of the first."""
        patterns = self.state["codes"].astype(np.float32)
        patterns -= patterns.mean(axis=1, keepdims=True)
        patterns /= np.maximum(patterns.std(axis=(1, 2), keepdims=True), 1)
        return np.concatenate([patterns[0], *patterns])  # the kind `first`, then that of each index

    @property
    def _channels(self) -> int:
        return self.state["codes"].shape[-1] // self.patch**2

    def _cells(self, height: int, width: int) -> tuple[int, int]:
        return -(-height // self.patch), -(-width // self.patch)

    def _patches(self, images: np.ndarray, channels: int) -> np.ndarray:
        """int16 `[N · rows · columns, patch²·C]`, patches in raster order."""
        images = as_rgb(images) if channels == 3 else brightness(images)[..., None]
        count, height, width, _ = images.shape
        (rows, columns), size = self._cells(height, width), self.patch
        padding = ((0, 0), (0, rows * size - height), (0, columns * size - width), (0, 0))
        whole = np.pad(images, padding, mode="edge") if any(map(any, padding)) else images
        cut = whole.reshape(count, rows, size, columns, size, channels).transpose(0, 1, 3, 2, 4, 5)
        return cut.reshape(count * rows * columns, -1).astype(np.int16)
