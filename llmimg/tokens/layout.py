"""Image ids → the sequences a model reads: framed, cut where that was asked for, padded on the right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmimg.errors import UserError
from llmimg.tokens.vocabulary import Vocabulary


@dataclass(frozen=True)
class Layout:
    """How a model's sequence is laid out around an image's text.

    Attributes:
        before: ids the vocabulary frames a text with in front.
        after: … and behind.
        pad: the id that fills up.
        context: the longest sequence, framing included.
        overflow: what becomes of longer text: `error` or `truncate`.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    pad: int
    context: int
    overflow: str = "error"

    @classmethod
    def of(cls, vocabulary: Vocabulary, context: int, overflow: str) -> "Layout":
        """The layout that a vocabulary's framing gives."""
        before, after = vocabulary.framing
        return cls(tuple(before), tuple(after), vocabulary.tokenizer.pad_token_id, context, overflow)

    @property
    def framing(self) -> int:
        """How many tokens stand around an image's."""
        return len(self.before) + len(self.after)

    @property
    def room(self) -> int:
        """How many tokens of an image fit."""
        return self.context - self.framing

    def __call__(self, rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Sequences for a batch of image ids.

        Returns:
            Token ids int64 `[B, L]` and the attention mask int64 `[B, L]`, L being the longest sequence of the batch.

        Raises:
            UserError: where a text does not fit, and was not to be cut.
        """
        self.check(np.array([len(row) for row in rows]))
        parts = [part for row in rows for part in (self.before, row[: self.room], self.after)]
        lengths = np.array([min(len(row), self.room) + self.framing for row in rows])
        mask = np.arange(lengths.max()) < lengths[:, None]
        ids = np.full(mask.shape, self.pad, np.int64)
        ids[mask] = np.concatenate(parts)
        return ids, mask.astype(np.int64)

    def check(self, lengths: np.ndarray) -> None:
        """Refuse texts of these lengths (tokens an image, int64 `[N]`) where one does not fit and was not to be cut.

        Raises:
            UserError: with the numbers; or where no token of an image would fit, even cut.
        """
        if self.room < 1:
            raise UserError(
                f"A context of {self.context} tokens has no room for an image's text: {self.framing} stand around it. "
                "Raise tokens.max_length."
            )
        if self.overflow == "error" and lengths.size and lengths.max() > self.room:
            over = int((lengths > self.room).sum())
            around = f" and {self.framing} around them" if self.framing else ""
            raise UserError(
                f"The text of {over:,} of {len(lengths):,} images does not fit the context: the longest has "
                f"{lengths.max():,} tokens{around}, and {self.context:,} fit (the model's limit, or "
                "tokens.max_length). "
                "Choose a shorter text (data.size, textify), a longer context, or tokens.overflow=truncate, which is "
                "then reported."
            )


@dataclass(frozen=True)
class Budget:
    """What images cost in tokens, and what of them was cut off.

    Attributes:
        tokens_per_image: mean, without framing.
        truncated_fraction: of all tokens.
        truncated_images: how many images lost tokens.
    """

    tokens_per_image: float
    truncated_fraction: float
    truncated_images: int


def token_budget(lengths: np.ndarray, room: int) -> Budget:
    """The budget of images of these lengths (int64 `[N]`) in a context with room for so many tokens."""
    over = np.maximum(lengths - room, 0)
    return Budget(float(lengths.mean()), float(over.sum() / max(lengths.sum(), 1)), int((over > 0).sum()))
