"""Tokens with their roles → lines for a terminal."""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from llmimg.tokens.layout import ANSWER, IMAGE, PADDING, UNLEARNED, WORDS

LEARNED, BESIDES = "▸", "▹"  # what the loss is over, and what it is over besides

_ROLES = {WORDS: "words", IMAGE: "image", ANSWER: "answer", UNLEARNED: "unlearned", PADDING: "padding"}
_COLOURS = {IMAGE: 36, ANSWER: 32, UNLEARNED: 33, PADDING: 2}  # of ECMA-48: cyan, green, yellow, faint
_MOST, _FIRST, _LAST = 40, 24, 8  # tokens that are shown; of more, those that stay
_CHARACTERS = 2000  # that stay of a text
_BEFORE = 11  # characters in front of the tokens of a line
_WIDTH = 100  # of these


class Token(NamedTuple):
    """A token as it is shown.

    Attributes:
        name: what it is called.
        role: of `llmimg.tokens.layout`.
        mark: `LEARNED`, `BESIDES` or nothing.
    """

    name: str
    role: int
    mark: str = ""


@dataclass(frozen=True)
class Style:
    """How lines are written.

    Attributes:
        full: whether nothing is left out.
        colour: whether roles have colours.
    """

    full: bool = False
    colour: bool = False

    @classmethod
    def of_terminal(cls, full: bool = False) -> "Style":
        """Colours for a terminal alone, unless NO_COLOR is set (no-color.org)."""
        return cls(full, sys.stdout.isatty() and not os.environ.get("NO_COLOR"))

    def role_lines(self, tokens: Iterable[Token]) -> list[str]:
        """A line, or several, for each run of tokens of one role: `answer     ▸ y3 │ ▸ x9`."""
        lines = []
        for role, run in groupby(tokens, key=lambda token: token.role):
            whole = list(run)
            if role == PADDING and len(whole) > 1 and not self.full:
                whole = [whole[0]._replace(name=f"{whole[0].name} × {len(whole):,}")]
            written = self.listed(_ROLES[role], whole)
            colour = _COLOURS.get(role) if self.colour else None
            lines += written if colour is None else [f"\x1b[{colour}m{line}\x1b[0m" for line in written]
        return lines

    def listed(self, title: str, tokens: Sequence[Token]) -> list[str]:
        """Tokens behind a title; many of them without those in the middle, which are counted."""
        shown = [f"{mark}{_on_one_line(name)}" for name, _, mark in tokens]
        if len(tokens) > _MOST and not self.full:
            left = tokens[_FIRST:-_LAST]
            marked = [(mark, sum(token.mark == mark for token in left)) for mark in (LEARNED, BESIDES)]
            said = "".join(f", {count:,} of them {mark}" for mark, count in marked if count)
            shown[_FIRST:-_LAST] = [f"… ({len(left):,} more{said}) …"]
        return [f"{'' if index else title:<{_BEFORE}}{line}" for index, line in enumerate(_filled(shown))]

    def text(self, text: str) -> str:
        """A text; a long one without its middle, which is counted."""
        left = len(text) - _CHARACTERS
        if self.full or left <= 0:
            return text
        begins, ends = _CHARACTERS * 3 // 4, _CHARACTERS // 4
        return f"{text[:begins]}… ({left:,} more characters) …{text[-ends:]}"


def _on_one_line(name: str) -> str:
    return name.replace("\r", "␍").replace("\n", "⏎").replace("\t", "⇥")


def _filled(shown: Iterable[str]) -> list[str]:
    """Lines of several, none wider than it has to be."""
    lines: list[str] = []
    for each in shown:
        if lines and len(lines[-1]) + len(each) + 3 <= _WIDTH:
            lines[-1] += f" │ {each}"
        else:
            lines.append(each)
    return lines
