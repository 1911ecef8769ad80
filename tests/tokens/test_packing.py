import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llmimg.tokens.layout import ANSWER, IMAGE, PADDING, WORDS, Frame, Layout, Span
from llmimg.tokens.packing import NOBODY, SHARED, behind_one_text, side_by_side

PAD = 7
LAYOUT = Layout(Frame((50,), (51,)), PAD, 1000)
TEXT = st.lists(st.integers(1, 3), max_size=4)


def spans(*texts) -> list[Span]:
    return [Span(np.array(ids, np.int64), role) for ids, role in texts]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(11, 22))
def test_every_sequence_stands_whole_in_one_row(lengths, room):
    laid = LAYOUT.of_images([np.arange(length) + 100 * (each + 1) for each, length in enumerate(lengths)])
    packed = side_by_side(laid, room, PAD)
    assert {each.shape for each in packed} == {(len(packed.ids), room)}
    for each, (ids, mask, roles) in enumerate(zip(*laid, strict=True)):
        rows, columns = np.nonzero(packed.owners == each + 1)
        assert len(set(rows)) == 1 and (np.diff(columns) == 1).all()
        assert packed.ids[rows, columns].tolist() == ids[mask == 1].tolist()
        assert packed.roles[rows, columns].tolist() == roles[mask == 1].tolist()
        assert packed.positions[rows, columns].tolist() == list(range(len(rows)))
        assert packed.foretold[rows, columns].tolist() == [False] + [True] * (len(rows) - 1)
    nobody = packed.owners == NOBODY
    assert (packed.ids[nobody] == PAD).all() and not packed.foretold[nobody].any()
    free = np.sort(nobody.sum(axis=1))
    assert (free[:-1] + free[1:]).max(initial=0) <= 2 * room


@given(st.lists(st.tuples(TEXT, TEXT, st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4)), min_size=1, max_size=4))
def test_what_sequences_begin_with_alike_stands_there_once(texts):
    """… and of each, what is shared and what is its own make it up, in its order."""
    samples = [
        spans((before, WORDS), (image, IMAGE), (asked, WORDS), ([*answer, 9], ANSWER))
        for before, image, answers in texts
        for asked, answer in answers
    ]
    laid, counts = LAYOUT(samples), [len(answers) for *_, answers in texts]
    packed = behind_one_text(laid, counts, PAD)
    row = np.repeat(np.arange(len(counts)), counts)
    for each, (ids, mask, roles) in enumerate(zip(*laid, strict=True)):
        own = packed.owners[row[each]] == each + 1
        mine = own | (packed.owners[row[each]] == SHARED)
        assert packed.ids[row[each], mine].tolist() == ids[mask == 1].tolist()
        assert packed.roles[row[each], mine].tolist() == roles[mask == 1].tolist()
        assert packed.positions[row[each], mine].tolist() == list(range(mask.sum()))
        answers = packed.roles[row[each], own] == ANSWER
        assert not answers[0] and packed.foretold[row[each], own][answers].all()
    for index, (before, image, answers) in enumerate(texts):
        shared = int((packed.owners[index] == SHARED).sum())
        assert shared >= len(before) + len(image) + all(asked for asked, _ in answers)
        assert packed.foretold[index, 1 : shared + 2].all()  # the first sequence goes on behind what is shared
    nobody = packed.owners == NOBODY
    assert (packed.ids[nobody] == PAD).all() and (packed.roles[nobody] == PADDING).all()
