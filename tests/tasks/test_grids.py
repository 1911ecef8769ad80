"""Grids of labels as text: there and back, held to what can be read, and broken off."""

import io
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmimg.data import VOID
from llmimg.data.cells import pooled
from llmimg.tasks.grids import FORMATS, GridText
from llmimg.textify import START, make
from llmimg.tokens.vocabulary import Vocabulary, make_vocabulary

NAMES = ("sky", "hot dog", "7", "7 up")
written = st.builds(
    lambda name, grid, ground: FORMATS[name](NAMES, grid, ground if name == "rows" else None),
    st.sampled_from(sorted(FORMATS)),
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.sampled_from([0, 2, None]),
)


def made_up(text: GridText, seed: int, void: bool) -> np.ndarray:
    """Labels in runs, so that all lengths occur."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([*range(len(NAMES)), *([VOID] if void else [])], text.grid).astype(np.uint8)
    again = rng.random(text.grid) < rng.random()
    for column in range(1, text.grid[1]):
        labels[:, column] = np.where(again[:, column], labels[:, column - 1], labels[:, column])
    return labels


def is_grammatical(text: GridText, pieces: np.ndarray) -> bool:
    state = START
    for piece in pieces.tolist():
        after = dict(text.grammar.allowed(state))
        if piece not in after:
            return False
        state = after[piece]
    return state in text.grammar.final


@given(written, st.integers(0, 2**32 - 1))
def test_a_grid_is_read_as_it_was_written(text, seed):
    labels = made_up(text, seed, void=False)
    pieces = text.write(labels)
    assert is_grammatical(text, pieces.ids)
    assert pieces.learned.all()
    assert len(pieces.ids) <= text.longest
    assert (text.read(pieces.ids) == labels).all()
    if text.cells is not None:
        assert text.cells[pieces.ids].sum() == labels.size


@given(written, st.integers(0, 2**32 - 1))
def test_void_costs_nothing_and_is_not_learned(text, seed):
    labels = made_up(text, seed, void=True)
    pieces = text.write(labels)
    assert is_grammatical(text, pieces.ids)
    read = text.read(pieces.ids)
    known = labels != VOID
    assert (read[known] == labels[known]).all()
    before = np.logical_or.accumulate(known, axis=1)  # a void cell is what stands on its left, or else on its right
    alike = read[:, 1:] == read[:, :-1]
    assert alike[~known[:, 1:] & before[:, :-1]].all()
    assert alike[~before[:, :-1] & before[:, -1:]].all()
    if known.all():
        assert pieces.learned.all()
    if not known.any():
        assert not pieces.learned[text.cells[pieces.ids] > 0 if text.cells is not None else slice(None)].any()


def test_pieces_at_void_cells_are_not_learned():
    labels = np.array([[VOID, 1, VOID, 0, VOID], [VOID] * 5, [0, 0, 2, VOID, 1]], np.uint8)
    rows = FORMATS["rows"](NAMES, labels.shape, 0)
    pieces = rows.write(labels)
    assert rows.grammar.lexicon.text(pieces.ids) == " row0 hot dog 0-2 row2 7 2-3 hot dog 4-4"
    assert pieces.learned.tolist() == [True, False, False, True, True, False, True, True]
    runs = FORMATS["runs"](NAMES, labels.shape)
    pieces = runs.write(labels)
    text = "hot dog ×3 sky ×2\nhot dog ×3 sky ×2\nsky ×2 7 ×2 hot dog"
    assert runs.grammar.lexicon.text(pieces.ids) == text
    marks = [True, False]
    assert pieces.learned.tolist() == [False, False, *marks, True, *[False] * 4, True, True, True, True, False, True]


@given(written, st.integers(0, 2**32 - 1), st.data())
def test_breaking_off_leaves_the_rest_void(text, seed, data):
    labels = made_up(text, seed, void=False)
    pieces = text.write(labels).ids
    kept = data.draw(st.integers(0, len(pieces)))
    read = text.read(pieces[:kept], finished=False).reshape(-1)
    reached = int(np.append(np.flatnonzero(read != VOID), -1).max()) + 1
    assert (read[:reached] == labels.reshape(-1)[:reached]).all() or text.ground is None
    assert np.isin(read[:reached], [*range(len(NAMES)), *([VOID] if text.ground is None else [])]).all()
    assert (read[reached:] == VOID).all()
    told = read != VOID
    assert (read[told] == labels.reshape(-1)[told]).all()
    if text.cells is not None:
        assert reached == text.cells[pieces[:kept]].sum()


def test_what_is_not_written_is_the_ground_where_the_answer_came_to_its_end():
    text = FORMATS["rows"](NAMES, (3, 4), 1)
    row1, hot, end = (text.grammar.parse(" row1 7 1-2")).tolist()
    assert text.read(np.array([row1, hot, end])).tolist() == [[1] * 4, [1, 2, 2, 1], [1] * 4]
    assert text.read(np.array([], np.int64)).tolist() == [[1] * 4] * 3
    left = [VOID] * 4
    assert text.read(np.array([row1, hot, end]), finished=False).tolist() == [[1] * 4, [1, 2, 2, VOID], left]
    assert text.read(np.array([row1, hot]), finished=False).tolist() == [[1] * 4, [1, 2, VOID, VOID], left]
    assert text.read(np.array([row1]), finished=False).tolist() == [[1] * 4, left, left]
    assert text.read(np.array([], np.int64), finished=False).tolist() == [left] * 3
    without = FORMATS["rows"](NAMES, (3, 4))
    assert without.read(without.grammar.parse(" row1 7 1-2")).tolist() == [left, [VOID, 2, 2, VOID], left]


@pytest.fixture(scope="module", params=["own", "gpt2", "smollm2"])
def vocabulary(request):
    """Makes the vocabulary of an image's pieces and a format's."""

    @cache
    def of(text: GridText) -> Vocabulary:
        if request.param == "own":
            return make_vocabulary("own", make("gray"), None, text.grammar)
        return make_vocabulary("reuse", make("gray"), request.getfixturevalue(request.param), text.grammar)

    return of


TEXTS = [FORMATS["rows"](NAMES, (3, 4), 0), FORMATS["rows"](NAMES, (2, 3)), FORMATS["runs"](NAMES, (3, 4))]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: f"{type(text).__name__} {text.ground}")
@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_whatever_is_let_through_is_a_grid(vocabulary, text, seed, ends):
    rng, made = np.random.default_rng(seed), vocabulary(text)
    table = made.automaton(text.grammar, text.cells)
    budget = None if text.cells is None else text.grid[0] * text.grid[1]
    fills = None if budget is None else table.fills(budget)
    state, tokens, left = 0, [], budget
    while state != len(table.after) - 1:
        allowed = table.after[state] >= 0
        if budget is not None:
            rest = left - table.cost[state]
            allowed &= (rest >= 0) & fills[table.after[state], np.maximum(rest, 0)]
        elif allowed[-1] and rng.random() < ends / 5:
            allowed[:-1] = False
        column = rng.choice(np.flatnonzero(allowed))
        left = None if budget is None else left - int(table.cost[state, column])
        tokens.append(int(table.alphabet[column]))
        state = int(table.after[state, column])
    pieces, _ = made.automaton(made.grammar).read(tokens)
    assert len(pieces) <= text.longest
    assert made.answer_ids(pieces).tolist() == tokens[:-1]
    assert is_grammatical(text, pieces)
    read = text.read(pieces)
    assert read.shape == text.grid
    assert np.isin(read, range(len(NAMES))).all() or (text.ground is None and budget is None)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_the_longest_answer_is_as_long_as_is_said(name):
    text = FORMATS[name](NAMES, (3, 4), 0 if name == "rows" else None)
    labels = np.tile(np.array([1, 2], np.uint8), 6).reshape(3, 4)
    assert len(text.write(labels).ids) == text.longest


@given(written)
def test_pieces_that_name_one_place_look_alike(text):
    looks, pieces = text.appearance(), text.grammar.lexicon.pieces
    assert looks.dtype == np.float32
    assert len(looks) == len(pieces)
    assert text.grid == (1, 1) or len(np.unique(looks, axis=0)) > 1
    like = dict(zip(pieces, looks, strict=True))
    if text.cells is None:
        names = [name for label, name in enumerate(NAMES) if label != text.ground]
        first = [like[f" {names[0]} {left}"] for left in range(text.grid[1])]
        for left, look in enumerate(first[1:]):
            same = ~np.isnan(look) & ~np.isnan(like[f"-{left}"])
            assert same.any()
            assert (look == like[f"-{left}"])[same].all()  # the one ends where the other begins
    else:
        assert all(np.array_equal(like[name], like[f" {name}"], equal_nan=True) for name in NAMES)


def test_camvid_in_both_formats(shared_folder):
    """On photographs of streets both are as long: a run is two pieces in either."""
    file = shared_folder / "data" / "camvid" / "test-00000-of-00001.parquet"
    if not file.is_file():
        pytest.skip(f"no CamVid at {file}")
    import pyarrow.parquet as pq
    from PIL import Image

    lengths: dict[str, list[int]] = {"rows": [], "runs": []}
    names = tuple(map(str, range(11)))
    texts = [FORMATS["rows"](names, (16, 16), 3), FORMATS["runs"](names, (16, 16))]
    for item in pq.read_table(file, columns=["annotation"])["annotation"].to_pylist()[:40]:
        mask = np.asarray(Image.open(io.BytesIO(item["bytes"])))
        labels = pooled(np.where(mask == 11, VOID, mask), (16, 16), 11, 3)
        known = labels != VOID
        for text, found in zip(texts, lengths.values(), strict=True):
            pieces = text.write(labels)
            assert (text.read(pieces.ids) == labels)[known].all()
            found.append(len(pieces.ids))
    rows, runs = (np.mean(found) for found in lengths.values())
    assert 0.8 < rows / runs < 1.25
    assert max(rows, runs) < 0.6 * 16 * 16
