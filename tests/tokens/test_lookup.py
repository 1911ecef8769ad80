"""Token ids and spans are exactly the tokenizer's, whichever way they are made."""

import copy
import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from llmimg.textify import Lexicon, Ragged, make
from llmimg.tokens.lookup import BatchTokenizer, TokenTable, token_boxes, token_dtype
from llmimg.tokens.vocabulary import make_vocabulary

TEXTIFIERS = [
    ("gray", {"levels": 16}),
    ("gray", {"levels": 256}),
    ("rgb", {"levels": 2}),
    ("rgb", {"levels": 101}),
    ("region_color", {"grid": 1}),
    ("region_color", {"grid": 3}),
]
RAMPS = [("gray", {"levels": levels, "style": "ramp"}) for levels in (2, 10, 70)]
IMAGES = arrays(np.uint8, st.tuples(st.integers(1, 3), *[st.integers(3, 7)] * 2, st.sampled_from([1, 3])))


@pytest.fixture(scope="module", params=["gpt2", "smollm2", "minilm"])
def pretrained(request) -> PreTrainedTokenizerFast:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def vocabulary_of(pretrained):
    """Makes a vocabulary once: (its name, the textifier's, …) → (vocabulary, textifier)."""

    @functools.cache
    def made(name: str, kind: str, settings: tuple):
        textifier = make(kind, **dict(settings))
        return make_vocabulary(name, textifier, copy.deepcopy(pretrained)), textifier

    return lambda name, kind, settings: made(name, kind, tuple(settings.items()))


def assert_exact(vocabulary, textifier, images):
    pieces = textifier.write(images)
    ids = vocabulary.lookup(pieces)
    expected = vocabulary.tokenizer(textifier.texts(pieces), add_special_tokens=False).input_ids
    assert [row.tolist() for row in ids] == expected
    assert ids.values.dtype == vocabulary.lookup.dtype
    spans = vocabulary.lookup.spans(pieces)
    assert spans.tolist() == spans_by_offsets(vocabulary.tokenizer.backend_tokenizer, textifier.lexicon, pieces)


def spans_by_offsets(backend: Tokenizer, lexicon: Lexicon, pieces: Ragged) -> list[list[int]]:
    """For each token the first and last piece that has one of its characters, counted plainly."""
    spans = []
    for row, first in zip(pieces, pieces.offsets, strict=False):
        owner = [index for index, piece in enumerate(row) for _ in lexicon.pieces[piece]]
        for begin, end in backend.encode(lexicon.text(row), add_special_tokens=False).offsets:
            spans.append([first + owner[begin], first + owner[end - 1]])
    return spans


@settings(max_examples=25)
@given(images=IMAGES, textifier=st.sampled_from(TEXTIFIERS), name=st.sampled_from(["reuse", "extend", "own"]))
def test_looked_up_ids_are_the_tokenizers(vocabulary_of, images, textifier, name):
    vocabulary, textifier = vocabulary_of(name, *textifier)
    assert isinstance(vocabulary.lookup, TokenTable)
    assert vocabulary.note == "Tokens: looked up, proven equal to the tokenizer's."
    assert_exact(vocabulary, textifier, images)


@settings(max_examples=15)
@given(images=IMAGES, textifier=st.sampled_from(RAMPS), name=st.sampled_from(["own", "extend"]))
def test_ramps_are_exact_with_tokens_of_their_own(vocabulary_of, images, textifier, name):
    assert_exact(*vocabulary_of(name, *textifier), images)


@settings(max_examples=15)
@given(images=IMAGES, textifier=st.sampled_from(RAMPS))
def test_a_ramp_goes_through_the_tokenizer_in_batches_and_says_so(gpt2, images, textifier):
    textifier = make(textifier[0], **textifier[1])
    vocabulary = make_vocabulary("reuse", textifier, gpt2)
    assert isinstance(vocabulary.lookup, BatchTokenizer)
    assert vocabulary.note.startswith("Tokens: by the fast tokenizer in batches")
    assert "does not keep" in vocabulary.note
    assert_exact(vocabulary, textifier, images)


@settings(max_examples=10)
@given(images=IMAGES, textifier=st.sampled_from(TEXTIFIERS))
def test_a_table_and_the_tokenizer_agree_on_ids_and_spans(gpt2, images, textifier):
    textifier = make(textifier[0], **textifier[1])
    table = make_vocabulary("reuse", textifier, gpt2).lookup
    batches = BatchTokenizer(textifier.lexicon, gpt2.backend_tokenizer)
    pieces = textifier.write(images)
    assert (table(pieces).values == batches(pieces).values).all()
    assert (table(pieces).offsets == batches(pieces).offsets).all()
    assert table.dtype == batches.dtype == np.uint16
    assert (table.spans(pieces) == batches.spans(pieces)).all()


def test_offsets_without_their_spaces_do_not_move_spans(gpt2):
    """RoBERTa and Llama 3 trim offsets, and a ramp's darkest piece is a space."""
    trimming = Tokenizer.from_str(gpt2.backend_tokenizer.to_str())
    trimming.post_processor = processors.ByteLevel(trim_offsets=True)
    textifier = make("gray", levels=6, style="ramp")
    untrimmed = BatchTokenizer(textifier.lexicon, gpt2.backend_tokenizer)
    trimmed = BatchTokenizer(textifier.lexicon, trimming)
    pieces = textifier.write(np.random.default_rng(0).integers(0, 256, (50, 4, 5, 1)).astype(np.uint8))
    offsets = trimming.encode(textifier.texts(pieces)[0], add_special_tokens=False).offsets
    assert any(begin == end for begin, end in offsets)
    assert (trimmed(pieces).values == untrimmed(pieces).values).all()
    assert (trimmed.spans(pieces) == untrimmed.spans(pieces)).all()


def test_a_tokens_box_is_the_union_of_its_pieces(gpt2):
    textifier = make("gray", levels=2, style="ramp")  # " " and "$"
    image = np.array([[0, 0, 255], [0, 255, 255]], np.uint8)[None, ..., None]
    pieces = textifier.write(image)
    lookup = BatchTokenizer(textifier.lexicon, gpt2.backend_tokenizer)
    assert textifier.texts(pieces) == ["  $ $$"]
    assert gpt2.convert_ids_to_tokens(lookup(pieces).values) == ["Ġ", "Ġ$", "Ġ$$"]
    spans = lookup.spans(pieces)
    assert spans.tolist() == [[0, 0], [1, 2], [3, 5]]
    assert token_boxes(spans, textifier.boxes(pieces, image)).tolist() == [[0, 0, 1, 1], [1, 0, 3, 1], [0, 1, 3, 2]]


@given(st.data())
def test_token_boxes_are_unions(data):
    corners = data.draw(arrays(np.int32, (data.draw(st.integers(1, 8)), 4), elements=st.integers(0, 50)))
    boxes = np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:] + 1], axis=1)
    index = st.integers(0, len(boxes) - 1)
    spans = [sorted(span) for span in data.draw(st.lists(st.tuples(index, index), max_size=6))]
    unions = [
        [*boxes[first : last + 1, :2].min(axis=0), *boxes[first : last + 1, 2:].max(axis=0)] for first, last in spans
    ]
    found = token_boxes(np.array(spans, np.int64).reshape(-1, 2), boxes)
    assert found.tolist() == unions
    assert found.dtype == np.int32


def test_rows_without_pieces_have_no_tokens(gpt2):
    textifier = make("gray", levels=4)
    piece = textifier.write(np.zeros((1, 1, 2, 1), np.uint8)).values
    for lookup in (
        make_vocabulary("reuse", textifier, gpt2).lookup,
        BatchTokenizer(textifier.lexicon, gpt2.backend_tokenizer),
    ):
        mixed = Ragged.from_rows([piece[:0], piece, piece[:0]], textifier.lexicon.dtype)
        assert lookup(mixed).lengths.tolist() == [0, 2, 0]
        assert lookup.spans(mixed).tolist() == [[0, 0], [1, 1]]
        nothing = Ragged.from_rows([], textifier.lexicon.dtype)
        assert len(lookup(nothing)) == 0
        assert lookup.spans(nothing).shape == (0, 2)


@pytest.mark.parametrize(("size", "dtype"), [(300, np.uint16), (65_536, np.uint16), (65_537, np.uint32)])
def test_ids_take_the_smallest_type_that_holds_the_vocabulary(size, dtype):
    words = {"<unk>": 0, **{str(number): number + 1 for number in range(size - 1)}}
    backend = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    assert token_dtype(backend) == dtype
    textifier = make("gray", levels=4)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", pad_token="0")
    ids = make_vocabulary("reuse", textifier, tokenizer).lookup(textifier.write(np.zeros((1, 2, 2, 1), np.uint8)))
    assert ids.values.dtype == dtype
    batches = BatchTokenizer(textifier.lexicon, backend)
    assert batches(textifier.write(np.zeros((1, 2, 2, 1), np.uint8))).values.dtype == dtype
