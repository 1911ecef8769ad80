import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.errors import UserError
from llmimg.textify import START, Grammar, Lexicon, Ragged, make

PIECES = st.lists(st.text("ab ", min_size=1, max_size=3), min_size=1, max_size=4, unique=True)


def test_a_lexicon_gives_each_kind_a_range_of_ids_in_order():
    lexicon = Lexicon.of(first=["x", "yy"], next=[" x"])
    assert lexicon.pieces == ("x", "yy", " x")
    assert lexicon.kinds == {"first": range(2), "next": range(2, 3)}
    assert len(lexicon) == 3
    assert lexicon.text(np.array([1, 2, 0])) == "yy xx"


@pytest.mark.parametrize(("count", "dtype"), [(1, np.uint16), (65_535, np.uint16), (65_536, np.uint32)])
def test_piece_ids_take_the_smallest_unsigned_type_of_16_bits_or_more(count, dtype):
    assert Lexicon.of(piece=[str(number) for number in range(count)]).dtype == dtype


@given(PIECES, PIECES, st.data())
def test_whatever_a_grammar_writes_it_reads_as_the_same_text(first, following, data):
    moves = {START: {"first": "more"}, "more": {"next": "more"}}
    grammar = Grammar(Lexicon.of(first=first, next=following), moves, frozenset({"more"}))
    state, ids = START, []
    for _ in range(data.draw(st.integers(1, 12))):
        piece, state = data.draw(st.sampled_from(list(grammar.allowed(state))))
        ids.append(piece)
    text = grammar.lexicon.text(np.array(ids))
    parsed = grammar.parse(text)
    assert grammar.lexicon.text(parsed) == text
    assert parsed.dtype == grammar.lexicon.dtype
    kinds = [next(name for name, ids in grammar.lexicon.kinds.items() if piece in ids) for piece in parsed.tolist()]
    assert kinds == ["first"] + ["next"] * (len(parsed) - 1)


def test_parse_takes_the_longest_piece_and_steps_back_where_that_leads_nowhere():
    lexicon = Lexicon.of(word=["a", "ab"], tail=["c", "bc", "d"])
    grammar = Grammar(lexicon, {START: {"word": "tail"}, "tail": {"tail": "end"}}, frozenset({"end"}))
    assert [lexicon.pieces[piece] for piece in grammar.parse("abc")] == ["ab", "c"]
    assert [lexicon.pieces[piece] for piece in grammar.parse("abd")] == ["ab", "d"]
    only_bc = Grammar(
        Lexicon.of(word=["a", "ab"], tail=["bc"]), {START: {"word": "t"}, "t": {"tail": "e"}}, frozenset({"e"})
    )
    assert only_bc.parse("abc").tolist() == [0, 2]


def test_a_text_with_many_readings_is_refused_without_trying_them_all():
    grammar = Grammar(
        Lexicon.of(a=["a", "aa", "aaa"]), {START: {"a": "more"}, "more": {"a": "more"}}, frozenset({"more"})
    )
    with pytest.raises(UserError, match="from character 500 on: 'b'"):
        grammar.parse("a" * 500 + "b")


@pytest.mark.parametrize(
    ("textifier", "text", "message"),
    [
        (make("gray", levels=16), "0 7 16 3", r"from character 5 on: '6 3'"),
        (make("gray", levels=16), "", r"from character 0 on: ''"),
        (make("gray", levels=16), " 7", r"from character 0 on: ' 7'"),
        (make("region_color"), "region_color_1_2_3 region_color_256_2_3", r"from character 34 on: '6_2_3'"),
        (make("region_color"), "region_color_1_2", r"from character 16 on: ''"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_with_the_position(textifier, text, message):
    with pytest.raises(UserError, match=message):
        textifier.grammar.parse(text)


def test_the_start_of_a_text_is_a_state_of_its_own():
    with pytest.raises(ValueError, match="back to 'start'"):
        Grammar(Lexicon.of(a=["a"]), {START: {"a": START}}, frozenset({START}))


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=5))
def test_ragged_rows_come_back_as_they_went_in(rows):
    ragged = Ragged.from_rows([np.array(row, np.uint16) for row in rows], np.dtype(np.uint16))
    assert [row.tolist() for row in ragged] == rows
    assert ragged.lengths.tolist() == [len(row) for row in rows]
    assert ragged.offsets[0] == 0
    assert ragged.offsets[-1] == len(ragged.values)


STATES = ("a", "b", "c", "d")


@given(st.dictionaries(st.sampled_from((START, *STATES)), st.lists(st.sampled_from(STATES), max_size=3)))
def test_the_longest_text_is_found_where_texts_end(edges):
    """Held against the depth of a walk that keeps its trail, and goes on and on where it comes back."""
    kinds = [f"k{number}" for number in range(3)]
    moves = {state: dict(zip(kinds, following, strict=False)) for state, following in edges.items()}
    grammar = Grammar(Lexicon.of(**{kind: [kind] for kind in kinds}), moves, frozenset(STATES))

    def depth(state: str, trail: tuple[str, ...]) -> float:
        if state in trail:
            return math.inf
        return max((1 + depth(after, (*trail, state)) for after in moves.get(state, {}).values()), default=0)

    longest = depth(START, ())
    assert grammar.longest == (None if longest == math.inf else longest)
