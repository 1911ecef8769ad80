"""What the Trainer reads: prepared image ids, or, where images differ from epoch to epoch, those written on the fly."""

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import numpy as np
import torch

from llmimg.data import AugmentSettings, FreshRows, augment_all, blended, example_seeds, mixing
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.store import ImageIds


class ImageTexts(torch.utils.data.Dataset):
    """One example an image: its token ids and what the task needs of its annotation.

    Args:
        ids: the prepared image ids.
        annotations: column → one value an image.
        rows: the places in `ids` to take; those of broken images are left out here.
        seed: with the epoch and the example, all that the example's own `seed` depends on.
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
        return self._examples(rows, [self.ids[row] for row in rows], self._annotated(rows))

    def _examples(
        self, rows: np.ndarray, ids: Sequence[np.ndarray], annotated: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        seeds = self._seeds(rows)
        return [
            {"image_ids": each, "seed": seed, **known} for each, seed, known in zip(ids, seeds, annotated, strict=True)
        ]

    def _seeds(self, rows: np.ndarray) -> np.ndarray:
        return example_seeds(self.seed, int(self.epoch), rows)

    def _annotated(self, rows: np.ndarray) -> list[dict[str, Any]]:
        return [{name: column[row] for name, column in self.annotations.items()} for row in rows]


class AugmentedImageTexts(ImageTexts):
    """The same, with each image changed, or another, afresh in every epoch, before it is written as text.

    Args:
        images: the undecoded images and their `id`, in the order of `ids`.
        encoder: writes them.
        settings: how they are changed.
        room: how many tokens of a text the model reads; a longer one is cut, and counted. None has room for all.
        fresh: gives images and annotations of an epoch by the rows' ids; None takes `images` in every one.
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
        fresh: FreshRows | None = None,
    ):
        super().__init__(ids, annotations, rows, seed=seed)
        self.images = images.select_columns(["image" if fresh is None else "id"])
        self.fresh = fresh
        self.encoder = encoder
        self.settings = settings
        self.room = room
        self._cut = torch.zeros((), dtype=torch.int64).share_memory_()  # so that loader workers count together

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        rows = self.rows[indices]
        images, annotated = self._changed(rows)
        if not self.settings.mixup:
            return self._examples(rows, self._ids(images), annotated)
        places, shares = mixing(self.settings.mixup, self._seeds(rows), len(self.rows))
        others, known = self._changed(self.rows[places])
        ids = self._ids(blended(images, others, shares))
        blends = zip(self._examples(rows, ids, annotated), known, shares, strict=True)
        return [{**each, "blend": (other, share)} for each, other, share in blends]

    def _changed(self, rows: np.ndarray) -> tuple[list[np.ndarray], list[dict[str, Any]]]:
        """The images of this epoch, and what is known of them."""
        if self.fresh is None:
            stored, annotated = self.images[rows]["image"], self._annotated(rows)
        else:
            made = self.fresh(self.images[rows]["id"], int(self.epoch))
            stored, columns = made["image"], [made[name] for name in self.annotations]
            annotated = [dict(zip(self.annotations, values, strict=True)) for values in zip(*columns, strict=True)]
            annotated = annotated or [{} for _ in rows]  # where nothing is needed
        images, _ = self.encoder.decoding(stored)
        return augment_all(images, self.settings, self._seeds(rows)), annotated

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
        what = "Augmentation made" if self.fresh is None else "Making images anew gave"
        return [
            f"{what} at least {int(self._cut):,} texts longer than the {self.room:,} tokens that the context has "
            "room for: they were cut in training. A larger tokens.max_length, or another augment, avoids it."
        ]
