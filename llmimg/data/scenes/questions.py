"""Questions about a scene with their answers, one function a type.

Each takes the scene's things, what they are called, and three random numbers, and gives (question, answer), or None
where the scene admits no such question: what is asked for is always the only one of its kind.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from llmimg.data.scenes.settings import QUESTIONS
from llmimg.data.scenes.words import Thing, Words, article, offset

QuestionAnswer = tuple[str, str]
_EDGES: dict[str, Callable[[Thing], int]] = {
    "leftmost": lambda thing: thing.box[0],
    "rightmost": lambda thing: -thing.box[0] - thing.box[2],
    "topmost": lambda thing: thing.box[1],
    "bottommost": lambda thing: -thing.box[1] - thing.box[3],
}
_RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "left of": lambda across, down: across < 0,
    "right of": lambda across, down: across > 0,
    "above": lambda across, down: down < 0,
    "below": lambda across, down: down > 0,
}
NUMBERS = 3  # random numbers a question takes


def ask(question: str, things: Sequence[Thing], words: Words, numbers: Sequence[int]) -> QuestionAnswer | None:
    """A question of this type (of QUESTIONS) and its answer; `numbers` are NUMBERS integers of 0 or more."""
    return _TYPES[question](things, words, *numbers)


def _count(things: Sequence[Thing], words: Words, *_: int) -> QuestionAnswer:
    return f"How many {words.kind}s are there?", str(len(things))


def _count_of(things: Sequence[Thing], words: Words, a: int, b: int, _: int) -> QuestionAnswer:
    # Every second time of a class that is there.
    category = things[b % len(things)].category if a % 2 and things else b % len(words.names)
    count = sum(thing.category == category for thing in things)
    return f"How many {words.plural(category)} are there?", str(count)


def _exists(things: Sequence[Thing], words: Words, a: int, b: int, c: int) -> QuestionAnswer:
    have = {(thing.color, thing.category) for thing in things}
    if a % 2 and have:
        thing = things[b % len(things)]
        return f"Is there {article(words.short(thing.color, thing.category))}?", "yes"
    colors, categories = range(len(words.colors) or 1), range(len(words.names))
    lacking = [(color, category) for color in colors for category in categories if (color, category) not in have]
    # Half of these have a colour and a class that are both there.
    seen_colors, seen_categories = {color for color, _ in have}, {category for _, category in have}
    close = [pair for pair in lacking if pair[0] in seen_colors and pair[1] in seen_categories]
    lacking = close if close and b % 2 else lacking
    if not lacking:
        return _exists(things, words, 1, b, c)
    return f"Is there {article(words.short(*lacking[c % len(lacking)]))}?", "no"


def _extreme(things: Sequence[Thing], words: Words, a: int, *_: int) -> QuestionAnswer | None:
    for turn in range(len(_EDGES)):
        name = list(_EDGES)[(a + turn) % len(_EDGES)]
        edges = sorted((_EDGES[name](thing), thing.category) for thing in things)
        if edges and (len(edges) == 1 or edges[0][0] < edges[1][0]):
            return f"Which {words.kind} is {name}?", words.names[edges[0][1]]
    return None


def _relation(things: Sequence[Thing], words: Words, a: int, b: int, c: int) -> QuestionAnswer | None:
    only = _only(things, "category")
    if len(only) < 2:
        return None
    one = only.pop(a % len(only))
    other, name = only[b % len(only)], list(_RELATIONS)[c % len(_RELATIONS)]
    holds = _RELATIONS[name](*offset(one, other))
    return f"Is the {words.names[one.category]} {name} the {words.names[other.category]}?", "yes" if holds else "no"


def _size(things: Sequence[Thing], words: Words, a: int, *_: int) -> QuestionAnswer | None:
    only = _only(things, "category")
    if not only:
        return None
    thing = only[a % len(only)]
    return f"What size is the {words.names[thing.category]}?", words.sizes[thing.size]


def _color(things: Sequence[Thing], words: Words, a: int, *_: int) -> QuestionAnswer | None:
    only = _only(things, "category")
    if not only:
        return None
    thing = only[a % len(only)]
    return f"What color is the {words.names[thing.category]}?", words.colors[thing.color]


def _shape(things: Sequence[Thing], words: Words, a: int, *_: int) -> QuestionAnswer | None:
    only = _only(things, "color")
    if not only:
        return None
    thing = only[a % len(only)]
    return f"What shape is the {words.colors[thing.color]} one?", words.names[thing.category]


def _only(things: Sequence[Thing], field: str) -> list[Thing]:
    """The things that no other one of the scene shares this with."""
    counts = Counter(getattr(thing, field) for thing in things)
    return [thing for thing in things if counts[getattr(thing, field)] == 1]


_TYPES: dict[str, Callable[..., QuestionAnswer | None]] = dict(
    zip(QUESTIONS, (_count, _count_of, _exists, _extreme, _relation, _size, _color, _shape), strict=True)
)
