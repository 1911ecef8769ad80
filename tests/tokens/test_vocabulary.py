import copy
import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from llmimg.errors import UserError
from llmimg.textify import START, Grammar, Lexicon, Ragged, Textifier, make
from llmimg.textify.runs import pixel_boxes
from llmimg.tokens.lookup import BatchTokenizer, TokenTable
from llmimg.tokens.vocabulary import load_tokenizer, make_vocabulary

GRAY = arrays(np.uint8, st.tuples(st.integers(1, 3), *[st.integers(2, 6)] * 2, st.just(1)))
TEXTIFIERS = st.sampled_from(
    [
        make("gray", levels=5),
        make("gray", levels=8, style="ramp"),
        make("rgb", levels=7),
        make("region_color", grid=2),
    ]
)


@dataclass(frozen=True)
class Marks(Textifier):
    """Each pixel as one of a few marks: its value, modulo their number."""

    pieces: tuple[str, ...]

    @property
    def grammar(self) -> Grammar:
        moves = {START: {"mark": "more"}, "more": {"mark": "more"}}
        return Grammar(Lexicon.of(mark=self.pieces), moves, frozenset({"more"}))

    def write(self, images: np.ndarray) -> Ragged:
        ids = images[..., 0].reshape(len(images), -1) % len(self.pieces)
        return Ragged.rectangular(ids.astype(self.lexicon.dtype))

    def boxes(self, pieces: Ragged, images: np.ndarray) -> np.ndarray:
        return np.tile(pixel_boxes(*images.shape[1:3]), (len(pieces), 1))


def every_piece(textifier: Textifier) -> Ragged:
    """Random images in which every value occurs."""
    images = np.random.default_rng(0).permutation(np.arange(3 * 256) % 256).astype(np.uint8)
    return textifier.write(images.reshape(1, 16, 16, 3))


def ids_of(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[list[int]]:
    return tokenizer(texts, add_special_tokens=False).input_ids


@given(GRAY, TEXTIFIERS)
@settings(max_examples=20)
def test_own_has_one_token_a_piece_and_frames_a_text(images, textifier):
    vocabulary = make_vocabulary("own", textifier, None)
    pieces = textifier.write(images)
    ids = vocabulary.lookup(pieces)
    texts = textifier.texts(pieces)
    assert (ids.offsets == pieces.offsets).all()
    assert vocabulary.tokenizer.convert_ids_to_tokens(ids.values) == [
        textifier.lexicon.pieces[i] for i in pieces.values
    ]
    assert ids_of(vocabulary.tokenizer, texts) == [row.tolist() for row in ids]
    bos, eos = vocabulary.tokenizer.bos_token_id, vocabulary.tokenizer.eos_token_id
    assert vocabulary.framing == ([bos], [eos])
    assert vocabulary.tokenizer(texts).input_ids == [[bos, *row.tolist(), eos] for row in ids]
    assert vocabulary.tokenizer.batch_decode([row.tolist() for row in ids]) == texts
    assert vocabulary.replaced == {}


def test_owns_special_tokens_come_first_and_pieces_follow():
    textifier = make("gray", levels=3)
    tokenizer = make_vocabulary("own", textifier, None).tokenizer
    pieces = ["0", "1", "2", " 0", " 1", " 2"]
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == [
        *("<pad>", "<unk>", "<bos>", "<eos>", "<mask>"),
        *pieces,
    ]
    assert tokenizer.pad_token_id == 0


def test_a_text_that_own_would_read_in_part_is_refused():
    """`a` + `bbb2` reads `abbb` + `2` where the longest piece is taken, and no piece is `2`."""
    textifier = Marks(("0", "a", "abbb", "bbb2"))
    vocabulary = make_vocabulary("own", textifier, None)
    assert isinstance(vocabulary.lookup, BatchTokenizer)
    fine, lost = (textifier.write(np.array([row], np.uint8)[None, ..., None]) for row in ([0, 2], [1, 3]))
    assert [row.tolist() for row in vocabulary.lookup(fine)] == ids_of(vocabulary.tokenizer, ["0abbb"])
    with pytest.raises(UserError, match="cannot read the text 'abbb2'… as a whole"):
        vocabulary.lookup(lost)


@pytest.mark.parametrize("levels", [70, 30])
def test_own_takes_a_table_however_many_single_characters_there_are(levels):
    vocabulary = make_vocabulary("own", make("gray", levels=levels, style="ramp"), None)
    assert isinstance(vocabulary.lookup, TokenTable)


@pytest.mark.parametrize("name", ["own", "extend"])
@pytest.mark.parametrize("kind", ["gray", "region_color"])
def test_a_saved_tokenizer_gives_the_same_ids(name, kind, gpt2, tmp_path):
    textifier = make(kind)
    vocabulary = make_vocabulary(name, textifier, copy.deepcopy(gpt2))
    vocabulary.tokenizer.save_pretrained(tmp_path)
    pieces = every_piece(textifier)
    expected = [row.tolist() for row in vocabulary.lookup(pieces)]
    for loaded in (AutoTokenizer.from_pretrained(tmp_path), load_tokenizer(str(tmp_path))):
        assert ids_of(loaded, textifier.texts(pieces)) == expected
        assert len(loaded) == len(vocabulary.tokenizer)
    framed = AutoTokenizer.from_pretrained(tmp_path)(textifier.texts(pieces)[0]).input_ids
    before, after = vocabulary.framing
    assert framed == [*before, *expected[0], *after]


def test_extend_adds_the_pieces_of_more_than_one_token_and_no_others(gpt2):
    textifier = make("region_color")
    tokenizer = copy.deepcopy(gpt2)
    vocabulary = make_vocabulary("extend", textifier, tokenizer)
    added = {
        piece: ids
        for piece, ids in zip(textifier.lexicon.pieces, ids_of(gpt2, list(textifier.lexicon.pieces)), strict=True)
        if len(ids) > 1
    }
    assert set(added) == {"region_color_", " region_color_"}
    assert vocabulary.replaced == {tokenizer.convert_tokens_to_ids(piece): tuple(ids) for piece, ids in added.items()}
    assert sorted(vocabulary.replaced) == [len(gpt2), len(gpt2) + 1]
    pieces = every_piece(textifier)
    assert (vocabulary.lookup(pieces).lengths == pieces.lengths).all()
    open_text = "What colour is the region_ at the top?"
    assert ids_of(tokenizer, [open_text]) == ids_of(gpt2, [open_text])


def test_reuse_leaves_the_tokenizer_as_it_is(gpt2):
    before = gpt2.backend_tokenizer.to_str()
    assert make_vocabulary("reuse", make("gray"), gpt2).replaced == {}
    assert gpt2.backend_tokenizer.to_str() == before


@pytest.mark.parametrize("pieces", [("a", "A"), (" ", "░", "▒", "▓", "█")])
def test_pieces_that_a_tokenizer_cannot_tell_apart_are_named_and_extend_mends_it(pieces, minilm):
    textifier = Marks(pieces)
    with pytest.raises(UserError, match=r"cannot tell .* vocabulary=extend .* vocabulary=own") as refused:
        make_vocabulary("reuse", textifier, minilm)
    assert f": {', '.join(map(repr, pieces))}. Choose" in str(refused.value)

    vocabulary = make_vocabulary("extend", textifier, copy.deepcopy(minilm))
    written = every_piece(textifier)
    ids = vocabulary.lookup(written)
    assert [row.tolist() for row in ids] == ids_of(vocabulary.tokenizer, textifier.texts(written))
    assert vocabulary.tokenizer.convert_ids_to_tokens(ids.values) == [pieces[piece] for piece in written.values]
    assert set(vocabulary.tokenizer.convert_ids_to_tokens(list(vocabulary.replaced))) == set(pieces)


def test_pieces_of_two_kinds_at_one_place_must_differ():
    class Twins(Marks):
        @property
        def grammar(self) -> Grammar:
            lexicon = Lexicon.of(one=["a", "b"], two=["b", "c"])
            both = {"one": "more", "two": "more"}
            return Grammar(lexicon, {START: both, "more": both}, frozenset({"more"}))

    with pytest.raises(UserError, match="'b', 'b'"):
        make_vocabulary("own", Twins(()), None)


def test_a_table_that_differs_on_real_images_gives_way_to_the_tokenizer(gpt2):
    textifier = make("gray", levels=4)
    vocabulary = make_vocabulary("reuse", textifier, gpt2)
    pieces = every_piece(textifier)
    assert vocabulary.checked(textifier, pieces) is vocabulary
    table = vocabulary.lookup
    wrong = TokenTable(Ragged(table.ids.values[::-1].copy(), table.ids.offsets), table.start_differs)
    mended = dataclasses.replace(vocabulary, lookup=wrong).checked(textifier, pieces)
    assert isinstance(mended.lookup, BatchTokenizer)
    assert "differed on a sample" in mended.note
    assert mended.checked(textifier, pieces) is mended
    assert (mended.lookup(pieces).values == table(pieces).values).all()


def test_framing_is_the_tokenizers(gpt2, minilm):
    assert make_vocabulary("reuse", make("gray"), gpt2).framing == ([], [])
    assert make_vocabulary("reuse", make("gray"), minilm).framing == ([minilm.cls_token_id], [minilm.sep_token_id])


def test_fingerprints_tell_tokenizers_apart(gpt2):
    def fingerprint(name: str, **settings) -> str:
        return make_vocabulary(name, make("region_color", **settings), copy.deepcopy(gpt2)).fingerprint

    assert fingerprint("reuse") == fingerprint("reuse")
    assert fingerprint("own") == fingerprint("own", grid=2)  # the same pieces
    assert len({fingerprint(name) for name in ("own", "reuse", "extend")}) == 3


def test_load_tokenizer_leaves_length_and_padding_to_the_model(minilm_folder, minilm, gpt2):
    saved = AutoTokenizer.from_pretrained(minilm_folder)
    text = "0 " * 1000
    assert len(ids_of(minilm, [text])[0]) == 1000
    assert minilm.backend_tokenizer.truncation is None
    assert minilm.backend_tokenizer.padding is None
    assert minilm.get_vocab() == saved.get_vocab()
    assert gpt2.pad_token_id == gpt2.eos_token_id  # GPT-2 has none of its own


def test_what_is_no_tokenizer_is_refused(tmp_path):
    with pytest.raises(UserError, match="'no/such' is no local folder, and the hub has no answer for it"):
        load_tokenizer("no/such")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds no tokenizer: .*vocabulary=own"):
        load_tokenizer(str(tmp_path))


def test_an_unknown_vocabulary_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="no vocabulary 'extended': did you mean 'extend'"):
        make_vocabulary("extended", make("gray"), None)


def test_a_unigram_tokenizer_without_cuts_goes_in_batches_and_with_them_by_table():
    scores = [("<unk>", -20.0), *((token, -1.0) for token in ("▁", "a", "b", "▁a", "▁b", "ab", "▁ab"))]
    for cuts, kind in ((True, TokenTable), (False, BatchTokenizer)):
        backend = Tokenizer(models.Unigram(scores, unk_id=0))
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=cuts)
        textifier = Marks((" a", " b", " ab"))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
        vocabulary = make_vocabulary("reuse", textifier, tokenizer)
        assert isinstance(vocabulary.lookup, kind)
        pieces = every_piece(textifier)
        assert [row.tolist() for row in vocabulary.lookup(pieces)] == ids_of(tokenizer, textifier.texts(pieces))
