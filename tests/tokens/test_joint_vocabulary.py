"""One vocabulary for images and answers: images are read as if there were no answers, and these are exact by pieces."""

import copy
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from llmimg.errors import UserError
from llmimg.textify import START, Grammar, Lexicon, Ragged, make
from llmimg.tokens.bpe import learn_tokenizer
from llmimg.tokens.vocabulary import Vocabulary, load_tokenizer, make_vocabulary

GRAYS = make("gray", levels=8)
CELLS = 9


def classes(*names: str) -> Grammar:
    return Grammar(Lexicon.of(name=names), {START: {"name": "done"}}, frozenset({"done"}))


# Boxes: two numbers and a class, as often as there are objects; numbers are also grays, or hold some.
OBJECTS = Grammar(
    Lexicon.of(number=[f" {number}" for number in (*range(12), 107)], thing=[" cat", " hot dog", " hot"]),
    {START: {"number": "two"}, "one": {"number": "two"}, "two": {"number": "three"}, "three": {"thing": "one"}},
    frozenset({START, "one"}),
)
# Labels with run lengths.
RUNS = Grammar(
    Lexicon.of(label=[" sky", " car"], run=[f" x{count}" for count in range(2, CELLS + 1)]),
    {
        START: {"label": "label"},
        "label": {"label": "label", "run": "length"},
        "length": {"label": "label"},
    },
    frozenset({"label", "length"}),
)
FILLED = np.array([1, 1, *range(1, CELLS)])  # cells beyond those before, of each piece of `RUNS`
GRAMMARS = {"objects": OBJECTS, "runs": RUNS}


@cache
def learned():
    images = np.random.default_rng(0).integers(0, 2, (40, 4, 4, 1)).astype(np.uint8) * 255
    return learn_tokenizer(GRAYS, GRAYS.write(images), 40)


def basis(name: str, pretrained):
    """The tokenizer that a vocabulary of that name is made from."""
    return None if name == "own" else learned() if name == "learn" else copy.deepcopy(pretrained)


def some_images():
    return GRAYS.write(np.random.default_rng(1).integers(0, 256, (20, 5, 4, 1)).astype(np.uint8))


@pytest.fixture(scope="module", params=["own", "learn", "gpt2", "smollm2", "minilm", "extend"])
def made(request):
    """A vocabulary of grays and of answers, and the same of grays alone."""
    name = request.param if request.param in ("own", "learn", "extend") else "reuse"
    pretrained = None if name in ("own", "learn") else "gpt2" if name == "extend" else request.param
    tokenizer = basis(name, pretrained and request.getfixturevalue(pretrained))

    @cache
    def of(answers: str | None = None) -> Vocabulary:
        return make_vocabulary(name, GRAYS, copy.deepcopy(tokenizer), answers and GRAMMARS[answers])

    return of


@pytest.mark.parametrize("answers", GRAMMARS)
def test_images_are_read_as_if_there_were_no_answers(made, answers):
    alone, joint = made(), made(answers)
    pieces = some_images()
    ids = [row.tolist() for row in alone.lookup(pieces)]
    assert [row.tolist() for row in joint.lookup(pieces)] == ids
    assert joint.tokenizer(GRAYS.texts(pieces), add_special_tokens=False).input_ids == ids
    assert joint.lookup.fingerprint == alone.lookup.fingerprint
    assert joint.fingerprint != alone.fingerprint or joint.tokenizer.get_vocab() == alone.tokenizer.get_vocab()
    before = alone.tokenizer.convert_ids_to_tokens(range(len(alone.tokenizer)))
    assert joint.tokenizer.convert_ids_to_tokens(range(len(before))) == before


def walk(vocabulary: Vocabulary, grammar: Grammar, draw: st.DrawFn, budget: int | None) -> list[int]:
    """The tokens of a random walk through an automaton, exactly to the budget where there is one."""
    automaton = vocabulary.automaton(grammar, None if budget is None else FILLED)
    state, tokens, left = 0, [], budget
    while state != len(automaton.after) - 1:
        following, cost = automaton.after[state], automaton.cost[state]
        allowed = following >= 0
        if budget is not None:
            allowed &= left - cost >= np.where(allowed, automaton.need[following], 0)
            allowed[-1] &= left == cost[-1]
        elif len(tokens) >= 40 and allowed[-1]:
            allowed[:-1] = False
        column = int(draw(st.sampled_from(np.flatnonzero(allowed).tolist())))
        left = None if budget is None else left - int(cost[column])
        tokens.append(int(automaton.alphabet[column]))
        state = int(following[column])
    assert tokens.pop() == vocabulary.end
    return tokens


@settings(max_examples=15)
@given(st.data(), st.sampled_from([None, *range(1, CELLS)]))
def test_what_is_let_through_is_an_answer_and_fills_its_budget(made, data, budget):
    name = "objects" if budget is None else "runs"
    grammar, vocabulary = GRAMMARS[name], made(name)
    tokens = walk(vocabulary, grammar, data.draw, budget)
    pieces, owners = vocabulary.automaton(vocabulary.grammar).read([*tokens, vocabulary.end, 5, 6])
    assert grammar.parse(grammar.lexicon.text(pieces)).tolist() == pieces.tolist()
    assert vocabulary.answer_ids(pieces).tolist() == tokens
    assert [vocabulary.answer_ids(pieces[:index]).size for index in range(len(pieces))] == [
        owners.tolist().index(index) for index in range(len(pieces))
    ]
    if budget is not None:
        assert FILLED[pieces].sum() == budget


@pytest.mark.parametrize("answers", GRAMMARS)
def test_answers_of_a_pretrained_tokenizer_are_what_it_reads(answers, gpt2):
    grammar = GRAMMARS[answers]
    vocabulary = make_vocabulary("reuse", GRAYS, gpt2, grammar)
    text = {"objects": " 1 107 hot dog 0 3 cat", "runs": " sky x3 car sky x9"}[answers]
    ids = vocabulary.answer_ids(grammar.parse(text)).tolist()
    assert ids == gpt2(text).input_ids
    assert vocabulary.automaton(vocabulary.grammar).read(gpt2(" 1 107 hot").input_ids[:-1]) is None


def alone(name: str) -> Vocabulary:
    return make_vocabulary(name, GRAYS, basis(name, None))


def test_a_class_that_two_grays_would_make_leaves_images_as_they_are(gpt2):
    grammar, image = classes(" 1 2", " 3", " cat"), Ragged.from_rows([GRAYS.grammar.parse("0 1 2 3")])
    for name in ("own", "learn", "reuse", "extend"):
        vocabulary = make_vocabulary(name, GRAYS, basis(name, gpt2), grammar)
        ids = vocabulary.lookup(image)[0].tolist()
        assert ids == (
            gpt2("0 1 2 3").input_ids if name in ("reuse", "extend") else alone(name).lookup(image)[0].tolist()
        )
        assert ids == vocabulary.tokenizer("0 1 2 3", add_special_tokens=False).input_ids
        swallowing = vocabulary.answer_ids([0]).tolist()
        assert len(swallowing) == (2 if name in ("reuse", "extend") else 1)
        assert ("as an image's text may hold them: [' 1 2']" in vocabulary.note) == (name == "extend")
        assert vocabulary.text(swallowing) == " 1 2"
        assert vocabulary.answer_ids([2]).tolist() != swallowing


def test_a_token_that_must_be_added_and_would_be_found_in_images_is_refused(minilm):
    with pytest.raises(UserError, match=r"would add ' ' as a token for answers.* take vocabulary=own"):
        make_vocabulary("extend", GRAYS, copy.deepcopy(minilm), classes(" ", " cat"))  # which reads spaces as nothing


def test_a_text_that_is_a_piece_of_both_is_one_token():
    alone, joint = make_vocabulary("own", GRAYS, None), make_vocabulary("own", GRAYS, None, classes(" 3", " cat"))
    gray = GRAYS.lexicon.pieces.index(" 3")
    assert joint.answer_ids([0])[0] == alone.tokenizer.convert_tokens_to_ids(GRAYS.lexicon.pieces[gray])
    assert joint.answer_ids([1]).tolist() == [len(alone.tokenizer)] == [len(joint.tokenizer) - 1]


@pytest.mark.parametrize("name", ["own", "learn", "reuse", "extend"])
def test_pieces_that_cannot_be_told_apart_are_named(name, gpt2):
    tokenizer = basis(name, gpt2)

    def make_for(*names: str) -> Vocabulary:
        return make_vocabulary(name, GRAYS, tokenizer, classes(*names))

    with pytest.raises(UserError, match="' cat', ' cat'"):
        make_for(" cat", " dog", " cat")
    with pytest.raises(UserError, match="''"):
        make_for(" cat", "")
    end = make_for(" cat").tokenizer.eos_token
    with pytest.raises(UserError, match="its own marks"):
        make_for(" cat", end)


def test_pieces_that_are_unknown_are_named_and_extend_mends_it(minilm):
    grammar = classes(" cat", " Cat", " ☃☃")
    with pytest.raises(UserError, match=r"' cat', ' Cat'.*vocabulary=extend .*vocabulary=own"):
        make_vocabulary("reuse", GRAYS, minilm, grammar)
    vocabulary = make_vocabulary("extend", GRAYS, copy.deepcopy(minilm), grammar)
    assert sorted(vocabulary.tokenizer.convert_ids_to_tokens(list(vocabulary.replaced))) == [" Cat", " cat", " ☃☃"]
    assert len({tuple(vocabulary.answer_ids([piece])) for piece in range(3)}) == 3
    assert vocabulary.open_ids("a cat") == minilm("a cat", add_special_tokens=False).input_ids


def test_pieces_that_the_tokenizer_would_join_are_refused(gpt2):
    digits = Grammar(
        Lexicon.of(digit=list("0123456789")), {START: {"digit": "more"}, "more": {"digit": "more"}}, frozenset({"more"})
    )
    with pytest.raises(UserError, match=r"reads pieces of an answer otherwise .*'0'.*vocabulary=own"):
        make_vocabulary("reuse", GRAYS, gpt2, digits)
    assert make_vocabulary("own", GRAYS, None, digits).answer_ids([1, 2, 3]).size == 3


@pytest.mark.parametrize("name", ["own", "learn", "extend"])
def test_what_was_saved_gives_the_same_ids(name, gpt2, tmp_path):
    vocabulary = make_vocabulary(name, GRAYS, basis(name, gpt2), OBJECTS).with_words(["see: ", "objects:"])
    vocabulary.save(tmp_path)
    (tmp_path / "recogniser.json").write_text("{}")
    kind = "reuse" if name == "extend" else name
    loaded = make_vocabulary(kind, GRAYS, load_tokenizer(str(tmp_path)), OBJECTS)
    pieces = OBJECTS.parse(" 1 107 hot dog 0 3 cat")
    assert loaded.answer_ids(pieces).tolist() == vocabulary.answer_ids(pieces).tolist()
    assert [row.tolist() for row in loaded.lookup(some_images())] == [
        row.tolist() for row in vocabulary.lookup(some_images())
    ]
    assert loaded.open_ids("objects:") == vocabulary.open_ids("objects:")
    assert len(loaded.tokenizer) == len(AutoTokenizer.from_pretrained(tmp_path)) == len(vocabulary.tokenizer)
    assert not loaded.replaced


@pytest.mark.parametrize("name", ["own", "learn"])
def test_a_run_goes_on_with_answers_that_it_did_not_know(name, tmp_path):
    run = alone(name).with_words(["an image: "])
    run.save(tmp_path)
    (tmp_path / "recogniser.json").write_text("{}")
    before = len(run.tokenizer)
    grown = make_vocabulary("reuse", GRAYS, load_tokenizer(str(tmp_path)), OBJECTS)
    new = [piece for piece in OBJECTS.lexicon.pieces if piece not in GRAYS.lexicon.pieces]
    assert grown.replaced == {before + index: () for index in range(len(new))} and grown.has_new_tokens
    assert grown.open_ids("an image: ") == run.open_ids("an image: ")
    assert [row.tolist() for row in grown.lookup(some_images())] == [row.tolist() for row in run.lookup(some_images())]
    assert len(grown.with_words(["an image: ", "objects:"]).replaced) == len(new) + 1
    assert vocabulary_texts(grown)[:before] == vocabulary_texts(run)


def vocabulary_texts(vocabulary: Vocabulary) -> list[str]:
    return vocabulary.tokenizer.convert_ids_to_tokens(range(len(vocabulary.tokenizer)))


def test_an_image_is_an_answer_too(gpt2):
    for name in ("own", "learn", "reuse"):
        vocabulary = make_vocabulary(name, GRAYS, basis(name, gpt2), GRAYS.grammar)
        pieces = GRAYS.grammar.parse("0 1 7 7 7 7")
        read, owners = vocabulary.automaton(vocabulary.grammar).read(vocabulary.answer_ids(pieces))
        assert read.tolist() == pieces.tolist()
        assert owners[0] == 0 and (np.diff(owners) > 0).all()


QUESTIONS = ["What colour is the cat?", "How many dogs are there?", "0 1 2", " 1 2 hot dog"]


@pytest.mark.parametrize("name", ["own", "learn"])
def test_open_text_is_read_whatever_it_is(name, tmp_path):
    closed = make_vocabulary(name, GRAYS, basis(name, None), OBJECTS).with_words(["see: "])
    with pytest.raises(UserError, match="has no tokens for the text"):
        closed.open_ids(QUESTIONS[0])
    vocabulary = closed.with_open(QUESTIONS, 300)
    first, size = len(closed.tokenizer), len(vocabulary.tokenizer)
    assert 256 < size - first <= 300 and vocabulary.with_open(["others"], 400) is vocabulary
    assert vocabulary.open_ids("see: ") == closed.open_ids("see: ") and vocabulary.open_ids("see: ")[0] < first
    vocabulary.save(tmp_path)
    (tmp_path / "recogniser.json").write_text("{}")
    loaded = make_vocabulary(name, GRAYS, load_tokenizer(str(tmp_path)), OBJECTS)
    assert {file.suffix for file in tmp_path.iterdir()} == {".json"}
    for text in (*QUESTIONS, "ungesehen ☃ \n\t", "<eos>", "see: it"):
        ids = vocabulary.open_ids(text)
        assert all(first <= token < size for token in ids)
        assert vocabulary.text(ids) == text and loaded.open_ids(text) == ids
    assert len(vocabulary.open_ids(QUESTIONS[0])) < len(QUESTIONS[0])
    whole = [*vocabulary.answer_ids([1, 1, 13]), *vocabulary.open_ids("é☃"), vocabulary.end]
    assert vocabulary.text(whole) == " 1 1 caté☃"
    grown = make_vocabulary("reuse", GRAYS, load_tokenizer(str(tmp_path)), RUNS)
    assert min(grown.replaced) == size and grown.open_ids(QUESTIONS[0]) == vocabulary.open_ids(QUESTIONS[0])


def test_a_pretrained_tokenizer_reads_open_text_itself(gpt2):
    vocabulary = make_vocabulary("extend", GRAYS, copy.deepcopy(gpt2), OBJECTS)
    assert vocabulary.with_open(QUESTIONS, 300) is vocabulary
    for text in QUESTIONS:
        assert vocabulary.open_ids(text, inside=True) == gpt2(text).input_ids


@settings(max_examples=30)
@given(st.text())
def test_any_text_can_be_read(text):
    vocabulary = spoken()
    assert vocabulary.text(vocabulary.open_ids(text)) == text


@cache
def spoken() -> Vocabulary:
    return make_vocabulary("own", GRAYS, None).with_open(QUESTIONS, 300)


@settings(max_examples=30)
@given(st.lists(st.text(min_size=1, max_size=6), max_size=5), st.lists(st.text(min_size=1, max_size=6), max_size=5))
def test_whatever_is_put_behind_images_are_read_as_before(names, words):
    names = list(dict.fromkeys([*names, " 1 2", "1 "]))
    if {"<pad>", "<unk>", "<bos>", "<eos>", "<mask>"} & {*names, *words}:
        return
    vocabulary = make_vocabulary("own", GRAYS, None, classes(*names)).with_words(words)
    image = some_images()
    ids = [row.tolist() for row in vocabulary.lookup(image)]
    assert vocabulary.tokenizer(GRAYS.texts(image), add_special_tokens=False).input_ids == ids
    assert [vocabulary.text(vocabulary.answer_ids([piece])) for piece in range(len(names))] == names
    assert [vocabulary.text(vocabulary.open_ids(word)) for word in words] == words
