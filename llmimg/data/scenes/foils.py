"""Captions of a scene with one thing changed, as in FOIL (Shekhar et al., ACL 2017): none is the scene's."""

from collections.abc import Sequence
from itertools import pairwise

from llmimg.data.scenes.words import Thing, Words, caption, relation

FOILS = ("color", "size", "category", "relation", "omission")
NUMBERS = 2 * len(FOILS)  # random numbers that a scene's take
_OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


def foils(things: Sequence[Thing], words: Words, numbers: Sequence[int]) -> list[tuple[str, str]]:
    """(kind, caption), one of every kind that the scene admits: another colour, size or class of one thing, the
    opposite relation between two, one thing left out.

    Args:
        numbers: NUMBERS integers of 0 or more: which thing it is, and what becomes of it.
    """
    known = {"color": words.colors, "size": words.sizes, "category": words.names}
    found = []
    for kind, which, what in zip(FOILS, numbers[::2], numbers[1::2], strict=True):
        if kind in known and things and len(known[kind]) > 1:
            place, count = which % len(things), len(known[kind])
            other = (getattr(things[place], kind) + 1 + what % (count - 1)) % count
            changed = [*things[:place], things[place]._replace(**{kind: other}), *things[place + 1 :]]
            found.append((kind, caption(changed, words)))
        elif kind == "relation" and len(things) > 1:
            lying = [relation(thing, before) for before, thing in pairwise(things)]
            place = which % len(lying)
            lying[place] = _OPPOSITE.get(lying[place], [*_OPPOSITE][what % len(_OPPOSITE)])
            found.append((kind, caption(things, words, lying)))
        elif kind == "omission" and len(things) > 1:
            place = which % len(things)
            found.append((kind, caption([*things[:place], *things[place + 1 :]], words)))
    return found
