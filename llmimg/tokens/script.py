"""How the samples of a task become token ids: each part by what reads it, with shots in front, or as a conversation."""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from llmimg.errors import UserError
from llmimg.textify import Ragged
from llmimg.tokens.conversation import Other, conversation, joined
from llmimg.tokens.layout import ANSWER, IMAGE, UNLEARNED, WORDS, Span
from llmimg.tokens.sample import ImageSlot, Part, Pieces, Sample, is_fixed
from llmimg.tokens.vocabulary import Vocabulary


class Shot(NamedTuple):
    """A training row that stands in front, asked and answered.

    Attributes:
        sample: its parts; its image's slot has its number among the shots.
        image: its image's token ids.
    """

    sample: Sample
    image: np.ndarray


class Choices(NamedTuple):
    """Answers of which the model is to give one, as token ids.

    Attributes:
        shared: what they all begin with: it belongs to the prompt.
        answers: what follows it, of each.
        blank: what stands instead of an image where there is none, and nothing else in front.
    """

    shared: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]
    blank: tuple[int, ...] = ()


class _End(NamedTuple):
    """Where an answer that stands in front ends."""


@dataclass(frozen=True, eq=False)
class Script:
    """What reads a task's samples.

    Attributes:
        vocabulary: has a token for each fixed word, where it has tokens for pieces alone.
        shots: what stands in front of each sample.
        chat: whether samples are the turns of a conversation, by the tokenizer's chat template.
        closed: whether answers are some of a few, which end by themselves.
    """

    vocabulary: Vocabulary
    shots: tuple[Shot, ...] = ()
    chat: bool = False
    closed: bool = False

    def prompt(self, parts: Sequence[Part], image: np.ndarray, choices: Choices | None = None) -> list[Span]:
        """All that stands in front of an answer.

        Args:
            parts: of the row's own prompt.
            image: token ids of its image, `[L]`.
            choices: as `choices(…)` gives them for these parts: the last words are read together with these.

        Raises:
            UserError: text that the vocabulary cannot read.
        """
        front, last = self._whole(tuple(parts))
        whole = front if choices is not None or not last else self._joined((*front, last))
        spans, inside = [self._framing], False
        for part in whole:
            spans.append(self._span(part, image, inside))
            inside |= len(spans[-1].ids) > 0
        return spans if choices is None else [*spans, Span(np.array(choices.shared, np.int64), WORDS)]

    def answer(self, parts: Sequence[Part], image: np.ndarray | None = None) -> list[Span]:
        """What the model is to write, and its end; arguments as of `prompt`.

        Raises:
            ValueError: an answer that holds the row's image, without one.
        """
        spans: list[Span] = []
        for part in joined(parts):
            if isinstance(part, ImageSlot):
                if image is None:
                    raise ValueError("This answer holds the row's image, and none is given.")
                spans.append(Span(np.asarray(image, np.int64), ANSWER))
                continue
            spans += self._pieces(part) if isinstance(part, Pieces) else [Span(self._read(part, True), ANSWER)]
        return [*spans, Span(np.array([self.vocabulary.end]), ANSWER)]

    def choices(self, parts: Sequence[Part], answers: Sequence[Sequence[Part]], names: Sequence[str]) -> Choices:
        """Answers behind a prompt, whose last words and theirs are read as one.

        Args:
            parts: of the prompt.
            answers: strings alone, which end by themselves.
            names: what each is called in an error.

        Raises:
            UserError: text that the vocabulary cannot read, or two answers that it reads alike.
        """
        tails = self.tails(parts, answers)
        read = [self._read(tail, True).tolist() for tail in tails]
        alike = (len(set(ids)) == 1 for ids in zip(*read, strict=False))
        shared = sum(1 for _ in itertools.takewhile(bool, alike))
        told_apart = self._told_apart([tuple(ids[shared:]) for ids in read], names)
        front, _ = self._whole(tuple(parts))
        nothing = not self.chat and all(part == ImageSlot() for part in front)
        return Choices(tuple(read[0][:shared]), told_apart, self._blank(tails[0]) if nothing else ())

    def tails(self, parts: Sequence[Part], answers: Sequence[Sequence[Part]]) -> list[str]:
        """The last words of a prompt with each of some answers."""
        _, words = self._whole(tuple(parts))
        return [words + "".join(map(str, answer)) for answer in answers]

    @property
    def _framing(self) -> Span:
        # A conversation's own marks are in its text.
        return Span(np.array([] if self.chat else self.vocabulary.framing[0], np.int64), WORDS)

    @functools.cached_property
    def _whole(self) -> Callable[[tuple[Part, ...]], tuple[tuple[Part | _End, ...], str]]:
        """The parts of a prompt → those of all that the model is given, strings read as one joined, up to the last
        words that are the same for every row; and these, which are read together with each answer to choose from."""

        @functools.lru_cache(maxsize=256)
        def whole(parts: tuple[Part, ...]) -> tuple[tuple[Part | _End, ...], str]:
            samples = [shot.sample for shot in self.shots]
            if self.chat:
                lexicon = self.vocabulary.grammar.lexicon if self.vocabulary.grammar else None
                front, last = _before_the_last_words(conversation(samples, parts, self.vocabulary.tokenizer, lexicon))
                return self._joined(front), last
            end = () if self.closed else (_End(),)
            front, last = _before_the_last_words(parts)
            own = self.vocabulary.of_pieces
            shown = [joined([*each.prompt, *each.answer, *end], apart=own) for each in samples]
            every = [part for each in (*shown, joined(front, apart=own)) for part in each]
            return self._joined(every), last

        return whole

    def _joined(self, parts: Sequence[Part | _End]) -> tuple[Part | _End, ...]:
        # A vocabulary of pieces has a token for all that stands behind an image.
        return tuple(parts) if self.vocabulary.of_pieces else joined(parts)

    @functools.cached_property
    def _read(self) -> Callable[[str, bool], np.ndarray]:
        """Open text → its token ids; whether it stands inside a text."""

        @functools.lru_cache(maxsize=4096)
        def read(text: str, inside: bool) -> np.ndarray:
            return np.array(self.vocabulary.open_ids(text, inside), np.int64)

        return read

    def _span(self, part: Part | _End, image: np.ndarray, inside: bool) -> Span:
        if isinstance(part, str):
            return Span(self._read(part, inside), WORDS)
        if isinstance(part, ImageSlot):
            return Span(image, IMAGE) if part.row is None else Span(self.shots[part.row].image, WORDS)
        if isinstance(part, Pieces):
            return Span(self.vocabulary.answer_ids(part.ids), WORDS)
        return Span(np.array([self.vocabulary.end]), WORDS)

    def _pieces(self, part: Pieces) -> list[Span]:
        """Pieces of an answer: spans of those that are learned, and of those that are not."""
        ids = self.vocabulary.answer_ids(part.ids)
        if part.learned is None or part.learned.all():
            return [Span(ids, ANSWER)]
        pieces = self.vocabulary.answer_table.spans(Ragged.from_rows([np.asarray(part.ids, np.int64)]))
        learned = part.learned[pieces[:, 0]]
        edges = [0, *(np.flatnonzero(np.diff(learned)) + 1).tolist(), len(ids)]
        return [
            Span(ids[start:stop], ANSWER if learned[start] else UNLEARNED) for start, stop in itertools.pairwise(edges)
        ]

    def _blank(self, tail: str) -> tuple[int, ...]:
        """What the tokenizer puts in front of a text, where the text begins with what follows an image."""
        begun, inside = (self._read(tail, each).tolist() for each in (False, True))
        index = len(begun) - len(inside)
        return tuple(begun[:index]) if index > 0 and begun[index:] == inside else ()

    def _told_apart(self, answers: list[tuple[int, ...]], names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """Answers of which none begins another: with an end behind each, where one does (in a conversation)."""
        if len(set(answers)) < len(answers):
            alike = next(index for index, answer in enumerate(answers) if answer in answers[:index])
            raise UserError(
                f"The classes '{names[answers.index(answers[alike])]}' and '{names[alike]}' are the same to the "
                "tokenizer: rename one with data.label_names."
            )
        begins = any(one != other and other[: len(one)] == one for one in answers for other in answers)
        return tuple((*answer, self.vocabulary.end) for answer in answers) if begins else tuple(answers)


def fixed_words(script: Script, parts: Sequence[Part], answers: Sequence[Sequence[Part]] | None) -> list[str]:
    """The words of a prompt that are the same for every row, and of the answers to choose from where there are any:
    what a vocabulary of pieces has a token for each of."""
    if script.chat:
        return []
    tails = [] if answers is None else script.tails(parts, answers)
    front = tuple(parts) if answers is None else _before_the_last_words(tuple(parts))[0]
    return [*(part for part in front if is_fixed(part)), *tails]


def _before_the_last_words(parts: tuple[Other, ...]) -> tuple[tuple[Other, ...], str]:
    """All parts in front of the last fixed words, and these."""
    last = parts[-1] if parts else None
    return (parts[:-1], last) if is_fixed(last) else (parts, "")
