"""Parts of a text that are tokenised apart come to the tokens of the whole: the space that some tokenizers put in front
of a text stands there alone."""

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from llmimg.textify import Ragged, make
from llmimg.tokens.tokenizer import inside_reader
from llmimg.tokens.vocabulary import make_vocabulary

METASPACE = pre_tokenizers.Metaspace
NUMBERS = " ".join(map(str, range(16)))


def trained(pre_tokenizer=None, normalizer=None) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    # Learned on words apart, whatever it is to read them with.
    tokenizer.pre_tokenizer = METASPACE(prepend_scheme="always")
    alphabet = ["▁", "\n", ":", *pre_tokenizers.ByteLevel.alphabet()]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=["</s>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator([f"see class: cat\n{NUMBERS}"] * 3, trainer)
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.normalizer = normalizer
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


SPACES = normalizers.Replace(" ", "▁")
KINDS = {
    "always": (METASPACE(prepend_scheme="always"),),
    "first, in a sequence": (pre_tokenizers.Sequence([METASPACE(prepend_scheme="first", split=False)]),),
    "legacy": (None, normalizers.Sequence([normalizers.Prepend("▁"), SPACES])),
    "byte-level with a space": (pre_tokenizers.ByteLevel(add_prefix_space=True),),
}


@pytest.mark.parametrize("kind", KINDS)
def test_parts_come_to_the_tokens_of_the_whole(kind):
    vocabulary = make_vocabulary("reuse", make("gray", levels=16), trained(*KINDS[kind]))
    begin, rest = "see class:", "\n0 1\nclass: cat\n"
    whole = vocabulary.tokenizer(begin + rest, add_special_tokens=False).input_ids
    assert vocabulary.open_ids(begin) + vocabulary.open_ids(rest, inside=True) == whole
    assert vocabulary.open_ids(begin) + vocabulary.open_ids(rest) != whole  # with a space of its own


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_inside_a_text_is_read_as_there(kind):
    textifier = make("gray", levels=16)
    vocabulary = make_vocabulary("reuse", textifier, trained(*KINDS[kind]))
    inside = vocabulary.inside_a_text(textifier)
    pieces = Ragged.from_rows([textifier.grammar.parse("7 12 0")])
    whole = vocabulary.tokenizer("see\n7 12 0", add_special_tokens=False).input_ids
    assert vocabulary.open_ids("see\n") + [int(token) for token in inside.lookup(pieces)[0]] == whole
    assert inside.fingerprint != vocabulary.fingerprint
    assert inside.checked(textifier, pieces).inside and inside.by_tokenizer(textifier, "so").inside


@pytest.mark.parametrize(
    "pre_tokenizer", [METASPACE(prepend_scheme="never"), pre_tokenizers.ByteLevel(add_prefix_space=False), None]
)
def test_a_tokenizer_that_puts_nothing_in_front_stays_as_it_is(pre_tokenizer):
    tokenizer = trained(pre_tokenizer, SPACES if pre_tokenizer is None else None)
    assert inside_reader(tokenizer.backend_tokenizer) is None
    textifier = make("gray", levels=16)
    vocabulary = make_vocabulary("reuse", textifier, tokenizer)
    assert vocabulary.inside_a_text(textifier) is vocabulary
