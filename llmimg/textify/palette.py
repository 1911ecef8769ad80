"""Pixels as colour words: each the nearest of a palette."""

import functools
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from llmimg.errors import UserError
from llmimg.settings import Positive, Seed, settings_of
from llmimg.textify.base import TEXTIFIERS, words
from llmimg.textify.colours import NAMED, SPACES, from_lab, nearest_color, to_lab
from llmimg.textify.pixel import as_rgb
from llmimg.textify.runs import WordsOfPixels, numbers

_FIT_PIXELS = 100_000  # more change the palette no longer, and take longer
_UNKNOWN = 2**16 - 1


@TEXTIFIERS.register("palette")
@settings_of("textify")
class Palette(WordsOfPixels):
    """Each pixel as the nearest colour of a palette: of names (`"navy white"`), or of what k-means found in training
    images, numbered from dark to light (`"3 511"`), as iGPT's 512 colours (Chen et al. 2020).

    Attributes:
        colors: `basic` (the eleven basic colour terms), `css` (the named colours of CSS) or `fitted`.
        count: how many colours are fitted, 2 to 4096.
        space: where colours are compared and fitted: `lab` (CIELAB, near to how eyes tell them apart) or `rgb`.
        fit_images: training images that colours are fitted to.
        fit_seed: of their draw, and of k-means.
        order, longest_run, row_marks: as in `WordsOfPixels`.
    """

    colors: Literal["basic", "css", "fitted"] = "basic"
    count: Annotated[int, Field(ge=2, le=4096)] = 16
    space: Literal["lab", "rgb"] = "lab"
    fit_images: Positive = 2000
    fit_seed: Seed = 0

    @property
    def is_learned(self) -> bool:
        return self.colors == "fitted"

    def learn(self, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """The palette, uint8 `[count, 3]`, from dark to light.

        Raises:
            UserError: where the images have fewer colours.
        """
        if not self.is_learned:
            return {}
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits

        draw = np.random.default_rng(self.fit_seed)
        chosen = draw.permutation(len(images))[: self.fit_images]
        pixels = np.concatenate([as_rgb(images[index][None]).reshape(-1, 3) for index in chosen])
        pixels = pixels[draw.permutation(len(pixels))[:_FIT_PIXELS]]
        if (different := len(np.unique(pixels, axis=0))) < self.count:
            raise UserError(
                f"The training images have {different:,} different colours, and textify.count={self.count} asks for "
                "more: lower textify.count."
            )
        with threadpool_limits(1):  # several threads add up in any order, and the same seed would give other colours
            means = KMeans(self.count, n_init=1, random_state=self.fit_seed).fit(SPACES[self.space](pixels))
        centers = means.cluster_centers_
        palette = from_lab(centers) if self.space == "lab" else np.rint(centers).astype(np.uint8)
        return {"palette": palette[np.argsort(to_lab(palette)[:, 0], kind="stable")]}

    @property
    def _palette(self) -> np.ndarray:
        """uint8 `[K, 3]`."""
        return self.state["palette"] if self.is_learned else np.array(list(NAMED[self.colors].values()), np.uint8)

    def _words(self) -> dict[str, list[str]]:
        return numbers(self.count) if self.is_learned else words(list(NAMED[self.colors]))

    def _word_of(self, images: np.ndarray) -> np.ndarray:
        colors = as_rgb(images).astype(np.uint32)
        packed = (colors[..., 0] << 16) | (colors[..., 1] << 8) | colors[..., 2]
        found = self._known[packed]
        missing = np.unique(packed[found == _UNKNOWN])
        if len(missing):
            unpacked = np.stack([missing >> 16, missing >> 8 & 255, missing & 255], axis=1).astype(np.uint8)
            self._known[missing] = nearest_color(unpacked, self._palette, self.space) + self._size
            found = self._known[packed]
        return found.astype(self.lexicon.dtype, copy=False)

    @functools.cached_property
    def _known(self) -> np.ndarray:
        """uint16 `[2^24]`: the word of each colour met so far; each is compared with the palette once."""
        return np.full(2**24, _UNKNOWN, np.uint16)

    def __getstate__(self) -> dict[str, Any]:
        # Other processes find the colours they meet by themselves: that is quicker than to send 32 MiB.
        return {name: value for name, value in self.__dict__.items() if name != "_known"}

    def _look(self) -> np.ndarray:
        return self._palette
