"""The words in which a task asks: text with fields for the image, and for what a row is asked by, such as
`"{image}\\nquestion: {question}\\nanswer:"`. The answer stands where `{answer}` does, else at the end."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from llmimg.errors import UserError
from llmimg.nearest import did_you_mean
from llmimg.tokens.sample import ImageSlot, Part, RowText

IMAGE, ANSWER = "image", "answer"

_FIELD = re.compile(r"\{(\w+)\}")

# One or several; a string is one.
Prompts = Annotated[
    tuple[str, ...], Field(min_length=1), BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)
]


@dataclass(frozen=True)
class Template:
    """A prompt in which what differs from row to row is left open.

    Attributes:
        parts: words that are the same for every row, and names of fields, in their order.
        behind: the words that stand behind an answer.
    """

    parts: tuple["str | Slot", ...]
    behind: str = ""

    @classmethod
    def parsed(cls, text: str, constants: Mapping[str, str]) -> "Template":
        """From text with fields; `constants` are those that are the same for every row."""
        front, _, behind = text.partition(f"{{{ANSWER}}}")
        parts: list[str | Slot] = []
        for index, each in enumerate(_FIELD.split(front)):
            if index % 2 and each not in constants:
                parts.append(Slot(each))
                continue
            words = constants[each] if index % 2 else each
            if words and parts and isinstance(parts[-1], str):
                parts[-1] += words
            elif words:
                parts.append(words)
        return cls(tuple(parts), behind)

    @property
    def own(self) -> tuple[str, ...]:
        """The fields that are filled with a row's own words."""
        return tuple(part.name for part in self.parts if isinstance(part, Slot) and part.name != IMAGE)

    def filled(self, row: Mapping[str, Any]) -> tuple[Part, ...]:
        """The parts of a prompt for a row."""
        return tuple(part if isinstance(part, str) else part.of(row) for part in self.parts)


@dataclass(frozen=True)
class Slot:
    """Where a field stands."""

    name: str

    def of(self, row: Mapping[str, Any]) -> Part:
        """What stands there for a row."""
        return ImageSlot() if self.name == IMAGE else RowText(row[self.name])


def closed_answers(names: Sequence[str], behind: str) -> tuple[tuple[str, ...], ...]:
    """Each of some names as an answer, with what stands behind one, and with a line break where one would begin another
    ("hot dog", "hot dog stand"): in words, as a server can be asked for no other end."""
    written = [name + behind for name in names]
    begins = any(one != other and other.startswith(one) for one in written for other in written)
    return tuple((f"{each}\n" if begins else each,) for each in written)


def check_prompts(prompts: tuple[str, ...], fields: Collection[str], constants: Collection[str], behind: bool) -> None:
    """Refuse prompts that ask for something else than the task does.

    Args:
        fields: those that each has once.
        constants: those that may stand in front of the image besides.
        behind: whether words may stand behind an answer.

    Raises:
        UserError: naming what is wrong.
    """
    for prompt in prompts:
        if (wrong := _wrong(prompt, [*fields, ANSWER], constants, behind)) is not None:
            raise UserError(f"task.prompts={prompt!r} has {wrong}")


def _wrong(prompt: str, fields: Sequence[str], constants: Collection[str], behind: bool) -> str | None:
    """What is wrong with a prompt, as the end of a sentence, and what to do."""
    names = _FIELD.findall(prompt)
    for name in names:
        if name not in fields and name not in constants:
            return f"no field {{{name}}} to be filled: {did_you_mean(name, [*fields, *constants])}"
    needed = [name for name in fields if name != ANSWER or ANSWER in names]
    if any(names.count(name) != 1 for name in needed):
        return f"not {' and '.join(f'{{{name}}}' for name in needed)} once each."
    if ANSWER in names and names[-1] != ANSWER:
        return "a field behind {answer}: put all that is asked in front of it."
    if not behind and prompt.partition(f"{{{ANSWER}}}")[2]:
        return "words behind {answer}, where this task's answers end: leave them out."
    behind_image = prompt.partition(f"{{{IMAGE}}}")[2]
    late = [name for name in constants if f"{{{name}}}" in behind_image]
    return f"{{{late[0]}}} behind {{image}}: put it in front." if late else None
