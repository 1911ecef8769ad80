"""What the Trainer reads: prepared image ids, or, with augmentation, images written as text on the fly."""

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import numpy as np
import torch

from llmimg.data import AugmentSettings, augment_all, blended, example_seeds, mixing
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
        return [{"image_ids": self.ids[row], **self._annotated(row)} for row in self.rows[indices]]

    def _annotated(self, row: int) -> dict[str, Any]:
        return {name: column[row] for name, column in self.annotations.items()}


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

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        rows = self.rows[indices]
        images, examples = self._changed(rows), [self._annotated(row) for row in rows]
        if self.settings.mixup:
            seeds = example_seeds(self.seed, int(self.epoch), rows)
            places, shares = mixing(self.settings.mixup, seeds, len(self.rows))
            partners = self.rows[places]
            images = blended(images, self._changed(partners), shares)
            blends = zip(examples, partners, shares, strict=True)
            examples = [{**each, "blend": (self._annotated(other), share)} for each, other, share in blends]
        ids = self.encoder.ids(images)
        return [{"image_ids": each, **example} for each, example in zip(ids, examples, strict=True)]

    def _changed(self, rows: np.ndarray) -> list[np.ndarray]:
        images, _ = self.encoder.decoding(self.images[rows]["image"])
        return augment_all(images, self.settings, example_seeds(self.seed, int(self.epoch), rows))


class Collator:
    """A batch for the model: sequences laid out and padded, with the task's targets."""

    def __init__(self, layout: Layout, task: Task):
        self.layout = layout
        self.task = task

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        ids, mask = self.layout([row["image_ids"] for row in rows])
        batch = {"input_ids": ids, "attention_mask": mask, **self.task.targets(rows)}
        return {name: torch.from_numpy(array) for name, array in batch.items()}
