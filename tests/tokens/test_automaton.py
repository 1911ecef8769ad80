"""What an automaton lets through is an answer, and reads back as its pieces; whatever the tokenizer."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmimg.textify import START, Grammar, Lexicon, Ragged, make
from llmimg.tokens.automaton import Automaton
from llmimg.tokens.bpe import learn_tokenizer
from llmimg.tokens.vocabulary import make_vocabulary

CELLS = 9
GRAYS = make("gray", levels=8)
# Boxes: three numbers and a class, as often as there are objects, numbers of one to three digits.
BOXES = Lexicon.of(
    first=["objects:"], number=[f" {number}" for number in (*range(12), 107)], thing=[" cat", " hot dog", " hot"]
)
OBJECTS = Grammar(
    BOXES,
    {
        START: {"first": "one"},
        "one": {"number": "two"},
        "two": {"number": "three"},
        "three": {"thing": "one"},
    },
    frozenset({"one"}),
)
# Labels with run lengths.
LABELS = Lexicon.of(first=["sky", "car"], label=[" sky", " car"], run=[f" x{count}" for count in range(2, CELLS + 1)])
RUNS = Grammar(
    LABELS,
    {
        START: {"first": "label"},
        "label": {"label": "label", "run": "length"},
        "length": {"label": "label"},
    },
    frozenset({"label", "length"}),
)


class Writer:
    """Something that writes with pieces: as much of a textifier as a vocabulary asks for."""

    is_learned, state = False, {}

    def __init__(self, grammar: Grammar):
        self.grammar, self.lexicon = grammar, grammar.lexicon

    def settings(self):
        return {"name": "written"}

    def texts(self, pieces: Ragged):
        return [self.lexicon.text(row) for row in pieces]


def cells() -> np.ndarray:
    """Cells beyond those before, of each piece: a label fills one, and a run length the others."""
    return np.array([1] * 4 + list(range(1, CELLS)))


@cache
def learned():
    draw = np.random.default_rng(0)
    images = draw.integers(0, 2, (40, 4, 4, 1)).astype(np.uint8) * 255
    return learn_tokenizer(GRAYS, GRAYS.write(images), 40)


@pytest.fixture(scope="module", params=["own", "gpt2", "smollm2", "minilm"])
def lookup(request):
    """Makes the tokens of a grammar's pieces."""

    def made(grammar: Grammar):
        if request.param == "own":
            return make_vocabulary("own", Writer(grammar), None).lookup
        vocabulary = make_vocabulary("reuse", Writer(grammar), request.getfixturevalue(request.param))
        assert vocabulary.is_table
        return vocabulary.lookup

    return made


END = 10**6


def walk(automaton: Automaton, draw: st.DrawFn, budget: int | None, most: int = 40) -> list[int]:
    """The tokens of a random walk, exactly to the budget where there is one."""
    state, tokens = 0, []
    left = budget
    while state != len(automaton.after) - 1:
        following, cost = automaton.after[state], automaton.cost[state]
        allowed = following >= 0
        if budget is not None:
            allowed &= left - cost >= np.where(following >= 0, automaton.need[following], 0)
            allowed[-1] &= left == cost[-1]
        elif len(tokens) >= most and allowed[-1]:
            allowed[:-1] = False
        column = int(draw(st.sampled_from(np.flatnonzero(allowed).tolist())))
        left = None if budget is None else left - int(cost[column])
        tokens.append(int(automaton.alphabet[column]))
        state = int(following[column])
    return tokens


@settings(max_examples=40)
@given(st.data())
def test_objects_are_read_back(lookup, data):
    found = lookup(OBJECTS)
    automaton = Automaton.of(found.ways(OBJECTS), OBJECTS.final, END)
    tokens = walk(automaton, data.draw, None)
    pieces, _ = automaton.read(tokens)
    assert OBJECTS.parse(BOXES.text(pieces)).tolist() == pieces.tolist()
    assert found(Ragged.from_rows([pieces.astype(BOXES.dtype)])).values.tolist() == tokens[:-1]


@settings(max_examples=40)
@given(st.data(), st.integers(1, CELLS))
def test_a_budget_is_filled_exactly(lookup, data, budget):
    automaton = Automaton.of(lookup(RUNS).ways(RUNS, cells()), RUNS.final, END)
    pieces, _ = automaton.read(walk(automaton, data.draw, budget))
    assert cells()[pieces].sum() == budget
    assert RUNS.parse(LABELS.text(pieces)).tolist() == pieces.tolist()


@given(st.data())
def test_learned_tokens_are_runs_of_pieces(data):
    lookup = make_vocabulary("learn", GRAYS, learned()).lookup
    automaton = Automaton.of(lookup.ways(GRAYS.grammar, [1] * len(GRAYS.lexicon)), GRAYS.grammar.final, END)
    pieces, _ = automaton.read(walk(automaton, data.draw, 16))
    assert len(pieces) == 16
    assert GRAYS.grammar.parse(GRAYS.lexicon.text(pieces)).tolist() == pieces.tolist()


@settings(max_examples=40)
@given(st.data())
def test_every_answer_can_be_written(lookup, data):
    found = lookup(OBJECTS)
    automaton = Automaton.of(found.ways(OBJECTS), OBJECTS.final, END)
    state, pieces = START, []
    for _ in range(1 + 3 * data.draw(st.integers(0, 4))):
        piece, state = data.draw(st.sampled_from(list(OBJECTS.allowed(state))))
        pieces.append(piece)
    tokens = found(Ragged.from_rows([np.array(pieces, BOXES.dtype)])).values
    here = 0
    for token in [*tokens.tolist(), END]:
        here = automaton.after[here, automaton.alphabet.tolist().index(token)]
        assert here >= 0
    assert here == len(automaton.after) - 1
    assert automaton.read(tokens)[0].tolist() == pieces


def test_what_is_no_answer_is_not_read(lookup):
    found = lookup(OBJECTS)
    automaton = Automaton.of(found.ways(OBJECTS), OBJECTS.final, END)
    whole = found(Ragged.from_rows([OBJECTS.parse("objects: 1 107 cat")])).values.tolist()
    assert automaton.read([*whole, END, 5, 5]) is not None
    assert automaton.read(whole[:-1]) is None
    assert automaton.read([whole[0], *whole]) is None
    assert automaton.read([]) is None
