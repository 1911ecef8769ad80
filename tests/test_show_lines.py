"""Tokens with their roles as lines."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.show.lines import BESIDES, LEARNED, Style, Token
from llmimg.tokens.layout import ANSWER, IMAGE, PADDING, UNLEARNED, WORDS

TOKENS = st.builds(
    Token,
    st.integers(0, 255).map(str),
    st.sampled_from([WORDS, IMAGE, ANSWER, UNLEARNED, PADDING]),
    st.sampled_from(["", LEARNED, BESIDES]),
)


def told(lines: list[str]) -> list[tuple[str, str]]:
    """(title, token with its mark) of each token in lines."""
    found, title = [], ""
    for line in lines:
        title = line[:11].strip() or title
        found += [(title, each) for each in line[11:].split(" │ ")]
    return found


@given(st.lists(TOKENS, max_size=90))
def test_every_token_stands_behind_its_role_with_its_mark(tokens):
    names = {WORDS: "words", IMAGE: "image", ANSWER: "answer", UNLEARNED: "unlearned", PADDING: "padding"}
    lines = Style(full=True).role_lines(tokens)
    assert told(lines) == [(names[role], mark + name) for name, role, mark in tokens]
    assert all(len(line) <= 111 for line in lines)
    coloured = Style(full=True, colour=True).role_lines(tokens)
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in coloured] == lines


@given(st.integers(0, 90), st.integers(0, 90))
def test_what_is_left_out_in_the_middle_is_counted(count, learned):
    tokens = [Token(str(index), IMAGE, LEARNED * (index < learned)) for index in range(count)]
    shown = told(Style().role_lines(tokens))
    (gap,) = [each for _, each in shown if each.startswith("…")] or [None]
    if count <= 40:
        assert gap is None and len(shown) == count
        return
    whole = [f"{mark}{name}" for name, _, mark in tokens]
    assert [each for _, each in shown if each != gap] == whole[:24] + whole[-8:] and shown[24][1] == gap
    hidden = max(min(learned, count - 8) - 24, 0)
    assert gap == f"… ({count - 32} more{f', {hidden} of them ▸' * (hidden > 0)}) …"


def test_padding_is_counted():
    padding = [Token("<pad>", PADDING)] * 3
    assert Style().role_lines(padding) == ["padding    <pad> × 3"]
    assert Style().role_lines(padding[:1]) == ["padding    <pad>"]


def test_a_line_break_in_a_token_breaks_no_line():
    assert Style().role_lines([Token("\nobjects:", WORDS)]) == ["words      ⏎objects:"]


@pytest.mark.parametrize("length", [2000, 2001, 5000])
def test_a_long_text_loses_its_middle(length):
    text = "".join(chr(ord("a") + index % 26) for index in range(length))
    assert Style(full=True).text(text) == text
    shown = Style().text(text)
    if length == 2000:
        assert shown == text
    else:
        assert shown == f"{text[:1500]}… ({length - 2000:,} more characters) …{text[-500:]}"


@pytest.mark.parametrize(("terminal", "no_color", "colour"), [(True, "", True), (True, "1", False), (False, "", False)])
def test_colours_are_for_terminals_alone(monkeypatch, terminal, no_color, colour):
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.setenv("NO_COLOR", no_color)
    assert Style.of_terminal() == Style(colour=colour)
