import dataclasses
import functools
import math
import operator
import pickle
from dataclasses import field
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from llmimg.errors import UserError
from llmimg.nearest import check_names, choose, did_you_mean
from llmimg.settings import Positive, Share, Unit, build, one_of, read, settings_of
from tests.converted import converted


@settings_of("inner")
class Inner:
    depth: int = 1


@settings_of()
class Outer:
    name: str
    count: int = 1
    rate: float = 0.5
    wide: bool = False
    size: tuple[int, int] | int | None = None
    names: tuple[str, ...] | None = None
    free: dict[str, Any] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    fit: Literal["stretch", "crop"] = "crop"
    bits: Literal[4, 8] | None = None
    order: Annotated[str, one_of({"raster": 1, "snake": 2})] = "raster"
    tokens: Annotated[int, Field(ge=0), Unit("tokens")] = 0
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    sides: tuple[Positive, Positive] | Positive | None = None
    weights: Annotated[tuple[Share, ...], Field(min_length=1)] | None = None


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
        ("bits", "8", 8),
        ("bits", 8.0, 8),
        ("fit", "stretch", "stretch"),
        ("order", "snake", "snake"),
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
        (
            "size",
            [1, 2, 3],
            "'size' cannot be [1, 2, 3]: it takes a list of 2, each a whole number, or a whole number, or null.",
        ),
        ("size", [1], "'size' cannot be [1]: it takes a list of 2"),
        ("free", 3, "'free' cannot be 3"),
        ("inner", {"depth": "x"}, "'inner.depth' cannot be 'x': it takes a whole number."),
        ("inner", {"dept": 1}, "There is no setting 'inner.dept': did you mean 'depth'?"),
        ("coutn", 1, "There is no setting 'coutn': did you mean 'count'?"),
        ("fit", "corp", "There is no fit 'corp': did you mean 'crop'?"),
        ("fit", 7, "There is no fit '7': known: crop, stretch."),
        ("fit", None, "The setting 'fit' cannot be None: it takes stretch or crop."),
        ("bits", 5, "bits=5 is out of range: it takes 4 or 8, or null."),
        ("bits", True, "The setting 'bits' cannot be True: it takes 4 or 8 or null."),
        ("order", "snak", "There is no order 'snak': did you mean 'snake'?"),
        ("tokens", "-1", "tokens=-1 is out of range: it takes 0 or more tokens."),
        ("share", 1, "share=1.0 is out of range: it takes above 0 to below 1."),
        ("share", math.nan, "share=nan is out of range: it takes above 0 to below 1."),
        ("sides", 0, "sides=0 is out of range: it takes a list of 2, each 1 or more, or 1 or more, or null."),
        ("sides", [1, 0], "sides=[1, 0] is out of range: it takes a list of 2"),
        ("sides", "wide", "The setting 'sides' cannot be 'wide': it takes a list of 2"),
        ("weights", [0, 2], "weights=2.0 is out of range: it takes a list of 1 or more, each 0 to 1, or null."),
        ("weights", [], "The setting 'weights' cannot be []: it takes a list of 1 or more"),
    ],
)
def test_what_cannot_be_is_refused_by_name(setting, given, message):
    with pytest.raises(UserError) as refused:
        build(Outer, {"name": "n"} | {setting: given})
    assert message in str(refused.value)


def test_what_is_given_by_place_is_told_by_name():
    with pytest.raises(UserError, match=r"The setting 'inner\.depth' cannot be 'x'"):
        Inner("x")


def test_names_are_told_from_where_they_stand():
    with pytest.raises(UserError, match=r"There is no setting 'inner\.dept': did you mean 'depth'\?"):
        build(Inner, {"dept": 1})


def test_what_has_no_default_must_be_given():
    with pytest.raises(UserError, match=r"The setting 'name' has no default: give it a value\."):
        build(Outer, {})


def test_one_value_is_read_by_itself():
    assert read("3", Positive, "trainer.steps") == 3
    with pytest.raises(UserError, match=r"^trainer\.steps=0 is out of range: it takes 1 or more\.$"):
        read(0, Positive, "trainer.steps")


def test_defaults_are_held_to_their_types():
    @settings_of("made")
    class Made:
        count: Positive = 0

    with pytest.raises(UserError, match=r"made\.count=0 is out of range"):
        Made()


def test_what_concerns_several_settings_is_said_in_its_own_words():
    @settings_of("span")
    class Span:
        first: int = 0
        last: int = 9

        def __post_init__(self):
            if self.last < self.first:
                raise UserError("span.last comes before span.first: give them in order.")

    @settings_of()
    class Holder:
        span: Span = field(default_factory=Span)

    for made in (lambda: Span(3, 2), lambda: build(Holder, {"span": {"first": "3", "last": 2}})):
        with pytest.raises(UserError, match=r"^span\.last comes before span\.first"):
            made()


def test_settings_are_dataclasses_that_do_not_change():
    made = build(Outer, {"name": "n", "size": [3, 4], "inner": {"depth": 2}})
    assert pickle.loads(pickle.dumps(made)) == made == dataclasses.replace(made)
    assert dataclasses.replace(made, count=4) != made and hash(made.inner) == hash(Inner(2))
    assert dataclasses.asdict(made)["size"] == (3, 4) and dataclasses.asdict(made)["inner"] == {"depth": 2}
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.count = 3
    with pytest.raises(UserError, match="count"):
        dataclasses.replace(made, count="many")


TYPES = st.recursive(
    st.sampled_from([int, float, bool, str]),
    lambda inner: st.one_of(
        inner.map(lambda each: tuple[each, ...]),
        st.tuples(inner, inner).map(lambda each: tuple[each[0], each[1]]),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: functools.reduce(operator.or_, each, None)),
    ),
    max_leaves=4,
)
WORDS = ["16", "1e-4", "true", "False", "null", "none", "1.0", " 7 ", "1_000", "-3", "nan", "inf", "x", ""]
NUMBERS = st.integers(-(2**53), 2**53) | st.floats() | st.integers(-9, 9).map(float)
SINGLE = st.none() | st.booleans() | NUMBERS | st.sampled_from(WORDS)
VALUES = st.recursive(SINGLE, lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@given(TYPES, VALUES)
def test_plain_values_are_read_as_ever(hint, value):
    try:
        expected = converted(value, hint)
    except ValueError:
        with pytest.raises(UserError, match=r"^(The setting '|)x"):
            read(value, hint, "x")
    else:
        made = read(value, hint, "x")
        assert repr(made) == repr(expected)  # types too, and nan


def test_nearest_names_one_or_all():
    assert did_you_mean("cifra10", ["cifar100", "cifar10", "mnist"]) == "did you mean 'cifar10'?"
    assert did_you_mean("zzz", ["b", "a"]) == "known: a, b."


def test_choose_and_check_names():
    assert choose("a", {"a": 1}, "letter") == 1
    with pytest.raises(UserError, match="There is no letter 'b': known: a"):
        choose("b", {"a": 1}, "letter")
    check_names(["a"], iter(["a", "b"]), "")
    with pytest.raises(UserError, match=r"There is no setting 'x\.c': known: a, b"):
        check_names(["a", "c"], ["a", "b"], "x")
