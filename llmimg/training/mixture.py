"""Images' text and plain text in one stream of examples, by weights."""

import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from llmimg.data import example_seeds
from llmimg.tasks.base import Task
from llmimg.tokens.sample import Example
from llmimg.training.examples import Examples


def mixed(images: Examples, texts: Sequence["PlainText"], task: Task, seed: int) -> "Examples | Mixture":
    """What a task learns from: images' text alone, or with plain texts beside it, by the task's weights."""
    return Mixture(images, texts, task.settings.weights, seed) if texts else images


class PlainText(torch.utils.data.Dataset):
    """One example a row of plain text, laid out as an image's.

    Args:
        rows: token ids of each.
    """

    def __init__(self, rows: Sequence[np.ndarray]):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        return Example(self.rows[index], {}, index, index, of_image=False)


class Mixture(torch.utils.data.Dataset):
    """Examples of images' text and of plain text.

    An epoch goes through the images once (where their weight is 0, through the first plain text), with as many rows of
    each plain text as its weight says; these go on from epoch to epoch until all are through, and then start over in
    another order.

    Args:
        images: the images' text.
        texts: plain texts.
        weights: how often each is drawn, the images first; not negative.
        seed: of the order of rows.
    """

    def __init__(self, images: Examples, texts: Sequence[PlainText], weights: Sequence[float], seed: int):
        self.images, self.texts, self.seed = images, texts, seed
        sizes = [len(images), *map(len, texts)]
        whole = next(first for first, weight in enumerate(weights) if weight)
        counts = [round(sizes[whole] * weight / weights[whole]) for weight in weights]
        self.ends = np.cumsum(counts)

    def __len__(self) -> int:
        return int(self.ends[-1])

    @property
    def image_count(self) -> int:
        """Images an epoch."""
        return int(self.ends[0])

    def begin_epoch(self, epoch: int) -> None:
        """Called at the start of every epoch (from 0)."""
        self.images.begin_epoch(epoch)

    def __getitem__(self, index: int) -> Example:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        sources = np.searchsorted(self.ends, indices, side="right")
        images = [index for index, source in zip(indices, sources, strict=True) if source == 0]
        examples = iter(self.images.__getitems__(images) if images else [])
        epoch = int(self.images.epoch)
        seeds = example_seeds(self.seed, epoch, indices)
        return [
            next(examples) if source == 0 else replace(self._text(source, index, epoch), seed=seed)
            for index, source, seed in zip(indices, sources, seeds, strict=True)
        ]

    def _text(self, source: int, index: int, epoch: int) -> Example:
        start, end = self.ends[source - 1 : source + 1]
        text = self.texts[source - 1]
        through, position = divmod(int(epoch * (end - start) + index - start), len(text))
        return text[self._order(source, through)[position]]

    @functools.lru_cache(maxsize=8)  # noqa: B019 - it lives as long as the run
    def _order(self, source: int, through: int) -> np.ndarray:
        return np.random.default_rng([self.seed, source, through]).permutation(len(self.texts[source - 1]))
