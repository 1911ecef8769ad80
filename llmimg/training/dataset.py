"""What the Trainer reads: prepared image ids, or, with augmentation, images written as text on the fly."""

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import numpy as np
import torch

from llmimg.data import AugmentSettings, augment, example_seeds
from llmimg.tasks import Task
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import Layout
from llmimg.tokens.store import ImageIds


class ImageTexts(torch.utils.data.Dataset):
    """One example an image: its token ids and what the task needs of its annotation.

    Args:
        ids: the prepared image ids.
        annotations: column → one value an image.
        rows: the places in `ids` to take; those of broken images are left out here.
    """

    def __init__(self, ids: ImageIds, annotations: Mapping[str, np.ndarray], rows: np.ndarray):
        self.ids = ids
        self.annotations = annotations
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def begin_epoch(self, epoch: int) -> None:
        """Called at the start of every epoch (from 0), before its first example is read."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        return [self._example(row, ids) for row, ids in zip(self.rows[indices], self._image_ids(indices), strict=True)]

    def _example(self, row: int, ids: np.ndarray) -> dict[str, Any]:
        return {"image_ids": ids, **{name: column[row] for name, column in self.annotations.items()}}

    def _image_ids(self, indices: Sequence[int]) -> list[np.ndarray]:
        return [self.ids[row] for row in self.rows[indices]]


class AugmentedImageTexts(ImageTexts):
    """The same, with each image changed, afresh in every epoch, before it is written as text.

    Args:
        images: the undecoded images, in the order of `ids`.
        encoder: writes them.
        settings: how they are changed.
        seed: with the epoch and the example, all that the change depends on.
    """

    def __init__(
        self,
        ids: ImageIds,
        annotations: Mapping[str, np.ndarray],
        rows: np.ndarray,
        *,
        images: datasets.Dataset,
        encoder: Encoder,
        settings: AugmentSettings,
        seed: int,
    ):
        super().__init__(ids, annotations, rows)
        self.images = images.select_columns(["image"])
        self.encoder = encoder
        self.settings = settings
        self.seed = seed
        # Shared memory, so that loader workers that outlive an epoch learn of the next.
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def begin_epoch(self, epoch: int) -> None:
        self.epoch.fill_(epoch)

    def _image_ids(self, indices: Sequence[int]) -> list[np.ndarray]:
        rows = self.rows[indices]
        images, _ = self.encoder.decoding(self.images[rows]["image"])
        seeds = example_seeds(self.seed, int(self.epoch), rows)
        return list(self.encoder.ids(images, lambda batch, places: augment(batch, self.settings, seeds[places])))


class Collator:
    """A batch for the model: sequences laid out and padded, with the task's targets."""

    def __init__(self, layout: Layout, task: Task):
        self.layout = layout
        self.task = task

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        ids, mask = self.layout([row["image_ids"] for row in rows])
        batch = {"input_ids": ids, "attention_mask": mask, **self.task.targets(rows)}
        return {name: torch.from_numpy(array) for name, array in batch.items()}
