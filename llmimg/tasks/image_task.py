"""What tasks share whose answer is the row's own image, in the pieces that the textifier writes it with."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from llmimg.errors import UserError
from llmimg.tasks.base import Row, Task
from llmimg.tasks.info import DataInfo
from llmimg.textify import TEXTIFIERS, Grammar, Textifier


@dataclass(frozen=True)
class ImageTask(Task):
    """One whose answers are images of one size.

    Attributes:
        writer: the textifier that reads them back; given by `bind`.
    """

    writer: Textifier | None = None

    writes_images = True

    def bind(self, info: DataInfo, textifier: Textifier) -> Self:
        if textifier.piece_cells is None:
            raise UserError(
                "A task that writes images needs a text of which each is a whole image, and what textify="
                f"{TEXTIFIERS.name_of(type(textifier))} writes with these settings is none: take textify=gray, rgb, "
                "palette, patch_words or region_color."
            )
        if info.size is None:
            raise UserError("A task that writes images writes them in one size: set data.size.")
        return replace(super().bind(info, textifier), writer=textifier)

    @property
    def textifier(self) -> Textifier:
        """`writer`, of a task that is bound."""
        if self.writer is None:
            raise ValueError("A task that writes images must be bound to a textifier first.")
        return self.writer

    @property
    def grammar(self) -> Grammar:
        return self.textifier.grammar

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what is written."""
        if self.info.size is None:
            raise ValueError("A task that writes images must be bound to data of one size first.")
        return self.info.size

    @property
    def cells(self) -> np.ndarray | None:
        return self.textifier.piece_cells

    def budget(self, row: Row) -> int:
        return self.textifier.budget(*self.size)
