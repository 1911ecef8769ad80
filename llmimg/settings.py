"""Settings: frozen pydantic dataclasses, whose types say what is allowed, and whose errors are sentences.

Each room states its settings as such a class beside what it sets; a YAML file and a `key=value` on the command line map
to it one to one. Hydra is not needed here, so that `python -m llmimg` works where only the package is installed.
"""

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Unit
from pydantic import BeforeValidator, ConfigDict, Field, Strict, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from llmimg.errors import UserError
from llmimg.nearest import did_you_mean
from llmimg.setting_types import CHOICE, choices_of, class_in, one_of, parted, setting_types, takes

__all__ = [
    "Above0",
    "Positive",
    "Seed",
    "Share",
    "Unit",
    "build",
    "one_of",
    "read",
    "setting_types",
    "settings_of",
]

Kind = TypeVar("Kind", bound=type)

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Above0 = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # what NumPy's and scikit-learn's generators take

# Schemas are made when a class is first used: most runs use few of the classes that they import.
_CONFIG = ConfigDict(extra="forbid", validate_default=True, defer_build=True)
_CHOICES = {CHOICE, "literal_error"}
_RANGES = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}


@typing.dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field, Field))
def settings_of(group: str = "") -> Callable[[Kind], Kind]:
    """A decorator that makes a class the settings of a group of the configuration (`data`, `data.scenes`): a frozen
    pydantic dataclass.

    A setting's type says what it takes: `int`, `float`, `bool`, `str`, `Literal[…]`, `tuple[…]`, `… | None` or another
    class of settings; `Annotated[int, Field(ge=1, le=8)]` states a range, and `Unit` what it counts. Values may come as
    text (`"16"`, `"true"`, `"null"`), as they do from a command line; a list becomes a tuple, 1.0 the whole number 1,
    and nothing else another type. What concerns several settings is checked in `__post_init__`.

    Making an object raises UserError where a name is unknown or missing, or a value is not what its type says.
    """

    def as_sentences(cls: Any, value: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            raise UserError(_sentence(error, cls, group)) from None

    def decorate(cls: Kind) -> Any:
        hints = typing.get_type_hints(cls, include_extras=True)
        own = inspect.get_annotations(cls)
        changed: Any = cls
        changed.__annotations__ = {name: _as_read(hints[name]) for name in own}
        changed._as_sentences = model_validator(mode="wrap")(classmethod(as_sentences))
        return dataclass(frozen=True, config=_CONFIG)(changed)

    return decorate


def build(cls: Any, values: Mapping[str, Any]) -> Any:
    """Make the settings `cls` from values of JSON's types; those inside it are made from nested mappings.

    Raises:
        UserError: as `cls` does.
    """
    return cls(**{str(name): value for name, value in values.items()})


def read(value: Any, hint: Any, setting: str) -> Any:
    """One value of JSON's types as a type that a setting could have.

    Raises:
        UserError: where it cannot be; it names the setting.
    """
    from pydantic import TypeAdapter  # it takes along what makes JSON schemas

    try:
        return TypeAdapter(_as_read(hint)).validate_python(value)
    except ValidationError as error:
        raise UserError(_sentence(error, hint, setting)) from None


def _as_read(hint: Any) -> Any:
    """The type, with what reads values of a configuration put behind it and all that is inside."""
    base, said = parted(hint)
    origin: Any = typing.get_origin(base)
    arguments = typing.get_args(base)
    readers: tuple[Any, ...] = ()
    if base in _READERS:
        readers = (Strict(), BeforeValidator(_READERS[base]))
    elif origin is Literal:
        readers = (BeforeValidator(functools.partial(_chosen, arguments)),)
    elif origin in (typing.Union, types.UnionType):
        inside = [_as_read(each) for each in arguments]
        base = functools.reduce(lambda one, other: one | other, inside)
        # From left to right, as its words say what it takes: pydantic would look for the likeliest.
        readers = (Field(union_mode="left_to_right"),) * (len(set(arguments) - {types.NoneType}) > 1)
        readers += (BeforeValidator(_null),) * (types.NoneType in arguments)
    elif origin in (tuple, list, dict):
        base = types.GenericAlias(origin, tuple(each if each is Ellipsis else _as_read(each) for each in arguments))
    return Annotated[(base, *said, *readers)] if said or readers else base


def _whole(value: Any) -> Any:
    """Text and floats as the whole number they are; anything else is left for the type to refuse."""
    try:
        number = int(value)
        return number if not isinstance(value, bool) and (isinstance(value, str) or number == value) else value
    except (TypeError, ValueError, OverflowError):
        return value


def _number(value: Any) -> Any:
    try:
        return value if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return value


def _flag(value: Any) -> Any:
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _chosen(choices: tuple[Any, ...], value: Any) -> Any:
    if isinstance(value, bool):
        return value
    named = {str(each): each for each in choices}
    return named.get(str(value), named.get(str(_whole(value)), value))


def _null(value: Any) -> Any:
    return None if isinstance(value, str) and value in ("null", "none") else value


_READERS: dict[Any, Callable[[Any], Any]] = {int: _whole, float: _number, bool: _flag, str: _text}


def _sentence(error: ValidationError, kind: Any, where: str) -> str:
    """The first error, told: an unknown name before all others.

    Args:
        kind: the class or type that was not met.
        where: its dotted name.
    """
    errors = error.errors(include_url=False)
    first = next((each for each in errors if each["type"] == "unexpected_keyword_argument"), errors[0])
    dotted, hint, inside = _setting_of(first, kind, where)
    if first["type"] == "unexpected_keyword_argument":
        name = str(first["loc"][-1])
        setting = f"{dotted}.{name}".removeprefix(".")
        return f"There is no setting '{setting}': {did_you_mean(name, setting_types(class_in(hint)))}"
    if first["type"] == "missing" and not inside:
        return f"The setting '{dotted}' has no default: give it a value."
    if first["type"] in ("unexpected_positional_argument", "multiple_argument_values"):
        raise error  # a mistake in code
    # A choice between types gives an error for each: the shortest is about the value as a whole.
    about = [each for each in errors if _setting_of(each, kind, where)[0] == dotted]
    whole = min(about, key=lambda each: len(each["loc"]))
    value, mistakes = whole["input"], {each["type"] for each in about}
    shown = list(value) if isinstance(value, tuple) else value
    simple = isinstance(value, str | int | float) and not isinstance(value, bool)
    names = [each for each in choices_of(hint) if isinstance(each, str)]
    if simple and names and (isinstance(value, str) or mistakes <= _CHOICES):
        return f"There is no {dotted.removesuffix('.name')} '{value}': {did_you_mean(str(value), names)}"
    if mistakes & _RANGES or (simple and mistakes <= _CHOICES):
        return f"{dotted}={shown} is out of range: it takes {takes(hint, True)}."
    return f"The setting '{dotted}' cannot be {shown!r}: it takes {takes(hint, False)}."


def _setting_of(error: ErrorDetails, kind: Any, where: str) -> tuple[str, Any, tuple[int | str, ...]]:
    """The dotted name of the setting that an error is about, its type, and where in its value the error lies."""
    names, hint = [where] if where else [], kind
    for depth, step in enumerate(error["loc"]):
        known = setting_types(class_in(hint))
        if depth == 0 and known and isinstance(step, int):  # given by position
            step = list(known)[step]
        if step not in known:
            return ".".join(names), hint, error["loc"][depth:]
        names.append(str(step))
        hint = known[step]
    return ".".join(names), hint, ()
