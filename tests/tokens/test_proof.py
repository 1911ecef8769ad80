"""A table is made only where it is exact, for tokenizers of every kind: small ones, made to be difficult."""

import random

import numpy as np
import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from llmimg.textify import START, Grammar, Lexicon, Ragged
from llmimg.tokens.lookup import BatchTokenizer, TokenTable
from llmimg.tokens.pieces import own_tokenizer
from llmimg.tokens.proof import Contexts, NotProven, prove, sample_differs, unreadable

CUTS = {
    "none": None,
    "spaces": pre_tokenizers.WhitespaceSplit(),
    "words": pre_tokenizers.Whitespace(),
    "digits": pre_tokenizers.Digits(individual_digits=True),
    "three digits": pre_tokenizers.Split(Regex(r"\d{1,3}"), "isolated"),
    "GPT-2's": pre_tokenizers.Split(Regex(r"'[sab]| ?[a-z]+| ?\d+|\s+(?!\S)|\s+"), "isolated"),
    "Llama 3's": pre_tokenizers.Split(Regex(r" ?[a-z]+|\d{1,3}|\s+(?!\S)|\s+"), "isolated"),
    "metaspace, first": pre_tokenizers.Metaspace(prepend_scheme="first", split=True),
    "metaspace, first, uncut": pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
    "metaspace, always": pre_tokenizers.Metaspace(prepend_scheme="always", split=True),
    "metaspace, never, uncut": pre_tokenizers.Metaspace(prepend_scheme="never", split=False),
    "before spaces": pre_tokenizers.Split(" ", "merged_with_next"),
    "behind spaces": pre_tokenizers.Split(" ", "merged_with_previous"),
}


def bpe(merges: list[tuple[str, str]], alphabet: str = "ab12 ▁'") -> Tokenizer:
    tokens = [*alphabet, *dict.fromkeys(left + right for left, right in merges)]
    return Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))


def unigram(*tokens: str) -> Tokenizer:
    return Tokenizer(models.Unigram([("<unk>", -20.0), *((token, -(len(token) ** 0.5)) for token in tokens)], unk_id=0))


def marks(*pieces: str) -> Grammar:
    """Any of the pieces, any number of times."""
    return Grammar(Lexicon.of(mark=pieces), {START: {"mark": "more"}, "more": {"mark": "more"}}, frozenset({"more"}))


def walks(grammar: Grammar, rng: random.Random, count: int) -> Ragged:
    rows = []
    for _ in range(count):
        state, ids = START, []
        for _ in range(rng.randrange(1, 9)):
            piece, state = rng.choice(list(grammar.allowed(state)))
            ids.append(piece)
        rows.append(np.array(ids))
    return Ragged.from_rows(rows, grammar.lexicon.dtype)


def differing(table: TokenTable, grammar: Grammar, backend: Tokenizer, pieces: Ragged) -> list[str]:
    """The texts whose looked-up tokens are not the tokenizer's."""
    texts = [grammar.lexicon.text(row) for row in pieces]
    encoded = [backend.encode(text, add_special_tokens=False).ids for text in texts]
    return [text for text, ids, right in zip(texts, table(pieces), encoded, strict=True) if ids.tolist() != right]


def random_case(rng: random.Random) -> tuple[Grammar, Tokenizer, bool]:
    """A grammar of short, overlapping pieces, and a tokenizer: BPE with random merges, or (True) the pieces' own."""
    alphabet = "ab12 " if rng.random() < 0.7 else "ab1 '"

    def piece() -> str:
        letters = alphabet if rng.random() < 0.1 else alphabet.replace(" ", "")
        return rng.choice(["", " "]) + "".join(rng.choice(letters) for _ in range(rng.choice([1, 1, 2, 2, 3, 5])))

    kinds = {name: sorted({piece() for _ in range(rng.randrange(1, 4))}) for name in "xyz"[: rng.randrange(1, 4)]}
    states = ["one", "two"][: rng.randrange(1, 3)]
    moves = {
        state: {kind: rng.choice(states) for kind in rng.sample(list(kinds), rng.randrange(1, len(kinds) + 1))}
        for state in [START, *states]
    }
    grammar = Grammar(Lexicon.of(**kinds), moves, frozenset(states))
    if rng.random() < 0.2:
        return grammar, own_tokenizer(grammar.lexicon).backend_tokenizer, True
    tokens, merges = list("ab12 ▁'"), []
    for _ in range(rng.randrange(10)):
        pair = rng.choice(tokens), rng.choice(tokens)
        if len("".join(pair)) <= 4 and "".join(pair) not in tokens:
            merges.append(pair)
            tokens.append("".join(pair))
    backend = bpe(merges)
    cut = CUTS[rng.choice(list(CUTS))]
    if cut is not None:
        backend.pre_tokenizer = cut
    if rng.random() < 0.4:
        backend.add_tokens([AddedToken(text, normalized=False) for text in kinds["x"]])
    return grammar, backend, False


def test_what_is_proven_is_exact_on_random_grammars_and_tokenizers():
    proven = 0
    for seed in range(700):
        rng = random.Random(seed)
        grammar, backend, whole = random_case(rng)
        contexts = Contexts(grammar, backend)
        if unreadable(contexts, None):
            continue
        try:
            table = prove(contexts, whole)
        except NotProven:
            continue
        proven += 1
        assert not differing(table, grammar, backend, walks(grammar, rng, 20)), f"seed {seed}"
    assert proven > 150


# What each of these once got wrong, or would, is in its name.
REFUSED = {
    "a merge across the junction": (bpe([("a", "b")]), marks("a", "b")),
    "a merge across it, of a part of a piece": (bpe([("a", "a"), ("a", "b")]), marks("aa", "b")),
    "a token of the tokenizer's own across it": (bpe([]), marks("a", "bb")),
    "how a word goes on: a longest match": (unigram("a", "b", "ab"), marks("a", "b")),
    "how a word goes on, even if no token joins them": (unigram("a", "b"), marks("a", "b")),
    "how much of a number came before": (bpe([("2", "1")]), marks("21")),
    "whether the piece before was an added token": (bpe([]), marks(" a", "b")),
    "a longer piece instead of two, far beyond the next character": (
        own_tokenizer(Lexicon.of(mark=["a", "abbbb", "bbbb2"])).backend_tokenizer,
        marks("a", "abbbb", "bbbb2"),
    ),
}
REFUSED["a token of the tokenizer's own across it"][0].add_tokens([AddedToken("ab", normalized=False)])
REFUSED["how much of a number came before"][0].pre_tokenizer = CUTS["three digits"]
REFUSED["whether the piece before was an added token"][0].pre_tokenizer = CUTS["metaspace, always"]
REFUSED["whether the piece before was an added token"][0].add_tokens([AddedToken(" a", normalized=False)])


@pytest.mark.parametrize("case", REFUSED)
def test_no_table_where_ids_depend_on(case):
    backend, grammar = REFUSED[case]
    contexts = Contexts(grammar, backend)
    assert not unreadable(contexts, None)
    with pytest.raises(NotProven):
        prove(contexts)


def cut_unigram() -> Tokenizer:
    backend = unigram("▁", "a", "b", "▁a", "ab", "▁ab")
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=True)
    return backend


PROVEN = {
    "raw BPE with merges inside pieces only": (bpe([("a", "b")]), marks("ab", "1")),
    "raw BPE that could merge the characters, and merged them earlier": (
        bpe([("a", "1"), ("1", "b"), ("a1", "2")]),
        marks("a1", "b"),
    ),
    "Unigram inside words that the pre-tokenizer cuts": (cut_unigram(), marks(" a", " ab")),
    "a tokenizer of the pieces' own": (own_tokenizer(Lexicon.of(mark=["a", "b"])).backend_tokenizer, marks("a", "b")),
}


@pytest.mark.parametrize("case", PROVEN)
def test_a_table_for(case):
    backend, grammar = PROVEN[case]
    table = prove(Contexts(grammar, backend))
    assert not differing(table, grammar, backend, walks(grammar, random.Random(0), 50))


@pytest.mark.parametrize("split", [True, False])
def test_pieces_that_read_differently_at_the_start_of_a_text(split):
    backend = bpe([("▁", "a"), ("▁", "1")])
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=split)
    lexicon = Lexicon.of(first=["a", "1"], next=[" a", " 1"], mark=["b", "a2"])
    moves = {START: {"first": "one", "mark": "one"}, "one": {"mark": "two"}, "two": {"next": "one"}}
    grammar = Grammar(lexicon, moves, frozenset({"one", "two"}))
    table = prove(Contexts(grammar, backend))
    assert table.start_differs
    assert len(table.ids) == 2 * len(lexicon)
    assert not differing(table, grammar, backend, walks(grammar, random.Random(0), 50))


def test_where_nothing_differs_at_the_start_the_table_says_so(gpt2):
    grammar = Grammar(
        Lexicon.of(first=["0", "1"], next=[" 0", " 1"]),
        {START: {"first": "more"}, "more": {"next": "more"}},
        frozenset({"more"}),
    )
    assert not prove(Contexts(grammar, gpt2.backend_tokenizer)).start_differs


def test_unreadable_names_what_is_unknown_dropped_or_confused():
    backend = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1, "b": 2}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    grammar = marks(" a", " b", "  a", " c", " ")
    lost = unreadable(Contexts(grammar, backend), 0)
    assert {grammar.lexicon.pieces[piece] for piece in lost} == {" a", "  a", " c", " "}


def test_the_second_look_sees_a_wrong_table():
    backend = bpe([("a", "b")])
    grammar = marks("ab", "1")
    table = prove(Contexts(grammar, backend))
    pieces = walks(grammar, random.Random(0), 10)
    texts = [grammar.lexicon.text(row) for row in pieces]
    assert not sample_differs(pieces, table, texts, backend)
    wrong = TokenTable(Ragged(table.ids.values[::-1].copy(), table.ids.offsets), table.start_differs)
    assert sample_differs(pieces, wrong, texts, backend)


def test_an_unproven_tokenizer_is_still_exact_in_batches():
    backend = unigram("a", "b", "ab", "ba", "aba")
    grammar = marks("a", "b")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    lookup = BatchTokenizer(grammar.lexicon, tokenizer.backend_tokenizer)
    assert not differing(lookup, grammar, backend, walks(grammar, random.Random(0), 50))
