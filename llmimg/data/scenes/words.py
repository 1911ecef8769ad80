"""What is said of a scene: its things in words, and a caption."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

Box = tuple[int, int, int, int]  # x, y, width, height


class Thing(NamedTuple):
    """One thing of a scene by its numbers: class, colour, size, and the box of what is seen of it, in pixels."""

    category: int
    color: int
    size: int
    box: Box


class Words(NamedTuple):
    """What the numbers are called; no colours, and no sizes, where there is only one."""

    names: tuple[str, ...]
    colors: tuple[str, ...]
    sizes: tuple[str, ...]

    @property
    def kind(self) -> str:
        return "shape" if self.colors else "digit"

    def of(self, thing: Thing) -> str:
        """For instance "small red circle", "large 7", or "7" where all are of one size."""
        size = f"{self.sizes[thing.size]} " if self.sizes else ""
        return size + self.short(thing.color, thing.category)

    def short(self, color: int, category: int) -> str:
        """For instance "red circle", or "7"."""
        return f"{self.colors[color]} {self.names[category]}" if self.colors else self.names[category]

    def plural(self, category: int) -> str:
        name = self.names[category]
        return f"{name}es" if name.endswith("s") else f"{name}s"


def article(words: str) -> str:
    """The words with "a" or "an" before them."""
    return f"{'an' if words[0] in 'aeiou8' else 'a'} {words}"


def relation(one: Thing, other: Thing) -> str:
    """Where `one` lies as seen from `other`, by the middles of their boxes, along the axis on which they are further
    apart: "left of", "right of", "above", "below", or "in the middle of"."""
    across, down = offset(one, other)
    if across == down == 0:
        return "in the middle of"
    if abs(across) > abs(down):
        return "left of" if across < 0 else "right of"
    return "above" if down < 0 else "below"


def offset(one: Thing, other: Thing) -> tuple[int, int]:
    """How far the middle of `one` lies to the right of, and below, that of `other`, in half pixels."""
    (x, y, width, height), (x2, y2, width2, height2) = one.box, other.box
    return 2 * x + width - 2 * x2 - width2, 2 * y + height - 2 * y2 - height2


def caption(things: Sequence[Thing], words: Words, relations: Sequence[str] | None = None) -> str:
    """All things in their order, and where each lies as seen from the one before: "A small red circle, right of it a
    large blue square, below that …".

    Args:
        relations: where each but the first is said to lie; None as it does.
    """
    if not things:
        return "Nothing."
    if relations is None:
        relations = [relation(thing, before) for before, thing in pairwise(things)]
    told = [article(words.of(things[0]))]
    for place, (lies, thing) in enumerate(zip(relations, things[1:], strict=True)):
        told.append(f"{lies} {'that' if place else 'it'} {article(words.of(thing))}")
    text = ", ".join(told)
    return f"{text[0].upper()}{text[1:]}."
