"""Samples in token ids → the sequences a model reads: framed, truncated where that was asked for, padded; and the
role that every token has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from llmimg.errors import UserError
from llmimg.tokens.vocabulary import Vocabulary

# Roles: what stands around, the text of the row's own image, what the model is to write, and what of that it is given.
PADDING, WORDS, IMAGE, ANSWER, UNLEARNED = range(5)


class Span(NamedTuple):
    """Tokens of one role: ids int64 `[L]`."""

    ids: np.ndarray
    role: int


class Sequences(NamedTuple):
    """A batch of sequences, L tokens in the longest.

    Attributes:
        ids: int64 `[B, L]`.
        mask: int64 `[B, L]`, 0 where a token is padding.
        roles: int8 `[B, L]`.
    """

    ids: np.ndarray
    mask: np.ndarray
    roles: np.ndarray


@dataclass(frozen=True)
class Frame:
    """The token ids that stand in front of every sequence and behind it."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> "Frame":
        """What the vocabulary frames a text with."""
        before, after = vocabulary.framing
        return cls(tuple(before), tuple(after))


@dataclass(frozen=True)
class Layout:
    """How sequences are laid out.

    Attributes:
        frame: what stands around each.
        pad: the id that fills up.
        context: the longest sequence.
        beside: how many tokens are kept free of the image's text, besides the frame: for the words of a prompt, and the
            longest answer.
        answer: how many of these are the answer's.
        overflow: what becomes of an image's text that is longer than the rest: `error` or `truncate`.
        permute: in which order the image's tokens stand: as they are (`none`), in another one that is the same for all
            images of one length (`fixed`), or in another one for each image (`each`): controls of what order tells.
    """

    frame: Frame
    pad: int
    context: int
    beside: int = 0
    overflow: str = "error"
    permute: str = "none"
    answer: int = 0

    @classmethod
    def of(
        cls,
        vocabulary: Vocabulary,
        context: int,
        overflow: str = "error",
        frame: Frame | None = None,
        permute: str = "none",
        beside: int = 0,
    ) -> "Layout":
        """The layout for a vocabulary's tokens; without a frame, in its framing."""
        frame = Frame.of(vocabulary) if frame is None else frame
        return cls(frame, vocabulary.tokenizer.pad_token_id, context, beside, overflow, permute)

    @property
    def framing(self) -> int:
        """How many tokens stand around an image's, the longest answer included."""
        return len(self.frame.before) + len(self.frame.after) + self.beside

    @property
    def words(self) -> int:
        """How many tokens the words of a prompt have, the longest's."""
        return self.beside - self.answer

    @property
    def room(self) -> int:
        """How many tokens of an image fit."""
        return self.context - self.framing

    def __call__(
        self, samples: Sequence[Sequence[Span]], left: bool = False, goes_on: Sequence[bool] | None = None
    ) -> Sequences:
        """Lay out a batch.

        Args:
            samples: the spans of each, in their order.
            left: pad on the left, so that all end at the same position.
            goes_on: whose text goes on behind what is given, so that nothing stands behind it; None is none's.

        Raises:
            UserError: where an image's text does not fit, and was not to be truncated.
        """
        self.check(np.array([len(ids) for sample in samples for ids, role in sample if role == IMAGE]))
        before, after = ([Span(np.array(each, np.int64), WORDS)] for each in (self.frame.before, self.frame.after))
        whole = [
            [*before, *map(self.fitted, sample), *(() if goes_on is not None and goes_on[row] else after)]
            for row, sample in enumerate(samples)
        ]
        lengths = np.array([sum(len(span.ids) for span in spans) for spans in whole])
        mask = np.arange(lengths.max(initial=0)) < lengths[:, None]
        mask = mask[:, ::-1] if left else mask
        ids, roles = np.full(mask.shape, self.pad, np.int64), np.full(mask.shape, PADDING, np.int8)
        ids[mask] = np.concatenate([span.ids for spans in whole for span in spans])
        roles[mask] = np.concatenate([np.full(len(span.ids), span.role, np.int8) for spans in whole for span in spans])
        return Sequences(ids, mask.astype(np.int64), roles)

    def of_images(self, images: Sequence[np.ndarray], goes_on: Sequence[bool] | None = None) -> Sequences:
        """Lay out image ids alone; arguments as of a call."""
        return self([[Span(each, IMAGE)] for each in images], goes_on=goes_on)

    def fitted(self, span: Span) -> Span:
        """A span as it is laid out: of an image what there is room for, in its order."""
        if span.role != IMAGE:
            return span
        ids = span.ids[: self.room]
        return Span(ids if self.permute == "none" else ids[self.order(ids)], IMAGE)

    def order(self, ids: np.ndarray) -> np.ndarray:
        """Which of an image's tokens `[L]`, as far as they are read, stands at each position: int64 `[L]`."""
        if self.permute == "none":
            return np.arange(len(ids))
        # The same wherever the image is met again: in training, in evaluation, in the recogniser.
        seed = [len(ids)] if self.permute == "fixed" else np.asarray(ids, np.int64)
        return np.random.default_rng(seed).permutation(len(ids))

    def check(self, lengths: np.ndarray) -> None:
        """Refuse texts of these lengths (tokens an image, int64 `[N]`) where one does not fit and is not truncated.

        Raises:
            UserError: with the numbers; or where no token of an image would fit, even truncated.
        """
        if self.room < 1:
            raise UserError(
                f"A context of {self.context:,} tokens has no room for an image's text: {self.framing:,} stand around "
                "it. Raise tokens.max_length (model.positions for a pretrained model), or shorten what stands there "
                "(task.shots, task.prompts, an answer by task.most or task.grid)."
            )
        if self.overflow == "error" and lengths.size and lengths.max() > self.room:
            over = int((lengths > self.room).sum())
            around = f" and {self.framing:,} around them" if self.framing else ""
            raise UserError(
                f"The text of {over:,} of {len(lengths):,} images does not fit the context: the longest has "
                f"{lengths.max():,} tokens{around}, and {self.context:,} fit (the model's limit, or "
                "tokens.max_length). Choose a shorter text (data.size, textify, task.shots) or answer "
                "(task.most, task.grid), a longer context (model.positions for a pretrained model), or "
                "tokens.overflow=truncate, which is then reported."
            )


@dataclass(frozen=True)
class Budget:
    """What images cost in tokens, and what of them was truncated.

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
