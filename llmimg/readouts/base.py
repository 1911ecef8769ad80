"""What every readout is: the class of model it takes, and how an answer comes out of one."""

import abc
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from llmimg.registry import Registry
from llmimg.tokens.layout import Layout

READOUTS = Registry("readout", "llmimg.readouts")


class Readout(abc.ABC):
    """One way to take an answer from a model; it has no state."""

    auto_class: type  # the transformers class that gives a model what this reads

    @staticmethod
    @abc.abstractmethod
    def outputs(model: Any, layout: Layout, batches: Iterable[Sequence[np.ndarray]]) -> Iterator[np.ndarray]:
        """What the task makes answers from, `[B, …]`, for each batch of image ids."""
