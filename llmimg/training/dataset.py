"""What the Trainer reads: prepared image ids, or, with augmentation, images written as text on the fly."""

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import numpy as np
import torch

from llmimg.data import AugmentSettings, augment_all, blended, example_seeds, mixing
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.store import ImageIds


class ImageTexts(torch.utils.data.Dataset):
    """One example an image: its token ids and what the task needs of its annotation.

    Args:
        ids: the prepared image ids.
        annotations: column → one value an image.
        rows: the places in `ids` to take; those of broken images are left out here.
        seed: with the epoch and the example, all that the example's own `draw` depends on.
    """

    def __init__(self, ids: ImageIds, annotations: Mapping[str, np.ndarray], rows: np.ndarray, *, seed: int = 0):
        self.ids = ids
        self.annotations = annotations
        self.rows = rows
        self.seed = seed
        # Shared memory, so that loader workers that outlive an epoch learn of the next.
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def notes(self) -> list[str]:
        """What a reader of the results must know of the texts that were read."""
        return []

    @property
    def image_count(self) -> int:
        """Images an epoch."""
        return len(self.rows)

    def begin_epoch(self, epoch: int) -> None:
        """Called at the start of every epoch (from 0), before its first example is read."""
        self.epoch.fill_(epoch)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        rows = self.rows[indices]
        return self._examples(rows, [self.ids[row] for row in rows])

    def _examples(self, rows: np.ndarray, ids: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        draws = self._seeds(rows)
        return [
            {"image_ids": each, "draw": draw, **self._annotated(row)}
            for row, each, draw in zip(rows, ids, draws, strict=True)
        ]

    def _seeds(self, rows: np.ndarray) -> np.ndarray:
        return example_seeds(self.seed, int(self.epoch), rows)

    def _annotated(self, row: int) -> dict[str, Any]:
        return {name: column[row] for name, column in self.annotations.items()}


class AugmentedImageTexts(ImageTexts):
    """The same, with each image changed, afresh in every epoch, before it is written as text.

    Args:
        images: the undecoded images, in the order of `ids`.
        encoder: writes them.
        settings: how they are changed.
        room: how many tokens of a text the model reads; a longer one is cut, and counted. None has room for all.
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
        room: int | None = None,
    ):
        super().__init__(ids, annotations, rows, seed=seed)
        self.images = images.select_columns(["image"])
        self.encoder = encoder
        self.settings = settings
        self.room = room
        self._cut = torch.zeros((), dtype=torch.int64).share_memory_()  # so that loader workers count together

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        rows = self.rows[indices]
        images = self._changed(rows)
        if not self.settings.mixup:
            return self._examples(rows, self._ids(images))
        places, shares = mixing(self.settings.mixup, self._seeds(rows), len(self.rows))
        partners = self.rows[places]
        ids = self._ids(blended(images, self._changed(partners), shares))
        blends = zip(self._examples(rows, ids), partners, shares, strict=True)
        return [{**each, "blend": (self._annotated(other), share)} for each, other, share in blends]

    def _changed(self, rows: np.ndarray) -> list[np.ndarray]:
        images, _ = self.encoder.decoding(self.images[rows]["image"])
        return augment_all(images, self.settings, self._seeds(rows))

    def _ids(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        ids = self.encoder.ids(images)
        if self.room is None or ids.lengths.max(initial=0) <= self.room:
            return list(ids)
        self._cut += int((ids.lengths > self.room).sum())
        return [row[: self.room] for row in ids]

    @property
    def notes(self) -> list[str]:
        if not self._cut:
            return []
        # Other ranks, and what ran before an interruption, count for themselves.
        return [
            f"Augmentation made at least {int(self._cut):,} texts longer than the {self.room:,} tokens that the "
            "context has room for: they were cut in training. A larger tokens.max_length, or another augment, avoids "
            "it."
        ]
