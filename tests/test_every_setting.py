"""Every setting says what it takes: a value beyond its limits, beside its choices or of another type is refused in a
sentence that names it, the one in tests/sentences.txt. A setting that is not in there fails, but for those of a class
that is not in there at all, as one that was just added; `PYTHONPATH=. python tests/test_every_setting.py` writes the
list anew."""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmimg.baselines import BASELINES
from llmimg.configuration import Configuration
from llmimg.data.decoding import Decoding
from llmimg.errors import UserError
from llmimg.models.image import NoOptions, VitOptions
from llmimg.models.settings import EndpointOptions, ModelSettings
from llmimg.readouts.settings import SETTINGS as READOUT_SETTINGS
from llmimg.setting_types import choices_of, class_in, limits_of, parted, setting_types
from llmimg.show.image import ShowSettings
from llmimg.show.rows import RowsSettings
from llmimg.tasks.base import TASKS
from llmimg.tasks.detect import DetectSettings
from llmimg.tasks.segment import SegmentSettings
from llmimg.textify import TEXTIFIERS

LIST = Path(__file__).parent / "sentences.txt"
NEEDED = {"name": "n", "data": {"name": "n"}, "textify": {"name": "gray"}, "model": {"name": "n", "path": "p"}}
OF_OTHER_TYPE = {int: "many", float: "many", str: ["many"]}


def nested(cls: type, where: str) -> Iterator[tuple[str, type]]:
    yield where, cls
    for name, hint in setting_types(cls).items():
        if class_in(hint) is not None:
            yield from nested(class_in(hint), f"{where}.{name}".lstrip("."))


def classes() -> Iterator[tuple[str, type]]:
    """Every class of settings, with the group that it is of."""
    yield from nested(Configuration, "")
    yield from (
        ("", ShowSettings),
        ("", RowsSettings),
        ("data", Decoding),
        ("task", DetectSettings),
        ("task", SegmentSettings),
    )
    yield from (
        ("model.options", cls) for cls in (EndpointOptions, VitOptions, NoOptions, *BASELINES.entries().values())
    )
    yield from (("textify", cls) for cls in TEXTIFIERS.entries().values())
    yield from (("task", task.Settings) for task in TASKS.entries().values())
    yield from (("readout", cls) for cls in READOUT_SETTINGS.values())


def settings() -> dict[str, tuple[str, type, str]]:
    """`Class.name`, the class being that which states the setting → (its group, a class that has it, its name)."""
    found: dict[str, tuple[str, type, str]] = {}
    for group, cls in classes():
        for name, hint in setting_types(cls).items():
            owner = next(each for each in cls.__mro__ if name in inspect.get_annotations(each))
            if hint is not Any:
                found.setdefault(f"{owner.__name__}.{name}", (group, cls, name))
    return found


def wrong(hint: Any) -> Iterator[Any]:
    """Values that a type does not take: beyond each of its limits, beside its choices, of another type."""
    base, said = parted(hint)
    origin, inner = typing.get_origin(base), [each for each in typing.get_args(base) if each is not types.NoneType]
    if origin in (typing.Union, types.UnionType):
        yield from wrong(inner[0]) if len(inner) == 1 else [{"many": 1}]
    elif origin is tuple:
        yield from ([value] * (1 if inner[-1] is Ellipsis else len(inner)) for value in wrong(inner[0]))
        yield {"many": 1}
    elif names := list(choices_of(hint)):
        yield from (f"{each}x" for each in names)
        yield {"many": 1}
    else:
        beyond = {"ge": -1, "gt": 0, "le": 1, "lt": 0}
        yield from (limit + beyond[name] for name, limit in limits_of(said).items() if name in beyond)
        yield OF_OTHER_TYPE.get(origin or base, 7)


def refusals(cls: type, name: str) -> list[str]:
    """What is said of each wrong value."""
    missing = dataclasses.MISSING
    needed = {field.name for field in dataclasses.fields(cls) if field.default is field.default_factory is missing}
    given = {each: NEEDED[each] for each in needed} | ({"path": "p"} if cls is ModelSettings else {})
    sentences = []
    for value in wrong(setting_types(cls)[name]):
        with pytest.raises(UserError) as refused:
            cls(**given | {name: value})
        sentences.append(str(refused.value))
    return sentences


SETTINGS = settings()
LISTED = LIST.read_text().splitlines()
OLD = {line.partition(".")[0] for line in LISTED}  # classes


def test_the_list_is_whole():
    old = [setting for setting in SETTINGS if setting.partition(".")[0] in OLD]
    assert [line.split(": ")[0] for line in LISTED] == sorted(old)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_wrong_value_is_refused_in_a_sentence(setting):
    group, cls, name = SETTINGS[setting]
    sentences = refusals(cls, name)
    assert f"{setting}: {sentences[0]}" in LISTED or setting.partition(".")[0] not in OLD
    dotted = f"{group}.{name}".lstrip(".")
    for said in sentences:
        assert re.search(rf"(^|[' ]){re.escape(dotted)}\b", said) or f"no {dotted.removesuffix('.name')} '" in said
        assert re.search("it takes |did you mean |known: ", said)
        assert said[-1] in ".?" and len(re.findall(r"[.?](\s|$)", said)) <= 2  # one sentence, or two


if __name__ == "__main__":
    lines = [f"{setting}: {refusals(*SETTINGS[setting][1:])[0]}\n" for setting in sorted(SETTINGS)]
    LIST.write_text("".join(lines))
