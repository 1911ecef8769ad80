"""Objects in words: what a zero-shot model sees in each region, or finds in the picture."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np

from llmimg.errors import UserError
from llmimg.settings import Positive, Share, settings_of
from llmimg.textify.appearance import appearance_of, bumps, steps
from llmimg.textify.base import TEXTIFIERS, Textifier
from llmimg.textify.grammar import START, Grammar, Lexicon
from llmimg.textify.pixel import as_rgb
from llmimg.textify.ragged import Ragged
from llmimg.textify.region import cell_edges
from llmimg.textify.region_words import PLACES


class ZeroShotModel(Protocol):
    """A model that names what it sees, among given labels."""

    def objects(self, image: np.ndarray, labels: Sequence[str]) -> list[tuple[int, float, tuple[float, ...]]]:
        """What is in an image uint8 `[H, W, 3]`, the surest first: the label's index, how sure from 0 to 1, and its box
        (left, top, right, bottom) in pixels. A classifier names one, and its box is the whole image."""

    def identity(self) -> bytes:
        """A hash of its weights."""


# kind → what loads such a model by its name. Rooms above put them in: they need more than this one may import.
ZERO_SHOT: dict[str, Callable[[str], ZeroShotModel]] = {}
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@TEXTIFIERS.register("region_objects")
@settings_of("textify")
class RegionObjects(Textifier):
    """Objects, by a zero-shot model of the hub: `"cat 80% dog 60%"`, or `"cat 80% top left dog 60% center"`.

    A classifier (CLIP, SigLIP, …) names one for each cell of a grid, row by row. A detector (OWL-ViT, Grounding DINO,
    …) finds them in the whole picture, the surest first, and says where; where it finds none, the text is `"nothing"`.
    How sure it is stands behind, in steps of ten percent. There is no reconstruction.

    Attributes:
        kind: `classifier` or `detector`.
        model: a hub id or a local folder that a transformers pipeline of that kind reads.
        labels: the words it chooses from.
        grid: cells a side for a classifier; 1 is the whole picture.
        count: how many objects of a detector are written at most.
        least: how sure a detector must be, 0 to 1.
        score: whether sureness is written.
    """

    kind: Literal["classifier", "detector"] = "classifier"
    model: str = "openai/clip-vit-base-patch32"
    labels: tuple[str, ...] = _CIFAR10
    grid: Positive = 1
    count: Positive = 8
    least: Share = 0.1
    score: bool = True

    def __post_init__(self):
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise UserError("textify.labels must name each object once, and one at least: give it a list of words.")

    @property
    def _zero_shot(self) -> ZeroShotModel:
        if self.kind not in ZERO_SHOT:
            raise UserError("textify=region_objects has no models by itself: `import llmimg.tokens.zero_shot` first.")
        return ZERO_SHOT[self.kind](self.model)

    @property
    def is_learned(self) -> bool:
        return True

    @property
    def learns_from_images(self) -> bool:
        return False

    def learn(self, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Which model it is, to the last weight: the cache must not mistake one for another."""
        return {"model": np.frombuffer(self._zero_shot.identity(), np.uint8)}

    @functools.cached_property
    def grammar(self) -> Grammar:
        kinds = {"nothing": ["nothing"], "first": list(self.labels), "label": [f" {label}" for label in self.labels]}
        said = ["label"]
        if self.score:
            kinds["score"] = [f" {10 * tens}%" for tens in range(11)]
            said.append("score")
        if self.kind == "detector":
            kinds["place"] = [f" {word}" for word in PLACES]
            said.append("place")
        moves = {one: {other: other} for one, other in zip(said, [*said[1:], "label"], strict=True)}
        start = {"first": "label", **({"nothing": "end"} if self.kind == "detector" else {})}
        return Grammar(Lexicon.of(**kinds), {START: start, **moves}, frozenset({said[-1], "end"}))

    def write(self, images: np.ndarray) -> Ragged:
        _ = self.state
        height, width = images.shape[1:3]
        rows = [self._said(image, height, width) for image in as_rgb(images)]  # one by one: a batch would change digits
        return Ragged.from_rows([np.array(row) for row in rows], self.lexicon.dtype)

    def _said(self, image: np.ndarray, height: int, width: int) -> list[int]:
        if self.kind == "detector":
            every = self._zero_shot.objects(image, self.labels)
            found = [each for each in every if each[1] >= self.least][: self.count]
        else:
            cells = self._cells(height, width)
            found = [
                self._zero_shot.objects(np.ascontiguousarray(image[top:bottom, left:right]), self.labels)[0]
                for left, top, right, bottom in cells
            ]
        kinds, pieces = self.lexicon.kinds, []
        for label, sure, (left, top, right, bottom) in found:
            pieces.append(label + kinds["label" if pieces else "first"].start)
            if self.score:
                pieces.append(kinds["score"].start + int(10 * sure + 0.5))
            if self.kind == "detector":
                middles = (top + bottom) / 2 / height, (left + right) / 2 / width
                down, across = (min(max(int(3 * middle), 0), 2) for middle in middles)
                pieces.append(kinds["place"].start + 3 * down + across)
        return pieces or [kinds["nothing"].start]

    def _cells(self, height: int, width: int) -> list[tuple[int, int, int, int]]:
        rows, columns = cell_edges(height, width, self.grid), cell_edges(width, height, self.grid)
        return [
            (left, top, right, bottom)
            for top, bottom in itertools.pairwise(rows)
            for left, right in itertools.pairwise(columns)
        ]

    def boxes(self, pieces: Ragged, images: np.ndarray) -> np.ndarray:
        """A classifier's words speak of their cell, a detector's of their ninth of the image."""
        height, width = images.shape[1:3]
        said = 1 + self.score + (self.kind == "detector")
        if self.kind == "classifier":
            return np.tile(np.repeat(np.array(self._cells(height, width), np.int32), said, axis=0), (len(pieces), 1))
        boxes = np.tile(np.array([0, 0, width, height], np.int32), (len(pieces.values), 1))
        says = pieces.values != self.lexicon.kinds["nothing"].start
        cell = pieces.values[says].reshape(-1, said)[:, -1].astype(np.int64) - self.lexicon.kinds["place"].start
        down, across = np.divmod(cell, 3)
        low = np.stack([across * width // 3, down * height // 3], axis=1)
        high = np.stack([-(-(across + 1) * width // 3), -(-(down + 1) * height // 3)], axis=1)
        boxes[says] = np.repeat(np.concatenate([low, np.maximum(high, low + 1)], axis=1), said, axis=0)
        return boxes

    def appearance(self) -> np.ndarray | None:
        """How sure it is and where are numbers; names are nothing."""
        looks = [(("score",), steps(11))] if self.score else []
        if self.kind == "detector":
            looks.append((("place",), bumps(np.stack(np.divmod(np.arange(9), 3), axis=1) / 2)))
        return appearance_of(self.lexicon, *looks) if looks else None
