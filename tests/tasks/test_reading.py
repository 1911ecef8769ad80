"""The one reader of answers."""

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmimg.errors import UserError
from llmimg.tasks.endings import BROKEN_OFF, REFUSED, TRUNCATED
from llmimg.tasks.reading import (
    AMBIGUOUS,
    EMPTY,
    NO_CLASS,
    SEVERAL,
    THINKING,
    AnswerReader,
    check_names,
    reading_notes,
)
from llmimg.tasks.thinking import without_thinking


def named(names, text, **how) -> str | None:
    label = AnswerReader(names).read(text, **how).label
    return None if label is None else names[label]


FOOD = ("hot dog", "dog", "hot dog stand", "traffic light")
WORDS = ("4", "cat", "catfish", "dog")


@pytest.mark.parametrize(
    ("names", "text", "name"),
    [
        (WORDS, "4", "4"),
        (WORDS, " a Cat.", "cat"),
        (WORDS, "catfish", "catfish"),
        (WORDS, "40", None),
        (WORDS, "", None),
        (WORDS, "no dogs, a cat", "cat"),
        (WORDS, "cat fish", "cat"),
        (WORDS, "_cat_", "cat"),
        (WORDS, "**Cat**", "cat"),
        (WORDS, '"cat"', "cat"),
        (WORDS, "`cat`", "cat"),
        (WORDS, "3.4", None),
        (FOOD, "hot-dog", "hot dog"),
        (FOOD, "hot  dog", "hot dog"),
        (FOOD, "It is a hot\ndog.", "hot dog"),
        (FOOD, "hot\\_dog", "hot dog"),
        (FOOD, "Hot Dog Stand", "hot dog stand"),
        (FOOD, "a dog, not a hot dog", "dog"),
        (FOOD, "traffic_light", "traffic light"),
        (("traffic_light", "TrafficCone"), "a traffic light", "traffic_light"),
        (("traffic_light", "TrafficCone"), "a traffic cone", "TrafficCone"),
        (("polish", "Polish"), "Polish", "Polish"),
        (("polish", "Polish"), "polish", "polish"),
        (("polish", "Polish"), "POLISH", None),
        (("A", "a"), "a", "a"),
        (("A", "B"), "It is a B", "B"),
        (("A", "B"), "(b)", "B"),
        (("A", "B"), "a bird", None),
        (("C", "C++"), "C++", "C++"),
        (("-1", "1"), "-1", "-1"),
        (("1 2", "12"), "12", "12"),
        (("1 2", "1"), "12", None),
        (("暗", "亮"), "这张图片是暗的。", "暗"),
        (("猫", "熊猫"), "これは熊猫です", "熊猫"),
        (("แมว", "หมา"), "นี่คือแมวครับ", "แมว"),
        (("개", "고양이"), "고양이입니다", "고양이"),
        (("개", "고양이"), "번개", None),
        ((unicodedata.normalize("NFD", "foncé"), "dégagé"), "foncé", unicodedata.normalize("NFD", "foncé")),
        (("foncé", "dégagé"), unicodedata.normalize("NFD", "dégagé"), "dégagé"),
        (("straße", "weg"), "STRASSE", "straße"),
        (("cat", "dog"), "ｃａｔ", "cat"),
        (("baker's", "x"), "baker’s", "baker's"),
        (("1", "11"), "1\ufe0f\u20e3", "1"),
        (("❤\ufe0f", "💔"), "❤", "❤\ufe0f"),
        (("❤", "💔"), "a ❤\ufe0f!", "❤"),
    ],
)
def test_the_class_named_first_is_read(names, text, name):
    assert named(names, text) == name


@pytest.mark.parametrize(
    ("text", "rest", "finished"),
    [
        ("<think>dark or light</think>light", "light", True),
        ("dark, surely </think>\n light", "\n light", True),
        ("<thinking>dark</thinking> light", " light", True),
        ("<reasoning effort='low'>dark</reasoning>light", "light", True),
        ("<think>a <think> b</think> dark</think>light", "light", True),
        ("light <think>dark", "light ", False),
        ("[THINK]dark[/THINK]light", "light", True),
        ("<|channel|>analysis<|message|>dark<|end|><|channel|>final<|message|>light<|return|>", "light", True),
        ("<|channel|>analysis<|message|>dark", "", False),
        ("analysisWe see dark.assistantfinallight", "light", True),
        ("analysisWe see dark", "", False),
        ("I think light", "I think light", True),
        ("<antThinking>dark?</antThinking>light", "light", True),
        ("<thought_process>dark</thought_process>light", "light", True),
        ("<inner_monologue>dark</inner_monologue>light", "light", True),
        ("< think >dark</ think >light", "light", True),
        ("<think>dark<\\think>light", "light", True),
        ("<|think|>dark<|/think|>light", "light", True),
        ("&lt;think&gt;dark&lt;/think&gt;light", "light", True),
        ("＜think＞dark＜／think＞light", "light", True),
        ("Here is my thought process:\ndark\nHere is my response:light", "light", True),
        ("Here are my reasoning steps:\ndark\n[BEGIN FINAL RESPONSE]light", "light", True),
        ("Here is my thought process:\ndark", "", False),
        ("a <b>light</b> one", "a <b>light</b> one", True),
    ],
)  # fmt: skip
def test_thinking_is_taken_off(text, rest, finished):
    spoken = without_thinking(text)
    assert (spoken.text, spoken.finished) == (rest, finished)
    assert named(("dark", "light"), text) == ("light" if "light" in rest else None)


@pytest.mark.parametrize(
    ("text", "how", "problems"),
    [
        ("", {}, (EMPTY,)),
        ("", {"finish": "length"}, (EMPTY, TRUNCATED)),
        ("", {"thought": True}, (THINKING,)),
        ("<think>cat", {"finish": "length"}, (THINKING, TRUNCATED)),
        ("cat", {"finish": "content_filter"}, (REFUSED,)),
        ("cat", {"finish": "SAFETY"}, (REFUSED,)),
        ("bird", {"finish": "MAX_TOKENS"}, (NO_CLASS, TRUNCATED)),
        ("bird", {"finish": "abort"}, (NO_CLASS, BROKEN_OFF)),
        ("bird", {"finish": "max_tokens"}, (NO_CLASS, TRUNCATED)),
        ("cat and 4", {}, (SEVERAL,)),
        ("cat, a cat", {}, ()),
        ("bird", {}, (NO_CLASS,)),
        ("I see a cat", {"finish": "length"}, (TRUNCATED,)),
        ("4 it is, I th", {"finish": "length"}, (TRUNCATED,)),
        ("bird\ncat", {"one_line": True}, (NO_CLASS,)),
        ("\ncat\n4", {"one_line": True}, ()),
    ],
)
def test_what_is_odd_is_told(text, how, problems):
    assert AnswerReader(WORDS).read(text, **how).problems == problems


def test_what_may_have_gone_on_is_not_read():
    assert AnswerReader(FOOD).read("a hot dog", "length").label is None
    assert (
        AnswerReader(FOOD).read("a hot dog, ", "length").label == 0 or AnswerReader(FOOD).read("a dog", "length").label
    )
    assert AnswerReader(("polish", "Polish")).read("POLISH").problems == (AMBIGUOUS,)


def test_notes_count_each_kind():
    reader = AnswerReader(WORDS)
    readings = [reader.read(text, "length") for text in ("", "4", "<think>")] + [reader.read("cat")]
    truncated, empty, thinking = reading_notes(readings, 20)
    assert truncated.startswith("3 of 4 answers were truncated at the limit of 20 tokens (max_tokens)")
    assert empty.startswith("1 of 4 answers were empty") and thinking.startswith("1 of 4 answers held thinking alone")
    assert reading_notes([reader.read("cat")], None) == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("one", "one "), r"'one' and 'one ' cannot be told apart"),
        (("", "x"), r"The class name '' would not be read"),
        (("x", "<think>"), r"The class name '<think>' would not be read"),
        (("é", unicodedata.normalize("NFD", "é")), r"cannot be told apart"),
    ],
)
def test_names_that_are_not_read_back_are_refused(names, message):
    with pytest.raises(UserError, match=message):
        check_names(names)


def test_a_name_of_two_lines_is_refused_where_an_answer_is_one():
    check_names(("a\nb", "c"))
    with pytest.raises(UserError, match=r"'a\\nb'"):
        check_names(("a\nb", "a"), "\n", one_line=True)


NAMES = st.lists(
    st.text("abAB12 -_é暗漢한ßİ'.+", min_size=1, max_size=8).filter(lambda name: any(map(str.isalnum, name))),
    min_size=2,
    max_size=6,
    unique=True,
)
WRAPPERS = st.sampled_from(["{}", " {}", "{}\n", "**{}**", '"{}"', "({})", "<think>x y</think>\n{}", "`{}`", "{} "])


@given(NAMES, WRAPPERS)
def test_names_that_pass_are_read_back_whatever_stands_around_them(names, wrapper):
    try:
        check_names(names)
    except UserError:
        assume(False)
    reader = AnswerReader(names)
    for label, name in enumerate(names):
        for form in ("NFC", "NFD"):
            found = reader.read(wrapper.format(unicodedata.normalize(form, name)))
            assert found.label == label and SEVERAL not in found.problems


@given(st.lists(st.sampled_from(["cat", "hot dog", "light_bulb", "Zebra"]), min_size=2, unique=True), st.data())
def test_case_and_separators_may_differ(names, data):
    name = data.draw(st.sampled_from(names))
    change = data.draw(st.sampled_from([str.upper, str.title, str.lower]))
    apart = data.draw(st.sampled_from([" ", "-", "_", "\n", "  ", ""]))
    said = change(name).replace("_", " ").replace(" ", apart)
    assert named(names, f"It is a {said}, I think.") == name
