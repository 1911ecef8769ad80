import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.errors import UserError
from llmimg.textify import make
from llmimg.tokens.layout import ANSWER, IMAGE, PADDING, UNLEARNED, WORDS, Budget, Frame, Layout, Span, token_budget
from llmimg.tokens.vocabulary import make_vocabulary

ROWS = st.lists(st.lists(st.integers(5, 60_000), max_size=6), min_size=1, max_size=5)
FRAME = st.lists(st.integers(1, 4), max_size=2).map(tuple)


def rows_of(*rows: list[int]) -> list[np.ndarray]:
    return [np.array(row, np.uint16) for row in rows]


def test_a_text_is_framed_and_padded_on_the_right():
    layout = Layout(Frame((1,), (2,)), pad=0, context=6)
    ids, mask, _ = layout.of_images(rows_of([7, 8, 9, 10], [11], []))
    assert ids.tolist() == [[1, 7, 8, 9, 10, 2], [1, 11, 2, 0, 0, 0], [1, 2, 0, 0, 0, 0]]
    assert mask.tolist() == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]]
    assert ids.dtype == mask.dtype == np.int64


def test_a_text_that_was_to_be_cut_keeps_its_beginning_and_its_frame():
    layout = Layout(Frame((1,), (2,)), pad=0, context=4, overflow="truncate")
    ids, mask, _ = layout.of_images(rows_of([7, 8, 9, 10], [11]))
    assert ids.tolist() == [[1, 7, 8, 2], [1, 11, 2, 0]]
    assert mask.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]


@given(ROWS, FRAME, FRAME, st.integers(1, 6))
def test_every_sequence_is_its_frame_around_what_fits(rows, before, after, room):
    layout = Layout(Frame(before, after), pad=0, context=len(before) + room + len(after), overflow="truncate")
    assert (layout.framing, layout.room) == (len(before) + len(after), room)
    ids, mask, _ = layout.of_images(rows_of(*rows))
    expected = [[*before, *row[:room], *after] for row in rows]
    assert [row[: kept.sum()].tolist() for row, kept in zip(ids, mask, strict=True)] == expected
    assert (ids[mask == 0] == 0).all()
    assert ids.shape[1] == max(map(len, expected))
    assert (np.diff(mask, axis=1) <= 0).all()


def test_a_text_that_does_not_fit_is_an_error_that_states_the_numbers():
    layout = Layout(Frame((1,), (2,)), pad=0, context=1024)
    with pytest.raises(
        UserError, match=r"text of 2 of 3 images .* longest has 1,500 tokens and 2 around them, and 1,024 fit"
    ):
        layout.check(np.array([1022, 1023, 1500]))
    with pytest.raises(UserError, match=r"longest has 5 tokens, and 4 fit .*tokens\.overflow=truncate"):
        Layout(Frame((), ()), 0, 4).of_images(rows_of([1, 2, 3, 4, 5]))


def test_a_text_that_just_fits_and_one_that_was_to_be_cut_are_none():
    Layout(Frame((1,), (2,)), 0, 1024).check(np.array([1022]))
    Layout(Frame((1,), (2,)), 0, 1024).check(np.array([], np.int64))
    Layout(Frame((1,), (2,)), 0, 4, overflow="truncate").check(np.array([1022]))


def test_a_layout_takes_its_frame_and_pad_from_the_vocabulary():
    vocabulary = make_vocabulary("own", make("gray"), None)
    tokenizer = vocabulary.tokenizer
    layout = Layout.of(vocabulary, 10, "truncate")
    frame = (tokenizer.bos_token_id,), (tokenizer.eos_token_id,)
    assert layout == Layout(Frame(*frame), tokenizer.pad_token_id, 10, overflow="truncate")


def test_what_images_cost_and_what_is_cut_off():
    assert token_budget(np.array([4, 10, 6]), room=6) == Budget(20 / 3, 4 / 20, 1)
    assert token_budget(np.array([144, 144]), room=64) == Budget(144.0, 80 / 144, 2)
    assert token_budget(np.array([4, 6]), room=6) == Budget(5.0, 0.0, 0)
    assert token_budget(np.array([0]), room=6) == Budget(0.0, 0.0, 0)


def test_every_token_has_its_role_and_padding_may_stand_in_front():
    layout = Layout(Frame(), pad=0, context=9, beside=5)
    assert (layout.framing, layout.room) == (5, 4)

    def span(role, *ids):
        return Span(np.array(ids, np.int64), role)

    samples = [
        [span(WORDS, 1), span(IMAGE, 7, 8, 9), span(WORDS, 2), span(ANSWER, 3), span(UNLEARNED, 4), span(ANSWER, 5)],
        [span(IMAGE, 6), span(ANSWER, 5)],
    ]
    ids, mask, roles = layout(samples)
    assert ids.tolist() == [[1, 7, 8, 9, 2, 3, 4, 5], [6, 5, 0, 0, 0, 0, 0, 0]]
    assert mask.tolist() == [[1] * 8, [1] * 2 + [0] * 6]
    around = [WORDS, IMAGE, IMAGE, IMAGE, WORDS, ANSWER, UNLEARNED, ANSWER]
    assert roles.tolist() == [around, [IMAGE, ANSWER] + [PADDING] * 6]
    ids, mask, roles = layout(samples, left=True)
    assert ids.tolist() == [[1, 7, 8, 9, 2, 3, 4, 5], [0, 0, 0, 0, 0, 0, 6, 5]]
    assert mask.tolist() == [[1] * 8, [0] * 6 + [1] * 2]
    assert roles[1].tolist() == [PADDING] * 6 + [IMAGE, ANSWER]


def test_a_control_orders_the_image_s_tokens_otherwise():
    rows = [np.arange(10, 30), np.arange(30, 50), np.arange(10, 30)]
    orders = {}
    for permute in ("fixed", "each"):
        ids = Layout(Frame((1,), (2,)), 0, 40, permute=permute).of_images(rows).ids
        assert (ids[:, 0] == 1).all() and (ids[:, -1] == 2).all()
        assert [sorted(row[1:-1]) for row in ids.tolist()] == [row.tolist() for row in rows]
        assert ids[0].tolist() == ids[2].tolist() != [1, *rows[0], 2]
        orders[permute] = [(row[1:-1] - row[1:-1].min()).tolist() for row in ids]
    assert orders["fixed"][0] == orders["fixed"][1]
    assert orders["each"][0] != orders["each"][1]
