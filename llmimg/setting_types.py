"""What the types of settings say, for those who ask: their types, choices, and ranges in words."""

import dataclasses
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from annotated_types import Unit
from pydantic import AfterValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

CHOICE = "choice"  # pydantic's word for the error of `one_of`
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", types.NoneType: "null"}


def setting_types(cls: Any) -> dict[str, Any]:
    """The settings of a dataclass and the types they take; none of anything else."""
    hints = typing.get_type_hints(cls, include_extras=True) if dataclasses.is_dataclass(cls) else {}
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)} if hints else {}


def value_types(hint: Any) -> Iterator[type]:
    """The types of the values that a type admits: `tuple` for lists, and what is in them."""
    base, _ = parted(hint)
    origin, arguments = typing.get_origin(base), typing.get_args(base)
    if origin is Literal:
        yield from {type(each) for each in arguments}
    elif origin in (typing.Union, types.UnionType, tuple, list):
        if origin in (tuple, list):
            yield tuple
        for each in arguments:
            yield from value_types(each)
    elif isinstance(origin or base, type):
        yield origin or base


def one_of(names: Iterable[str]) -> AfterValidator:
    """What stands behind `str` in `Annotated` where the names that may be chosen are those of a table or of files."""
    return AfterValidator(_OneOf(tuple(names)))


@dataclasses.dataclass(frozen=True)
class _OneOf:
    names: tuple[str, ...]

    def __call__(self, value: str) -> str:
        if value not in self.names:
            raise PydanticCustomError(CHOICE, "no such name")
        return value


def parted(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type, and what `Annotated` says of it."""
    return (hint.__origin__, hint.__metadata__) if typing.get_origin(hint) is Annotated else (hint, ())


def class_in(hint: Any) -> Any:
    """The class of settings that a type is or admits; None where it admits none."""
    base, _ = parted(hint)
    if dataclasses.is_dataclass(base):
        return base
    return next((each for each in typing.get_args(base) if dataclasses.is_dataclass(each)), None)


def choices_of(hint: Any) -> Iterator[Any]:
    """All that a type names to choose from, itself or inside."""
    base, said = parted(hint)
    for each in said:
        if isinstance(each, AfterValidator) and isinstance(each.func, _OneOf):
            yield from each.func.names
    if typing.get_origin(base) is Literal:
        yield from typing.get_args(base)
    else:
        for each in typing.get_args(base):
            yield from choices_of(each)


def takes(hint: Any, ranges: bool) -> str:
    """What a type takes, in words: its kinds, or its ranges too."""
    base, said = parted(hint)
    origin, arguments = typing.get_origin(base), typing.get_args(base)
    described = [each.description for each in said if isinstance(each, FieldInfo) and each.description]
    if described:
        return described[0]
    if origin in (typing.Union, types.UnionType):
        options = [takes(each, ranges) for each in arguments]
        return (", or " if ranges or any(", each" in each for each in options) else " or ").join(options)
    limits = limits_of(said)
    if origin is Literal:
        *others, last = map(str, arguments)
        return f"{', '.join(others)} or {last}" if others else last
    if origin in (tuple, list):
        count = "" if arguments[-1] is Ellipsis or origin is list else f" of {len(arguments)}"
        if "min_length" in limits:
            count = f" of {limits['min_length']} or more"
        return f"a list{count}, each {takes(arguments[0], ranges)}"
    if ranges and (within := _within(limits)):
        return " ".join([within, *(each.unit for each in said if isinstance(each, Unit))])
    return _WORDS.get(base, "names with values")


def limits_of(said: Iterable[Any]) -> dict[str, Any]:
    """The limits that annotations state: `ge`, `gt`, `le`, `lt`, `min_length`."""
    each = [inner for outer in said for inner in (outer.metadata if isinstance(outer, FieldInfo) else [outer])]
    known = ("ge", "gt", "le", "lt", "min_length")
    return {name: getattr(limit, name) for limit in each for name in known if getattr(limit, name, None) is not None}


def _within(limits: Mapping[str, Any]) -> str:
    """Limits in words: `0 or more`, `1 to 256`, `above 0 to below 1`; nothing where there are none."""
    low = f"{limits['ge']}" if "ge" in limits else f"above {limits['gt']}" if "gt" in limits else ""
    high = f"{limits['le']}" if "le" in limits else f"below {limits['lt']}" if "lt" in limits else ""
    if low and high:
        return f"{low} to {high}"
    if low:
        return f"{low} or more" if "ge" in limits else f"more than {limits['gt']}"
    return high and (f"{high} or less" if "le" in limits else high)
