"""Tokenizers as people make them: with dropout, without special tokens, unable to read what one would think of."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from llmimg.errors import UserError
from llmimg.textify import make
from llmimg.tokens.lookup import BatchTokenizer, TokenTable
from llmimg.tokens.tokenizer import framing_of
from llmimg.tokens.vocabulary import load_tokenizer, make_vocabulary

GRAY = make("gray", levels=256)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 1)).astype(np.uint8)
NUMBERS = [str(number) for number in range(256)]


def bpe(**how) -> Tokenizer:
    """Of numbers between spaces, and of a few letters."""
    backend = Tokenizer(models.BPE(**{name: value for name, value in how.items() if name == "unk_token"}))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [how["unk_token"]] if "unk_token" in how else []
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    backend.train_from_iterator([" ".join(NUMBERS) + " b c d"] * 3, trainer)
    return backend


def words(*more: str, unk_token: str | None = None) -> Tokenizer:
    known = dict.fromkeys([*([unk_token] if unk_token else []), *more, *NUMBERS])
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(known)}, unk_token=unk_token))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return backend


def saved(backend: Tokenizer, folder, **names) -> PreTrainedTokenizerFast:
    """Written to a folder and read again, as a user's would be."""
    PreTrainedTokenizerFast(tokenizer_object=backend, **names).save_pretrained(folder)
    return load_tokenizer(str(folder))


def exact(vocabulary, textifier=GRAY, images=IMAGES) -> None:
    pieces = textifier.write(images)
    expected = vocabulary.tokenizer(textifier.texts(pieces), add_special_tokens=False).input_ids
    assert [row.tolist() for row in vocabulary.lookup(pieces)] == expected


def test_bpe_dropout_is_off_and_said(tmp_path):
    backend = bpe(unk_token="<unk>")
    backend.model.dropout = 0.5
    texts = GRAY.texts(GRAY.write(IMAGES))
    assert backend.encode(texts[0]).ids != backend.encode(texts[0]).ids
    vocabulary = make_vocabulary("reuse", GRAY, saved(backend, tmp_path, unk_token="<unk>"))
    exact(vocabulary)
    assert "The tokenizer had BPE dropout on (dropout)" in vocabulary.note
    backend.model.dropout = None
    assert vocabulary.read(texts[0]) == backend.encode(texts[0]).ids
    vocabulary.tokenizer.save_pretrained(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "tokenizer.json").read_text())["model"]["dropout"] is None


FRAMES = st.tuples(
    st.lists(st.sampled_from(["[A]", "[B]", "[C]"]), max_size=3), st.lists(st.sampled_from(["[A]", "[D]"]))
)


@given(FRAMES, st.sampled_from([["0", "12"], ["a"], ["x", "y"]]), st.booleans())
@settings(max_examples=40)
def test_the_frame_is_found_whatever_can_be_read(frame, known, twice):
    """A tokenizer frames every text that it can read with just these ids."""
    specials = {"[A]": 0, "[B]": 1, "[C]": 2, "[D]": 3}
    backend = Tokenizer(models.WordLevel({**specials, **{word: 4 + index for index, word in enumerate(known)}}))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    before, after = frame
    template = " ".join([*before, "$A", *after])
    template = processors.TemplateProcessing(single=template, special_tokens=list(specials.items()))
    backend.post_processor = processors.Sequence([processors.ByteLevel(), template]) if twice else template
    textifier = make("gray", levels=2)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="[D]")
    text = " ".join(known)
    start, end = framing_of(backend)
    assert tokenizer(text).input_ids == [*start, *tokenizer(text, add_special_tokens=False).input_ids, *end]
    vocabulary = make_vocabulary("extend", textifier, tokenizer)
    assert vocabulary.framing == (start, end)
    text = textifier.texts(textifier.write(IMAGES))[0]
    assert tokenizer(text).input_ids == [*start, *tokenizer(text, add_special_tokens=False).input_ids, *end]
    assert (start, end) == tuple([specials[name] for name in names] for names in frame)


def test_without_any_special_token(tmp_path):
    """No end of text, nothing to pad with, nothing for the unknown."""
    vocabulary = make_vocabulary("reuse", GRAY, saved(bpe(), tmp_path))
    exact(vocabulary)
    tokenizer = vocabulary.tokenizer
    assert tokenizer.pad_token_id == len(tokenizer) - 1 not in vocabulary.lookup(GRAY.write(IMAGES)).values
    assert vocabulary.framing == ([], []) and vocabulary.end == tokenizer.pad_token_id
    assert "<pad> was added" in vocabulary.note
    assert vocabulary.open_ids("b c 12") == tokenizer("b c 12").input_ids
    for text in ("\nclass: cat", "b é", "12a"):  # letters that it would leave out without a word
        with pytest.raises(UserError, match="has no tokens for the text"):
            vocabulary.open_ids(text)


def test_what_cannot_be_read_and_has_no_token_either_is_a_sentence(tmp_path):
    tokenizer = saved(words(), tmp_path)
    vocabulary = make_vocabulary("reuse", GRAY, copy.deepcopy(tokenizer))
    exact(vocabulary)
    with pytest.raises(UserError, match="has no tokens for the text 'cat', and none for what it cannot read"):
        vocabulary.open_ids("cat")
    colours = make("region_color", grid=2)
    with pytest.raises(UserError, match=r"cannot tell these pieces .* vocabulary=extend"):
        make_vocabulary("reuse", colours, copy.deepcopy(tokenizer))
    pixels = np.repeat(IMAGES, 3, axis=3)
    exact(make_vocabulary("extend", colours, copy.deepcopy(tokenizer)), colours, pixels)


@pytest.mark.parametrize("declared", [True, False])
def test_unigram_knows_its_unknown_whether_or_not_it_is_declared(declared):
    scores = [("<unk>", -20.0), ("▁", -5.0), *((f"▁{number}", -2.0) for number in NUMBERS[:200])]
    backend = Tokenizer(models.Unigram(scores, unk_id=0))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    names = {"unk_token": "<unk>"} if declared else {}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **names)
    with pytest.raises(UserError, match=r"' ?200', ' ?201'"):
        make_vocabulary("reuse", GRAY, tokenizer)


def test_a_word_that_is_too_long_as_a_whole_is_not_lost_in_silence():
    """WordPiece gives up on words of more than a hundred characters: all of the image would be one unknown token."""
    ramp = make("gray", levels=5, style="ramp")
    letters = dict.fromkeys([*(piece for piece in ramp.lexicon.pieces), *(f"##{p}" for p in ramp.lexicon.pieces)])
    backend = Tokenizer(
        models.WordPiece(
            {"[UNK]": 0, **{one: index for index, one in enumerate(letters, 1)}},
            unk_token="[UNK]",
            max_input_chars_per_word=20,
        )
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
    vocabulary = make_vocabulary("reuse", ramp, tokenizer)
    assert isinstance(vocabulary.lookup, BatchTokenizer)
    exact(vocabulary, ramp, IMAGES[:, :4, :4])
    with pytest.raises(UserError, match="as a whole, though it can read its pieces"):
        vocabulary.lookup(ramp.write(IMAGES))


def test_open_text_is_read_without_the_pieces_again_and_again(tmp_path):
    """Saved, loaded, extended once more: pieces never take the words of a sentence for themselves."""
    text = " region_color_ 12 brown, class: brown\n"
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator([text] * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    before = tokenizer(text, add_special_tokens=False).input_ids
    colours, gray = make("region_color", grid=2), make("gray", levels=4)
    vocabulary = make_vocabulary("extend", colours, tokenizer)
    assert vocabulary.tokenizer(text).input_ids != before == vocabulary.read(text)
    for index, (name, textifier) in enumerate([("reuse", colours), ("reuse", gray), ("extend", colours)]):
        vocabulary.tokenizer.save_pretrained(tmp_path / str(index))
        vocabulary = make_vocabulary(name, textifier, load_tokenizer(str(tmp_path / str(index))))
        assert vocabulary.read(text) == before
    assert AutoTokenizer.from_pretrained(tmp_path / "2")(text).input_ids != before


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2", "bert", "xlm-roberta"])
def test_a_recognisers_tokenizer_is_its_own_whatever_its_models_architecture(architecture, tmp_path):
    """transformers would read some tokenizers by the rules of the architecture that config.json names."""
    own = make_vocabulary("own", GRAY, None)
    own.tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": architecture}))
    (tmp_path / "recogniser.json").write_text("{}")
    text = GRAY.texts(GRAY.write(IMAGES))[0]
    assert load_tokenizer(str(tmp_path))(text).input_ids == own.tokenizer(text).input_ids


def test_a_tokenizer_that_is_read_otherwise_than_its_file_says_so(tmp_path):
    words("a", unk_token="<unk>").save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    assert any("reads as transformers'" in each for each in load_tokenizer(str(tmp_path)).remarks)
    PreTrainedTokenizerFast(tokenizer_object=words(), unk_token="1").save_pretrained(tmp_path / "plain")
    assert not [each for each in load_tokenizer(str(tmp_path / "plain")).remarks if "reads as" in each]


def test_an_added_token_that_spans_pieces_is_seen(gpt2):
    """One that would stand instead of several pieces, further off than the proof looks ahead."""
    textifier = make("gray", levels=4)
    assert isinstance(make_vocabulary("reuse", textifier, copy.deepcopy(gpt2)).lookup, TokenTable)
    spanning = copy.deepcopy(gpt2)
    spanning.add_tokens([AddedToken(" 1 2 3 1", normalized=False)])
    vocabulary = make_vocabulary("reuse", textifier, spanning)
    assert isinstance(vocabulary.lookup, BatchTokenizer)
    exact(vocabulary, textifier, np.tile(np.array([64, 64, 128, 192, 64], np.uint8), 8).reshape(1, 8, 5, 1))
