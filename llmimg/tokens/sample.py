"""A row as a model gets it: the parts of a prompt, then those of the answer that it is to write; and what it wrote."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np


@dataclass(frozen=True)
class ImageSlot:
    """Where the text of an image stands.

    Attributes:
        row: of the training split; None is the row's own image.
    """

    row: int | None = None


@dataclass(frozen=True, eq=False)
class Pieces:
    """Pieces of the task's lexicon.

    Attributes:
        ids: int64 `[L]`.
        learned: bool `[L]`, False where a piece is read but not learned (void, noise); None learns all.
    """

    ids: np.ndarray
    learned: np.ndarray | None = None


class RowText(str):
    """Words of a row's own, which other rows have otherwise: a question, a caption. A vocabulary of pieces reads them
    as open text, and has a token for each of the other words."""

    __slots__ = ()


Part = str | ImageSlot | Pieces  # a str that is no RowText is a task's own words


def is_fixed(part: object) -> TypeGuard[str]:
    """Whether a part is words that are the same for every row."""
    return isinstance(part, str) and not isinstance(part, RowText)


@dataclass(frozen=True)
class Sample:
    """What a model is given, and what it is to write.

    Attributes:
        prompt, answer: parts in their order, with nothing between them.
    """

    prompt: tuple[Part, ...]
    answer: tuple[Part, ...]

    def as_json(self) -> dict[str, Any]:
        """In JSON's types: words as they are, `{"text": …}` of a row, `{"image": row}`, and `{"pieces": ids}`."""
        return {name: [_part_as_json(part) for part in getattr(self, name)] for name in ("prompt", "answer")}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Sample":
        """From what `as_json` gives."""
        return cls(*(tuple(map(_part_from_json, values[name])) for name in ("prompt", "answer")))


def _part_as_json(part: Part) -> Any:
    if isinstance(part, ImageSlot):
        return {"image": part.row}
    if isinstance(part, RowText):
        return {"text": str(part)}
    return part if isinstance(part, str) else {"pieces": np.asarray(part.ids).tolist()}


def _part_from_json(value: Any) -> Part:
    if isinstance(value, str):
        return value
    if "text" in value:
        return RowText(value["text"])
    return ImageSlot(value["image"]) if "image" in value else Pieces(np.array(value["pieces"], np.int64))


@dataclass(frozen=True, eq=False)
class Answer:
    """What a readout brings back for one row. What a readout does not give is None.

    Attributes:
        text: as it was written.
        pieces: int64 `[L]`, of the task's lexicon, the end not among them.
        log_probabilities: float32 `[L]`, of each piece among what the grammar allowed there, in nats.
        scores: float32 `[K]`, of each candidate or class: logits or log-probabilities.
        foils: float32 `[F]`, of each of the row's own foils, likewise.
        problem: why it could not be read; it is counted, never guessed.
        finish: why the model stopped writing, in its server's words.
        tokens: how many were read to give it.
        nats: what the right answer costs, where that is known.
    """

    text: str = ""
    pieces: np.ndarray | None = None
    log_probabilities: np.ndarray | None = None
    scores: np.ndarray | None = None
    foils: np.ndarray | None = None
    problem: str | None = None
    finish: str | None = None
    tokens: int | None = None
    nats: float | None = None


@dataclass(frozen=True, eq=False)
class Example:
    """A row on its way to a model.

    Attributes:
        image: token ids of its image's text, unsigned `[L]`; for a model of pixels, uint8 `[H, W, C]`.
        row: what is known of it (`llmimg.tasks.base.Row`).
        number: its row in its split; −1 where it stands in none.
        seed: all that is random in it; None where nothing is, as in a recogniser's.
        begun: how many tokens of its image an answer that is the image goes on from.
        blend: another row, and how much of the example is this one's, 0 to 1; None of an image that is not blended.
        asked: the tasks of a mixture that are learned of it, by name; one alone has none.
    """

    image: np.ndarray
    row: Mapping[str, Any]
    number: int = -1
    seed: int | None = None
    begun: int = 0
    blend: tuple[Mapping[str, Any], float] | None = None
    asked: tuple[str, ...] = ("",)
