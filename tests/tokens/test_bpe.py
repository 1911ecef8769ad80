import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmimg import UserError
from llmimg.textify import Textifier, make
from llmimg.tokens.bpe import learn_tokenizer
from llmimg.tokens.lookup import token_boxes
from llmimg.tokens.vocabulary import load_tokenizer, make_vocabulary

TEXTIFIERS = [
    make("gray", levels=12),
    make("gray", levels=70, style="ramp"),
    make("rgb", levels=200),
    make("region_color", grid=2),
]


def images(seed: int = 0, count: int = 20) -> np.ndarray:
    """Smooth ones, so that there is something to merge: uint8 `[count, 8, 6, 3]`."""
    low = np.random.default_rng(seed).integers(0, 256, (count, 4, 3, 3)).astype(np.uint8)
    return low.repeat(2, axis=1).repeat(2, axis=2)


def size_for(textifier: Textifier, merges: int) -> int:
    return len(set(textifier.lexicon.pieces)) + 5 + merges


@pytest.mark.parametrize("textifier", TEXTIFIERS, ids=lambda each: f"{type(each).__name__}-{len(each.lexicon)}")
def test_ids_are_the_tokenizers_and_read_back_as_the_text(textifier, tmp_path):
    learn_tokenizer(textifier, textifier.write(images()), size_for(textifier, 40)).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(str(tmp_path))
    vocabulary = make_vocabulary("learn", textifier, tokenizer)
    others = np.random.default_rng(1).integers(0, 256, (5, 8, 6, 3)).astype(np.uint8)  # with pieces never seen
    pieces = textifier.write(np.concatenate([images(2, 5), others]))
    ids, texts = vocabulary.lookup(pieces), textifier.texts(pieces)
    assert [row.tolist() for row in ids] == tokenizer(texts, add_special_tokens=False).input_ids
    assert [tokenizer.decode(row) for row in ids] == texts
    assert tokenizer.unk_token_id not in ids.values
    assert vocabulary.framing == ([tokenizer.bos_token_id], [tokenizer.eos_token_id])


def test_a_tokens_box_is_the_union_of_its_pieces():
    textifier = make("gray", levels=4)
    pieces = textifier.write(images())
    lookup = make_vocabulary("learn", textifier, learn_tokenizer(textifier, pieces, size_for(textifier, 30))).lookup
    spans = lookup.spans(pieces)
    assert len(spans) == len(lookup(pieces).values)
    assert (spans[:, 1] > spans[:, 0]).any()
    # The spans follow each other without a gap, and none reaches into the next image.
    assert (spans[1:, 0] == spans[:-1, 1] + 1).all()
    assert set(pieces.offsets[:-1]) <= set(spans[:, 0])
    boxes = textifier.boxes(pieces, images())
    for (first, last), box in zip(spans, token_boxes(spans, boxes), strict=True):
        inside = boxes[first : last + 1]
        assert box.tolist() == [*inside[:, :2].min(axis=0), *inside[:, 2:].max(axis=0)]


def test_the_larger_the_fewer_tokens_an_image():
    textifier = make("gray", levels=8)
    pieces = textifier.write(images())
    sizes = [size_for(textifier, merges) for merges in (1, 10, 60)]
    lengths = [
        len(make_vocabulary("learn", textifier, learn_tokenizer(textifier, pieces, size)).lookup(pieces).values)
        for size in sizes
    ]
    assert len(pieces.values) > lengths[0] > lengths[1] > lengths[2]


@given(st.integers(0, 50))
@settings(max_examples=5)
def test_learning_is_the_same_each_time_and_another_size_is_another_vocabulary(seed):
    textifier = make("gray", levels=8)
    pieces = textifier.write(images(seed))
    made = [
        make_vocabulary("learn", textifier, learn_tokenizer(textifier, pieces, size_for(textifier, merges)))
        for merges in (10, 10, 11)
    ]
    assert made[0].fingerprint == made[1].fingerprint != made[2].fingerprint


def test_a_size_that_leaves_nothing_to_learn_is_refused_with_the_numbers():
    textifier = make("gray", levels=8)
    with pytest.raises(UserError, match=r"vocabulary\.size=20 leaves nothing to learn.*16 pieces, and 5"):
        learn_tokenizer(textifier, textifier.write(images()), 20)
