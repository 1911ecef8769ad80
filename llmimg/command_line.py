"""The command line as Hydra is to read it.

Hydra's grammar gives a value the type it looks like: `2024_05` is a number there, `1.10` is 1.1, and `it's` is none of
its words. What a setting takes is known from its type: the value of one that takes text is handed over in quotes.
"""

import re
import typing

from llmimg.configuration import Configuration
from llmimg.errors import UserError
from llmimg.ranks import world_size
from llmimg.readouts.settings import SETTINGS as READOUT_SETTINGS
from llmimg.setting_types import class_in, setting_types, value_types
from llmimg.tasks.base import TASKS
from llmimg.textify import TEXTIFIERS
from llmimg.training.arguments import argument_types

_SWEEP = ("-m", "--multirun")
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_FUNCTION = re.compile(r"(choice|range|interval|glob|shuffle|sort|tag|extend_list|str|int|float|bool|json_str)\(.*\)")
# Words and numbers that Hydra hands on as they are, but for those of `_WORDS`.
_UNQUOTED = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*|0|-?[1-9][0-9]*|-?(0|[1-9][0-9]*)\.[0-9]*[1-9]")
_WORDS = ("null", "true", "false", "nan", "inf")
_OPENING, _CLOSING = "[{(", "]})"


def command_line(arguments: list[str]) -> list[str]:
    """The arguments with text in quotes, and with any name allowed under `trainer.`, which is checked later.

    In a sweep (`-m`), commas separate a text's values. What stands in quotes already is Hydra's.

    Raises:
        UserError: a sweep inside one of several processes.
    """
    sweeps = bool(set(_SWEEP) & set(arguments))
    if sweeps and world_size() > 1:
        raise UserError(
            "A sweep cannot run inside accelerate launch or torchrun: start it with plain python, and "
            "launch=accelerate launch.processes=N."
        )
    return [re.sub(r"^\+{0,2}(?=trainer\.)", "++", _with_quotes(argument, sweeps)) for argument in arguments]


def _with_quotes(argument: str, sweeps: bool) -> str:
    key, given, value = argument.partition("=")
    # The Trainer's types take seconds to import.
    untouched = key.lstrip("+").startswith("trainer.") and _UNQUOTED.fullmatch(value) and value.lower() not in _WORDS
    if not given or not value or untouched or key.startswith(("-", "~", "hydra.")):
        return argument
    kinds = _types_of(key.lstrip("+"))
    if str not in kinds:
        return argument
    if sweeps and _FUNCTION.fullmatch(value):
        return argument
    values = _parted(value) if sweeps else [value]
    return f"{key}={','.join(_quoted(each, kinds) for each in values)}"


def _quoted(value: str, kinds: set[type]) -> str:
    """A value of a setting that takes text among these types, as Hydra reads it without change."""
    if _QUOTED.fullmatch(value) or (dict in kinds and value.startswith("{")):
        return value
    if tuple in kinds and value.startswith("[") and value.endswith("]"):
        return f"[{','.join(_quoted(each.strip(), {str}) for each in _parted(value[1:-1]))}]"
    if (value == "null" and type(None) in kinds) or (value in ("true", "false") and bool in kinds):
        return value
    if kinds & {int, float} and _is_number(value):
        return value
    # A backslash is one, but in front of a quote, where it would be read together with it.
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"


def _parted(value: str) -> list[str]:
    """A value's parts between commas, those in quotes or brackets left whole."""
    parts, depth, start, position = [], 0, 0, 0
    while position < len(value):
        quoted = _QUOTED.match(value, position) if value[position] in "'\"" else None
        depth += (value[position] in _OPENING) - (value[position] in _CLOSING)
        if value[position] == "," and depth <= 0:
            parts.append(value[start:position])
            start = position + 1
        position = quoted.end() if quoted else position + 1
    return [*parts, value[start:]] if value else []


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _types_of(key: str) -> set[type]:
    """The types that a setting takes, `tuple` for lists; none where it has none that is known by its name."""
    group, _, name = key.partition(".")
    if group == "trainer":
        hints = [argument_types().get(name)]
    elif group in ("textify", "task", "readout"):
        hints = [setting_types(kind).get(name) for kind in _choices(group)]
    else:  # `experiment` is text in a configuration, and the name of a file on the command line
        hints = [_hint(key)] if key != "experiment" else []
    return {kind for hint in hints if hint is not None for kind in value_types(hint)}


def _choices(group: str) -> list[type]:
    """The settings of every choice of a group."""
    if group == "textify":
        return list(TEXTIFIERS.entries().values())
    if group == "task":
        return [task.Settings for task in TASKS.entries().values()]
    return list(READOUT_SETTINGS.values())


def _hint(key: str) -> typing.Any:
    kind: typing.Any = Configuration
    for name in key.split("."):
        kind = setting_types(class_in(kind)).get(name)
    return kind
