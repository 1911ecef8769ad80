"""Image ids → the sequences a model reads: framed, cut where that was asked for, padded on the right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmimg.errors import UserError
from llmimg.tokens.vocabulary import Vocabulary


@dataclass(frozen=True)
class Prompt:
    """What stands around an image's tokens, and what may follow: token ids.

    Attributes:
        before: in front of the image.
        after: behind it.
        answers: of which the model is to give one behind `after`; none where it answers otherwise.
        blank: what stands in an image's place where there is none.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...] = ()
    blank: tuple[int, ...] = ()

    @classmethod
    def framing(cls, vocabulary: Vocabulary) -> "Prompt":
        """Nothing but what the vocabulary frames a text with."""
        before, after = vocabulary.framing
        return cls(tuple(before), tuple(after))


@dataclass(frozen=True)
class Layout:
    """How a model's sequence is laid out around an image's text.

    Attributes:
        prompt: what stands around it.
        pad: the id that fills up.
        context: the longest sequence, what stands around the image included.
        overflow: what becomes of longer text: `error` or `truncate`.
        permute: in which order the image's tokens stand: as they are (`none`), in another one that is the same for all
            images of one length (`fixed`), or in another one for each image (`each`): controls of what order tells.
    """

    prompt: Prompt
    pad: int
    context: int
    overflow: str = "error"
    permute: str = "none"

    @classmethod
    def of(
        cls,
        vocabulary: Vocabulary,
        context: int,
        overflow: str = "error",
        prompt: Prompt | None = None,
        permute: str = "none",
    ) -> "Layout":
        """The layout for a vocabulary's tokens; without a prompt, in its framing."""
        prompt = prompt or Prompt.framing(vocabulary)
        return cls(prompt, vocabulary.tokenizer.pad_token_id, context, overflow, permute)

    @property
    def framing(self) -> int:
        """How many tokens stand around an image's, the longest answer included."""
        prompt = self.prompt
        return len(prompt.before) + len(prompt.after) + max(map(len, prompt.answers), default=0)

    @property
    def room(self) -> int:
        """How many tokens of an image fit."""
        return self.context - self.framing

    def __call__(
        self,
        rows: Sequence[np.ndarray],
        answers: Sequence[Sequence[int]] | None = None,
        left: bool = False,
        goes_on: Sequence[bool] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sequences for a batch of image ids.

        Args:
            answers: what each is followed by; None is nothing.
            left: pad on the left, so that all end at the same place.
            goes_on: whose text goes on behind what is given, so that no end stands there; None is none's.

        Returns:
            Token ids int64 `[B, L]` and the attention mask int64 `[B, L]`, L being the longest sequence of the batch.

        Raises:
            UserError: where a text does not fit, and was not to be cut.
        """
        self.check(np.array([len(row) for row in rows]))
        before, after = np.array(self.prompt.before, np.int64), np.array(self.prompt.after, np.int64)
        tails = [after] * len(rows) if answers is None else [[*after, *answer] for answer in answers]
        if goes_on is not None:
            tails = [after[:0] if on else tail for on, tail in zip(goes_on, tails, strict=True)]
        images = [self._permuted(row[: self.room]) for row in rows]
        parts = [part for image, tail in zip(images, tails, strict=True) for part in (before, image, tail)]
        lengths = np.array([len(before) + len(image) + len(tail) for image, tail in zip(images, tails, strict=True)])
        mask = np.arange(lengths.max()) < lengths[:, None]
        if left:
            mask = mask[:, ::-1]
        ids = np.full(mask.shape, self.pad, np.int64)
        ids[mask] = np.concatenate(parts)
        return ids, mask.astype(np.int64)

    def _permuted(self, row: np.ndarray) -> np.ndarray:
        return row if self.permute == "none" else row[self.order(row)]

    def order(self, row: np.ndarray) -> np.ndarray:
        """Which of an image's tokens `[L]`, as far as they are read, stands at each place: int64 `[L]`."""
        if self.permute == "none":
            return np.arange(len(row))
        # The same wherever the image is met again: in training, in evaluation, in the recogniser.
        seed = [len(row)] if self.permute == "fixed" else np.asarray(row, np.int64)
        return np.random.default_rng(seed).permutation(len(row))

    def check(self, lengths: np.ndarray) -> None:
        """Refuse texts of these lengths (tokens an image, int64 `[N]`) where one does not fit and was not to be cut.

        Raises:
            UserError: with the numbers; or where no token of an image would fit, even cut.
        """
        if self.room < 1:
            raise UserError(
                f"A context of {self.context:,} tokens has no room for an image's text: {self.framing:,} stand around "
                "it. Raise tokens.max_length (model.positions for a pretrained model), or shorten the prompt "
                "(task.shots, task.template)."
            )
        if self.overflow == "error" and lengths.size and lengths.max() > self.room:
            over = int((lengths > self.room).sum())
            around = f" and {self.framing:,} around them" if self.framing else ""
            raise UserError(
                f"The text of {over:,} of {len(lengths):,} images does not fit the context: the longest has "
                f"{lengths.max():,} tokens{around}, and {self.context:,} fit (the model's limit, or "
                "tokens.max_length). Choose a shorter text (data.size, textify, task.shots), a longer context "
                "(model.positions for a pretrained model), or tokens.overflow=truncate, which is then reported."
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
