"""Samples as requests to a model behind an endpoint: the same parts that a model from a folder reads as
token ids, as text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmimg.textify import Lexicon
from llmimg.tokens.conversation import SLOT, joined, turns
from llmimg.tokens.sample import Answer, ImageSlot, Part, Sample

_ROOM = 16  # tokens for what stands around an answer ("The class is cat.")


@dataclass(frozen=True)
class EndpointAnswers:
    """What an endpoint answered.

    Attributes:
        answers: one an image: with log-probabilities of the classes, float64 `[K]`; in words, of which the one piece is
            the number of the class named; or with pieces of the task's lexicon.
        notes: sentences that a reader must know.
    """

    answers: list[Answer]
    notes: list[str]


@dataclass(frozen=True)
class RequestFormat:
    """How a task's samples are written as requests to an endpoint.

    Attributes:
        shots: what stands in front of each sample; the text of its image; a slot has its number among the shots.
        chat: whether samples are the turns of a conversation.
        lexicon: of the pieces in answers, where there are any.
        end: what stands behind the answer of each shot, but in a conversation.
    """

    shots: tuple[tuple[Sample, str], ...] = ()
    chat: bool = False
    lexicon: Lexicon | None = None
    end: str = ""

    def scored(self, prompt: Sequence[Part], image: str, answers: Sequence[Sequence[Part]]) -> list[dict[str, Any]]:
        """One request an answer: the prompt with that answer, whose tokens' log-probabilities are asked for."""
        # One token is written, as not every server writes none; it is left out afterwards.
        how = {"max_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0.0}
        front, words = self.text(prompt, image)
        return [{"prompt": front + words + "".join(map(str, answer)), **how} for answer in answers]

    def written(self, prompt: Sequence[Part], image: str, most: int, stop: bool) -> dict[str, Any]:
        """The request to write the answer, as text or as the next turn of a conversation.

        Args:
            most: how many characters an answer may have.
            stop: whether it ends with its line.
        """
        how: dict[str, Any] = {"max_tokens": most + _ROOM, "temperature": 0.0}
        if self.chat:
            texts = iter([*(text for _, text in self.shots), image])
            said = turns([sample for sample, _ in self.shots], prompt, self.lexicon)
            return {"messages": [{**turn, "content": _filled(turn["content"], texts)} for turn in said], **how}
        if stop:
            how["stop"] = ["\n"]
        front, words = self.text(prompt, image)
        # Models write the space in front of a word with the word.
        return {"prompt": front + words.rstrip(" "), **how}

    def text(self, prompt: Sequence[Part], image: str) -> tuple[str, str]:
        """All that stands in front of an answer, up to the prompt's last words, and these."""
        shown = [part for sample, _ in self.shots for part in (*sample.prompt, *sample.answer, self.end)]
        parts = joined([*shown, *prompt])
        words = parts[-1] if parts and isinstance(parts[-1], str) else ""
        front = parts[:-1] if words else parts
        return "".join(self._text(part, image) for part in front), words

    def _text(self, part: Part, image: str) -> str:
        if isinstance(part, ImageSlot):
            return image if part.row is None else self.shots[part.row][1]
        if isinstance(part, str):
            return part
        if self.lexicon is None:
            raise ValueError("Pieces are written by their lexicon.")
        return self.lexicon.text(part.ids)


def _filled(content: str, texts: Any) -> str:
    return content.replace(SLOT, next(texts)) if SLOT in content else content
