"""How a task reads answers: each by itself, or all of a split held against each other."""

import abc
from collections.abc import Iterable, Sequence
from typing import ClassVar, Self

import numpy as np

from llmimg.tasks.prompting import Row
from llmimg.tasks.several import Prediction
from llmimg.tokens.sample import Answer, Part


class Predicting(abc.ABC):
    """The side of a task that makes predictions of answers."""

    by_split: ClassVar[bool] = False  # whether the rows of a split are held against each other (`of_split`)

    @abc.abstractmethod
    def read(self, answer: Answer, row: Row) -> Prediction:
        """A prediction, on the image that the row's `size` is of. What cannot be read is counted, never guessed."""

    def of_split(self, rows: Iterable[Row]) -> Self:
        """Itself for a split whose rows are held against each other, in this order."""
        return self

    @property
    def held_against(self) -> tuple[tuple[Part, ...], ...] | None:
        """The answers of a split that each of its rows is scored by, one after the other; None where it has its own."""
        return None

    def foils(self, row: Row) -> tuple[tuple[Part, ...], ...]:
        """Answers that are not right, and that this row alone is scored by besides."""
        return ()

    def read_all(self, answers: Sequence[Answer], rows: Sequence[Row]) -> list[Prediction]:
        """The predictions of a whole split."""
        return [self.read(answer, row) for answer, row in zip(answers, rows, strict=True)]

    def read_vectors(
        self, images: np.ndarray, texts: np.ndarray, foils: np.ndarray, rows: Sequence[Row]
    ) -> list[Prediction]:
        """The predictions of a whole split, by float32 vectors of its images `[N, D]`, of what they are held against
        `[K, D]`, and of each row's foils `[N, F, D]`, of which a row may have fewer: products of these are logits.

        Raises:
            NotImplementedError: a task whose rows are not held against each other.
        """
        raise NotImplementedError("Vectors answer tasks that hold the rows of a split against each other.")
