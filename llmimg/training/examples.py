"""What the Trainer reads: one example a row, its image's text prepared before, or written on the fly where images
differ from epoch to epoch; or its pixels."""

from collections.abc import Callable, Sequence
from typing import Any

import datasets
import numpy as np
import torch

from llmimg.data import (
    AugmentSettings,
    FreshRows,
    augment_all,
    augment_annotations,
    balanced,
    blended,
    example_seeds,
    mixing,
)
from llmimg.data.rows import Rows
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.sample import Example
from llmimg.tokens.store import ImageIds

# (numbers of rows, epoch) → images uint8 [H, W, C], and their rows as the model sees them
Images = Callable[[np.ndarray, int], tuple[Sequence[np.ndarray] | np.ndarray, list[dict[str, Any]]]]


class Examples(torch.utils.data.Dataset):
    """One example a row of a split, its image's text as it was prepared.

    Args:
        ids: the prepared image ids.
        known: what is known of the split's rows.
        numbers: the rows to take; those of broken images are left out here.
        seed: with the epoch and the row, all that the example's own `seed` depends on.
        shown: the row whose image stands for that of each row (`llmimg.data.shown`); None is its own.
        blank: token ids that stand where there is no image.
        balance: go through as many rows an epoch as there are, drawn so that all classes come equally often.
    """

    def __init__(
        self,
        ids: ImageIds,
        known: Rows,
        numbers: np.ndarray,
        *,
        seed: int = 0,
        shown: np.ndarray | None = None,
        blank: Sequence[int] = (),
        balance: bool = False,
    ):
        self.ids, self.known, self.numbers, self.seed = ids, known, numbers, seed
        self.balance = balance
        self._drawn = -1, numbers  # an epoch, and its visits
        self.shown = np.arange(len(known)) if shown is None else shown
        self.blank = np.array(blank, np.int64)
        # Shared memory, so that loader workers that outlive an epoch learn of the next.
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.numbers)

    def rows(self, numbers: np.ndarray) -> list[dict[str, Any]]:
        """What is known of some rows, by their numbers, to score them."""
        return self.known.scored(numbers)

    @property
    def notes(self) -> list[str]:
        """What a reader of the results must know of the texts that were read."""
        return []

    @property
    def image_count(self) -> int:
        """Images an epoch."""
        return len(self.numbers)

    def begin_epoch(self, epoch: int) -> None:
        """Called at the start of every epoch (from 0), before its first example is read."""
        self.epoch.fill_(epoch)

    def __getitem__(self, index: int) -> Example:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> list[Example]:
        visits = self._visits(indices)
        numbers = visits % len(self.shown)
        images = [self.ids[number] if number >= 0 else self.blank for number in self.shown[numbers]]
        return self._examples(visits, images, self.known.seen(numbers))

    def _visits(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Which rows this epoch goes through at these places: their numbers, plus the number of all rows for each time
        that one came before, so that it is another example then; int64 `[N]`."""
        epoch = int(self.epoch)
        if not self.balance:
            return self.numbers[np.asarray(indices, np.int64)]
        if self._drawn[0] != epoch:
            positions, before = balanced(self.known.labels[self.numbers], self.seed, epoch)
            self._drawn = epoch, self.numbers[positions] + before * len(self.shown)
        return self._drawn[1][np.asarray(indices, np.int64)]

    def _examples(
        self, visits: np.ndarray, images: Sequence[np.ndarray], rows: Sequence[dict[str, Any]]
    ) -> list[Example]:
        numbers, seeds = visits % len(self.shown), self._seeds(visits)
        return [
            Example(image, row, int(number), seed)
            for image, row, number, seed in zip(images, rows, numbers, seeds, strict=True)
        ]

    def _seeds(self, visits: np.ndarray) -> np.ndarray:
        return example_seeds(self.seed, int(self.epoch), visits)


class LiveExamples(Examples):
    """The same, with each image changed, or another, afresh in every epoch, before it is written as text; or not
    written at all, for a model of pixels.

    Args:
        images: gives the images.
        encoder: writes them; None leaves them pixels.
        settings: how they are changed.
        room: how many tokens of a text the model reads; a longer one is truncated, and counted. None has room for all.
        shown, blank, balance: as of `Examples`.
    """

    def __init__(
        self,
        images: Images,
        known: Rows,
        numbers: np.ndarray,
        *,
        settings: AugmentSettings,
        encoder: Encoder | None = None,
        seed: int = 0,
        room: int | None = None,
        shown: np.ndarray | None = None,
        blank: Sequence[int] = (),
        balance: bool = False,
    ):
        # Token ids are made of the images.
        # pyrefly: ignore[bad-argument-type]
        super().__init__(None, known, numbers, seed=seed, shown=shown, blank=blank, balance=balance)
        self.images, self.encoder, self.settings, self.room = images, encoder, settings, room
        self._truncated = torch.zeros((), dtype=torch.int64).share_memory_()  # so that loader workers count together

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> list[Example]:
        visits = self._visits(indices)
        images, rows = self._changed(visits)
        if (self.shown[visits % len(self.shown)] < 0).any():
            return self._examples(visits, [self.blank] * len(rows), rows)
        if not self.settings.mixup:
            return self._examples(visits, self._written(images), rows)
        partners, shares = mixing(self.settings.mixup, self._seeds(visits), len(self.numbers))
        others, other_rows = self._changed(self._visits(partners))
        examples = self._examples(visits, self._written(blended(images, others, shares)), rows)
        blends = zip(examples, other_rows, shares, strict=True)
        return [
            Example(each.image, each.row, each.number, each.seed, blend=(other, share)) for each, other, share in blends
        ]

    def _changed(self, visits: np.ndarray) -> tuple[list[np.ndarray], list[dict[str, Any]]]:
        """The images of this epoch, and what is known of them."""
        numbers = visits % len(self.shown)
        images, rows = self.images(numbers, int(self.epoch))
        shown = self.shown[numbers]
        if (shown != numbers).any() and (shown >= 0).all():
            images, _ = self.images(shown, int(self.epoch))
        if not self.settings.active:
            return list(images), rows
        seeds = self._seeds(visits)
        images = augment_all(list(images), self.settings, seeds)
        names = [name for name in ("objects", "mask") if name in self.known.columns]
        if not names:
            return images, rows
        # By the size of the row's own image: another may stand for it (`shown`).
        known = {name: [row[name] for row in rows] for name in names}
        sizes = [row["size"] for row in rows]
        moved = augment_annotations(sizes, self.settings, seeds, known.get("objects"), known.get("mask"))
        for name, values in zip(("objects", "mask"), moved, strict=True):
            if values is not None:
                rows = [{**row, name: value} for row, value in zip(rows, values, strict=True)]
        return images, rows

    def _written(self, images: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        if self.encoder is None:
            return images
        ids = self.encoder.ids(images)
        if self.room is None or ids.lengths.max(initial=0) <= self.room:
            return list(ids)
        self._truncated += int((ids.lengths > self.room).sum())
        return [row[: self.room] for row in ids]

    @property
    def notes(self) -> list[str]:
        if not self._truncated:
            return []
        # Other ranks, and what ran before an interruption, count for themselves.
        what = "Making images anew gave" if isinstance(self.images, FreshImages) else "Augmentation made"
        return [
            f"{what} at least {int(self._truncated):,} texts longer than the {self.room:,} tokens that the context has "
            "room for: they were truncated in training. A larger tokens.max_length, or another augment, avoids it."
        ]


class StoredImages:
    """Images of a split, decoded when they are read.

    Args:
        data: undecoded, in the order of `known`.
    """

    def __init__(self, data: datasets.Dataset, known: Rows):
        self.data, self.known = data.select_columns(["image"]), known

    def __call__(self, numbers: np.ndarray, epoch: int) -> tuple[list[np.ndarray], list[dict[str, Any]]]:
        return self.known.decoding.whole(self.data[numbers]["image"]), self.known.seen(numbers)


class FreshImages:
    """Images that are made anew for every epoch.

    Args:
        fresh: gives columns by the rows' ids and the epoch.
    """

    def __init__(self, fresh: FreshRows, known: Rows):
        self.fresh, self.known = fresh, known

    def __call__(self, numbers: np.ndarray, epoch: int) -> tuple[list[np.ndarray], list[dict[str, Any]]]:
        ids = [self.known.ids[number] for number in numbers]
        made = self.fresh(ids, epoch)
        return self.known.decoding.whole(made["image"]), self.known.made(ids, made)


class HeldImages:
    """Images that are all in memory.

    Args:
        images: uint8 `[N, H, W, C]`, of the whole rows.
        numbers: the row of each, ascending.
    """

    def __init__(self, images: np.ndarray, numbers: np.ndarray, known: Rows):
        self.images, self.numbers, self.known = images, numbers, known

    def __call__(self, numbers: np.ndarray, epoch: int) -> tuple[np.ndarray, list[dict[str, Any]]]:
        return self.images[np.searchsorted(self.numbers, numbers)], self.known.seen(numbers)
