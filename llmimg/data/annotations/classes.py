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
