"""The classes of boxes and masks: how a source calls and numbers them, and the index of each in ours."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from llmimg.data.names import nearest_name, same, shown
from llmimg.errors import UserError

Value = int | str


@dataclass(frozen=True)
class Classes:
    """Attributes:
    names: different names; a class's number in canonical columns is its index here.
    numbers: the source's own number of each, so that what is written out can speak of it; None where it has none.

    Raises:
        UserError: an empty name, which no answer could say.
    """

    names: tuple[str, ...]
    numbers: tuple[int | None, ...]

    def __post_init__(self) -> None:
        for name, number in zip(self.names, self.numbers, strict=True):
            if not name.strip():
                which = "A class" if number is None else f"The class of number {number}"
                raise UserError(f"{which} has an empty name: name the classes with data.label_names, or in the source.")

    def indices(self) -> dict[str, int]:
        """Name → index."""
        return {name: index for index, name in enumerate(self.names)}

    @classmethod
    def of(cls, known: Mapping[int, str]) -> "Classes":
        """From the source's numbers and their names, in the order of the numbers; of one name the first counts."""
        numbers: dict[str, int | None] = {}
        for number, name in sorted(known.items()):
            numbers.setdefault(same(name), number)
        return cls(tuple(numbers), tuple(numbers.values()))

    @classmethod
    def found(cls, values: Iterable[Value]) -> "Classes":
        """From the values that occur: text sorted by itself, numbers by their size and called so."""
        different = set(values)
        numbers = {value: str(value) for value in different if isinstance(value, int)}
        if len(numbers) == len(different):
            return cls.of(numbers)
        names = sorted({same(str(value)) for value in different})
        return cls(tuple(names), (None,) * len(names))


def chosen_classes(
    known: Mapping[int, str] | None, values: Iterable[Value], given: Sequence[str] | None
) -> tuple[Classes, Mapping[int, str] | None]:
    """The classes of a column, and what numbers are called where nothing in the source says it.

    Args:
        known: the training split's own numbers and names, where the source says them.
        values: those that occur in the training split.
        given: `data.label_names`.

    Raises:
        UserError: names that do not fit to what the source says.
    """
    if known is not None:
        if given is None:
            return Classes.of(known), None
        if len(given) != len(known):
            raise UserError(f"data.label_names has {len(given)} names, but the source has {len(known)} categories.")
        return Classes.of(dict(zip(sorted(known), given, strict=True))), None
    if given is None:
        return Classes.found(values), None
    by_number = dict(enumerate(given))
    return Classes.of(by_number), by_number


def no_class(value: Value, classes: Classes) -> str:
    """Why a value is of no class, as the end of a sentence."""
    near = nearest_name(value, classes.names) if isinstance(value, str) else None
    if near is not None:
        return f"'{value}', which is no known class; the nearest is '{near}'"
    numbered = all(name == str(number) for name, number in zip(classes.names, classes.numbers, strict=True))
    known = [
        name if number is None or numbered else f"{number} {name}"
        for name, number in zip(classes.names, classes.numbers, strict=True)
    ]
    which = f"known: {shown(known)}" if known else "none is in the training split"
    return f"{value!r}, which is no known class ({which})"


def renamed(known: Mapping[int, str], learned: Mapping[int, str] | None, classes: Classes) -> dict[int, str]:
    """What the numbers of a split are called; where `data.label_names` has other names than the source, by those."""
    if learned is None:
        return {number: same(name) for number, name in known.items()}
    own = Classes.of(learned)
    ours = dict(zip(own.names, classes.names, strict=True)) if len(own.names) == len(classes.names) else {}
    return {number: ours.get(same(name), same(name)) for number, name in known.items()}


def index_of(
    value: Value, names: Mapping[int, str] | None, classes: Classes, indices: Mapping[str, int], said: str
) -> int:
    """The index of the class that a source calls so.

    Args:
        names: what its numbers are called; None where nothing says it.
        indices: of the classes.
        said: the beginning of an error, such as "A label of row 3 is".

    Raises:
        UserError: it is of no class.
    """
    name = value if isinstance(value, str) else names.get(value) if names is not None else str(value)
    index = None if name is None else indices.get(same(name))
    if index is None:
        called = value if names is None or name is None else name
        raise UserError(f"{said} {no_class(called, classes)}.")
    return index
