"""Plain values → frozen dataclasses of the standard library, for the rooms whose settings are not pydantic's yet."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from llmimg.errors import UserError
from llmimg.nearest import check_names
from llmimg.setting_types import setting_types


def build(cls: type, values: Mapping[str, Any], where: str = "") -> Any:
    """Make the dataclass `cls` from plain values; nested dataclasses are made from nested mappings.

    Numbers and booleans may come as text (`"16"`, `"true"`), as they do from a command line; lists become tuples.

    Raises:
        UserError: an unknown name, a missing one, or a value of the wrong type; or what `cls` itself refuses.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    check_names(values, fields, where)
    hints = setting_types(cls)
    made = {name: convert(value, hints[name], f"{where}.{name}".lstrip(".")) for name, value in values.items()}
    for name, field in fields.items():
        if name not in made and field.default is field.default_factory is dataclasses.MISSING:
            raise UserError(f"The setting '{where}.{name}'".replace("'.", "'") + " has no default: give it a value.")
    return cls(**made)


def build_any(cls: type, values: Mapping[str, Any], where: str) -> Any:
    return cls(**values) if hasattr(cls, "__is_pydantic_dataclass__") else build(cls, values, where)


def convert(value: Any, kind: Any, where: str) -> Any:
    """`value` as `kind`, a type hint of plain values, lists and dataclasses.

    Raises:
        UserError: where it cannot be; it names `where`.
    """
    if dataclasses.is_dataclass(kind) and isinstance(value, kind | Mapping):
        return value if isinstance(value, kind) else build_any(kind, value, where)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        options = typing.get_args(kind)
        if type(None) in options and (value is None or value in ("null", "none")):
            return None
        for option in options:
            if option is not type(None):
                try:
                    return convert(value, option, where)
                except UserError:
                    continue
    elif kind is Any:
        return value
    elif typing.get_origin(kind) is tuple and isinstance(value, list | tuple):
        inner = typing.get_args(kind)
        if inner[-1] is Ellipsis:
            return tuple(convert(item, inner[0], where) for item in value)
        if len(inner) == len(value):
            return tuple(convert(item, each, where) for item, each in zip(value, inner, strict=True))
    elif kind is bool:
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
    elif kind in (int, float):
        if not isinstance(value, bool):
            try:
                number = kind(value)
                if kind is float or number == float(value):
                    return number
            except (TypeError, ValueError, OverflowError):
                pass
    elif kind is str and isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    elif (typing.get_origin(kind) or kind) in (dict, list) and isinstance(value, typing.get_origin(kind) or kind):
        return value
    raise UserError(f"The setting '{where}' cannot be {value!r}: it takes {_describe(kind)}.")


def _describe(kind: Any) -> str:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return " or ".join(_describe(option) for option in typing.get_args(kind))
    if kind is type(None):
        return "null"
    plain = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if kind in plain:
        return plain[kind]
    return f"a list ({kind})" if typing.get_origin(kind) is tuple else f"a {getattr(kind, '__name__', kind)}"
