"""What models of pixels are given: the images of a split, all in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import datasets
import numpy as np

from llmimg.configuration import Configuration
from llmimg.data import SPLITS, Data, Decoding
from llmimg.data.broken import broken_notes, refuse_broken
from llmimg.data.identity import Hashes
from llmimg.data.rows import Rows
from llmimg.data.shown import images_shown
from llmimg.errors import UserError
from llmimg.solvers.base import Outcome, Solver
from llmimg.tasks.base import Task
from llmimg.tasks.figures import Shown
from llmimg.training.examples import HeldImages


@dataclass(frozen=True, eq=False)
class Pixels:
    """The images of a split that are not broken.

    Attributes:
        images: uint8 `[N, H, W, C]`.
        numbers: int64 `[N]`, their rows.
        known: what is known of the split's rows.
        shown: the row whose image stands for that of each row of the split (`llmimg.data.shown`).
    """

    images: np.ndarray
    numbers: np.ndarray
    known: Rows
    shown: np.ndarray

    @property
    def given(self) -> np.ndarray:
        """The image that the model gets for each of `numbers`, uint8 `[N, H, W, C]`."""
        return self.images[np.searchsorted(self.numbers, self.shown[self.numbers])]

    @property
    def held(self) -> HeldImages:
        return HeldImages(self.images, self.numbers, self.known)


class PixelSolver(Solver):
    """A model that sees pixels: what the same images give without a language model, by the same splits and metrics."""

    def __init__(self, settings: Configuration, data: Data, task: Task, notes: list[str]):
        super().__init__(settings, data, task, notes)
        self.pixels: dict[str, Pixels] = {}
        hashes: dict[str, Hashes] = {}
        for split in SPLITS:
            images, numbers, hashes[split] = _images(getattr(data, split), split, data.decoding, settings, notes)
            known = Rows(getattr(data, split), task.columns_of(getattr(data, split).column_names), data.decoding)
            shown = images_shown(settings.data.images, numbers, len(known), settings.data.split_seed)
            self.pixels[split] = Pixels(images, numbers, known, shown)
        self.hashes = hashes

    def metrics(self, outcomes: Mapping[str, Outcome], scores: Mapping[str, float]) -> dict[str, float]:
        names = {"train": "train", "validation": "val", "test": "test"}
        return {f"data/{name}_images": len(self.pixels[split].numbers) for split, name in names.items()}

    def show(self, outcome: Outcome, indices: Sequence[int]) -> list[Shown]:
        return [Shown(image) for image in self.pixels["test"].images[np.asarray(indices, np.int64)]]

    @property
    def title(self) -> str:
        return f"{self.settings.data.name} · {self.settings.model.name}"


def _images(
    data: datasets.Dataset, split: str, decoding: Decoding, settings: Configuration, notes: list[str]
) -> tuple[np.ndarray, np.ndarray, Hashes]:
    """The images of a split that are not broken, their rows, and the hash of every row's image."""
    decoded, problems, hashes = decoding.hashed(data["image"], data["id"])
    if settings.data.broken != "skip":
        refuse_broken(problems)
    notes.extend(broken_notes(problems, split))
    whole = {index: image for index, image in enumerate(decoded) if image is not None}
    shapes = {image.shape for image in whole.values()}
    if len({shape[:2] for shape in shapes}) > 1:
        raise UserError("The images have different sizes, which a model of pixels does not take: set data.size.")
    channels = max(shape[2] for shape in shapes)
    stacked = np.stack([np.repeat(image, channels // image.shape[2], axis=2) for image in whole.values()])
    return stacked, np.array(list(whole), np.int64), hashes
