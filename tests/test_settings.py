from dataclasses import dataclass, field
from typing import Any

import pytest

from llmimg.errors import UserError
from llmimg.settings import build, check_names, choose, nearest


@dataclass(frozen=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True)
class Outer:
    name: str
    count: int = 1
    rate: float = 0.5
    wide: bool = False
    size: tuple[int, int] | int | None = None
    names: tuple[str, ...] | None = None
    free: dict[str, Any] = field(default_factory=dict)
    inner: Inner = Inner()


@pytest.mark.parametrize(
    ("setting", "given", "made"),
    [
        ("name", 7, "7"),
        ("count", "16", 16),
        ("count", 16.0, 16),
        ("rate", "1e-4", 1e-4),
        ("rate", 2, 2.0),
        ("wide", "true", True),
        ("wide", "False", False),
        ("size", [3, 4], (3, 4)),
        ("size", "12", 12),
        ("size", None, None),
        ("size", "null", None),
        ("names", ["a", "b", "c"], ("a", "b", "c")),
        ("names", [], ()),
        ("free", {"anything": [1]}, {"anything": [1]}),
        ("inner", {"depth": "2"}, Inner(2)),
        ("inner", Inner(3), Inner(3)),
    ],
)
def test_plain_values_become_what_the_dataclass_states(setting, given, made):
    value = getattr(build(Outer, {"name": "n"} | {setting: given}), setting)
    assert value == made
    assert type(value) is type(made)


@pytest.mark.parametrize(
    ("setting", "given", "message"),
    [
        ("count", "many", "'count' cannot be 'many': it takes a whole number."),
        ("count", 1.5, "'count' cannot be 1.5: it takes a whole number."),
        ("count", True, "'count' cannot be True: it takes a whole number."),
        ("count", None, "'count' cannot be None: it takes a whole number."),
        ("rate", "fast", "'rate' cannot be 'fast': it takes a number."),
        ("wide", 1, "'wide' cannot be 1: it takes true or false."),
        ("name", ["a"], "'name' cannot be ['a']: it takes text."),
        ("size", [1, 2, 3], "'size' cannot be [1, 2, 3]: it takes a list (tuple[int, int]) or a whole number or null."),
        ("free", 3, "'free' cannot be 3"),
        ("inner", {"depth": "x"}, "'inner.depth' cannot be 'x': it takes a whole number."),
        ("inner", {"dept": 1}, "There is no setting 'inner.dept': did you mean 'depth'?"),
        ("coutn", 1, "There is no setting 'coutn': did you mean 'count'?"),
    ],
)
def test_what_cannot_be_is_refused_by_name(setting, given, message):
    with pytest.raises(UserError) as refused:
        build(Outer, {"name": "n"} | {setting: given})
    assert message in str(refused.value)


def test_names_are_told_from_where_they_stand():
    with pytest.raises(UserError, match=r"There is no setting 'textify\.dept': did you mean 'depth'\?"):
        build(Inner, {"dept": 1}, "textify")


def test_what_has_no_default_must_be_given():
    with pytest.raises(UserError, match=r"The setting 'name' has no default: give it a value\."):
        build(Outer, {})
    with pytest.raises(UserError, match=r"The setting 'model\.name' has no default"):
        build(Outer, {}, "model")


def test_nearest_names_one_or_all():
    assert nearest("cifra10", ["cifar100", "cifar10", "mnist"]) == "did you mean 'cifar10'?"
    assert nearest("zzz", ["b", "a"]) == "known: a, b."


def test_choose_and_check_names():
    assert choose("a", {"a": 1}, "letter") == 1
    with pytest.raises(UserError, match="There is no letter 'b': known: a"):
        choose("b", {"a": 1}, "letter")
    check_names(["a"], iter(["a", "b"]), "")
    with pytest.raises(UserError, match=r"There is no setting 'x\.c': known: a, b"):
        check_names(["a", "c"], ["a", "b"], "x")
