"""A configuration where `conf/` is not installed: what the classes of settings have by themselves."""

from collections.abc import Mapping
from typing import Any

import yaml

from llmimg.baselines import BASELINES
from llmimg.data.sources import SOURCES
from llmimg.errors import UserError

_CHOSEN = {"data": "digits", "textify": "gray", "task": "classify", "model": "gpt2"}
_NAMED = (*_CHOSEN, "readout", "vocabulary", "adaptation")  # groups whose choice is a name
_FILES = ("experiment", "debug", "augment", "tokens", "trainer", "launch")  # those of which it is a file's alone


def without_conf(given: Mapping[str, str]) -> dict[str, Any]:
    """What `group=choice` and `key=value` make of the classes' defaults, in JSON's types.

    A choice of `data` may be a source, one of `model` an architecture or a baseline.

    Raises:
        UserError: what only a file of `conf/` says.
    """
    values: dict[str, Any] = {"trainer": {"do_train": True}}
    for name, value in {**_CHOSEN, **given}.items():
        if name in _FILES and value != "none":
            raise UserError(
                f"{name}={value} is a file of conf/, which is not there beside the package: give its settings one by "
                "one."
            )
        if name not in _FILES:
            _put(values, [name, "name"] if name in _NAMED else name.split("."), value)
    data, model = values["data"], values["model"]
    if data["name"] in SOURCES:
        data.setdefault("source", data["name"])
    if model["name"] in BASELINES.entries():
        model.setdefault("kind", "baseline")
    if "path" not in model:
        model.setdefault("architecture", model["name"])
    return values


def _put(values: dict[str, Any], names: list[str], value: str) -> None:
    *groups, key = names
    for group in groups:
        values = values.setdefault(group, {})
    values[key] = yaml.safe_load(value) if value[:1] in ("[", "{") else value
