"""What values of a configuration are as a type, by a reading of our own, from which pydantic took over: an oracle."""

import types
import typing
from typing import Any


def converted(value: Any, kind: Any) -> Any:
    """`value` as `kind`, a type hint of JSON's types. Raises ValueError where it cannot be."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if type(None) in inner and (value is None or value in ("null", "none")):
            return None
        for option in inner:
            if option is not type(None):
                try:
                    return converted(value, option)
                except ValueError:
                    continue
    elif origin is tuple and isinstance(value, list | tuple):
        if inner[-1] is Ellipsis:
            return tuple(converted(item, inner[0]) for item in value)
        if len(inner) == len(value):
            return tuple(converted(item, each) for item, each in zip(value, inner, strict=True))
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
            except (TypeError, OverflowError):
                pass
    elif kind is str and isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    elif kind is dict and isinstance(value, dict):
        return value
    raise ValueError
