"""Streams of examples in one, by weights: the tasks of a mixture, images' text and plain text."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from llmimg.data import example_seeds
from llmimg.tokens.sample import Example

_ASKED = 2  # apart from what else is drawn by an example's seed


class PlainText(torch.utils.data.Dataset):
    """One example a row of plain text, laid out as an image's.

    Args:
        texts: token ids of each.
    """

    image_count = 0  # images an epoch
    notes = ()

    def __init__(self, texts: Sequence[np.ndarray]):
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts)

    def rows(self, numbers: np.ndarray) -> list[dict[str, Any]]:
        """What is known of some rows: nothing."""
        return [{} for _ in numbers]

    def begin_epoch(self, epoch: int) -> None:
        """Nothing in it differs from epoch to epoch."""

    def __getitem__(self, index: int) -> Example:
        return Example(self.texts[index], {}, index, index)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> list[Example]:
        return [self[int(index)] for index in indices]


@dataclass(frozen=True)
class Stream:
    """Examples that are drawn by one weight.

    Attributes:
        examples: a data set of them.
        weight: how often they are drawn beside other streams', 0 or more.
        asked: by which tasks each is asked, and how often, above 0 to 1.
    """

    examples: Any
    weight: float
    asked: Mapping[str, float] = field(default_factory=lambda: {"": 1.0})

    def tasks(self, seed: int) -> tuple[str, ...]:
        """Those that an example of this seed is asked by: at least the commonest."""
        if min(self.asked.values()) == 1:
            return tuple(self.asked)
        drawn = np.random.default_rng([seed, _ASKED]).random(len(self.asked))
        return tuple(name for (name, share), each in zip(self.asked.items(), drawn, strict=True) if each < share)


class Mixture(torch.utils.data.Dataset):
    """An epoch goes through the first stream once (where its weight is 0, through the first that has one), with as many
    examples of each other as its weight says; these go on from epoch to epoch until all are through, and then start
    over in another order.

    Args:
        seed: of the order of examples, and of what is asked of each.
    """

    def __init__(self, streams: Sequence[Stream], seed: int):
        self.streams, self.seed = tuple(streams), seed
        sizes = [len(stream.examples) for stream in streams]
        whole = next(index for index, stream in enumerate(streams) if stream.weight)
        wanted = [sizes[whole] * stream.weight / streams[whole].weight for stream in streams]
        counts = [max(round(count), 1) if count else 0 for count in wanted]  # whatever has a weight comes
        self.ends = np.cumsum(counts)
        # Shared memory, so that loader workers that outlive an epoch learn of the next.
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return int(self.ends[-1])

    @property
    def image_count(self) -> int:
        """Images an epoch."""
        counts = np.diff(self.ends, prepend=0)
        of_images = np.array([stream.examples.image_count > 0 for stream in self.streams])
        return int(counts[of_images].sum())

    @property
    def notes(self) -> list[str]:
        """What a reader of the results must know of the texts that were read."""
        return [note for stream in self.streams for note in stream.examples.notes]

    def begin_epoch(self, epoch: int) -> None:
        """Called at the start of every epoch (from 0)."""
        self.epoch.fill_(epoch)
        for stream in self.streams:
            stream.examples.begin_epoch(epoch)

    def __getitem__(self, index: int) -> Example:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        sources, seeds = np.searchsorted(self.ends, indices, side="right"), self._seeds(indices)
        found: list[Example | None] = [None] * len(indices)
        for source in np.unique(sources).tolist():
            places = np.flatnonzero(sources == source)
            some = self.streams[source].examples.__getitems__(self._positions(source, np.asarray(indices)[places]))
            for place, example in zip(places.tolist(), some, strict=True):
                found[place] = self._asked(source, example, int(seeds[place]))
        return [each for each in found if each is not None]

    def _seeds(self, indices: Sequence[int]) -> np.ndarray:
        return example_seeds(self.seed, int(self.epoch), indices)

    def _asked(self, source: int, example: Example, seed: int) -> Example:
        seed = example.seed if source == 0 and example.seed is not None else seed
        return replace(example, seed=seed, asked=self.streams[source].tasks(seed))

    def _positions(self, source: int, indices: np.ndarray) -> np.ndarray:
        """Where in their stream the examples at these places of the epoch stand, int64 `[N]`."""
        if source == 0:
            return indices
        start, end = self.ends[source - 1 : source + 1]
        size = len(self.streams[source].examples)
        through, places = np.divmod(int(self.epoch) * (end - start) + indices - start, size)
        return np.array([self._order(source, int(time))[place] for time, place in zip(through, places, strict=True)])

    @functools.lru_cache(maxsize=8)  # noqa: B019 - it lives as long as the run
    def _order(self, source: int, through: int) -> np.ndarray:
        return np.random.default_rng([self.seed, source, through]).permutation(len(self.streams[source].examples))
