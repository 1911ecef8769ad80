"""What must hold for every textifier, whatever its settings."""

import functools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmimg.errors import UserError
from llmimg.textify import START, TEXTIFIERS, Ragged, Textifier, make
from llmimg.textify.order import ORDERS

LEARN = {"fit_images": 40}
# Those whose text holds whatever the reconstruction holds: written again, it is the same.
ORDER = st.sampled_from(list(ORDERS))
RUNS = {"longest_run": st.integers(1, 9), "row_marks": st.booleans()}
EXACT = [
    ("gray", {"levels": st.integers(2, 256), "order": ORDER, "longest_run": st.integers(1, 9)}),
    ("gray", {"order": st.sampled_from(["raster", "snake"]), **RUNS}),
    ("gray", {"style": st.just("ramp"), "levels": st.integers(2, 70), "row_marks": st.booleans()}),
    ("rgb", {"levels": st.integers(2, 256), "order": ORDER}),
    ("palette", {"colors": st.sampled_from(["basic", "css"]), **RUNS}),
    ("palette", {"colors": st.just("fitted"), "space": st.sampled_from(["lab", "rgb"]), "order": ORDER}),
    ("region_color", {"grid": st.integers(1, 6), "order": ORDER}),
]
SAID = {each: st.booleans() for each in ("color", "place", "area")}
PARTS = ({"name": "palette", "longest_run": 3}, {"name": "patch_words", "codes": 4}, {"name": "sift", "min_side": 32})
OTHERS = [
    ("patch_words", {"patch": st.integers(1, 5), "words": st.integers(1, 3), "codes": st.just(8), "order": ORDER}),
    ("region_words", {"grid": st.integers(1, 5), **SAID}),
    ("region_words", {"regions": st.just("slic"), "segments": st.integers(1, 9), "colors": st.just("css")}),
    ("sift", {"points": st.integers(1, 9), "angles": st.integers(0, 8), "min_side": st.just(32)}),
    ("orb", {"codes": st.sampled_from([0, 4]), "min_side": st.just(64)}),
    ("concat", {"parts": st.just(PARTS)}),
]


@functools.cache
def training_images() -> list[np.ndarray]:
    """Smooth ones in colour, of two sizes."""
    draw = np.random.default_rng(0)
    small = [draw.integers(0, 256, size).astype(np.uint8) for size in [(6, 8, 3)] * 30 + [(9, 4, 1)] * 10]
    return [image.repeat(4, axis=0).repeat(4, axis=1) for image in small]


@functools.cache
def _learned(pickled: bytes) -> Textifier:
    name, chosen = pickle.loads(pickled)
    textifier = make(name, **chosen)
    return textifier.with_state(textifier.learn(training_images()))


def learned(name: str, **chosen) -> Textifier:
    """A textifier that has learned what it needs to."""
    return _learned(pickle.dumps((name, chosen)))


@st.composite
def textifiers(draw, among=(*EXACT, *OTHERS)) -> Textifier:
    name, ranges = draw(st.sampled_from(among))
    return learned(name, **{setting: draw(values) for setting, values in ranges.items()})


@st.composite
def batches(draw, smallest: int = 1) -> np.ndarray:
    """uint8 `[N, H, W, C]`."""
    height, width = draw(st.tuples(*[st.integers(smallest, smallest + 9)] * 2))
    return draw(arrays(np.uint8, (draw(st.integers(1, 4)), height, width, draw(st.sampled_from([1, 3])))))


def rows(pieces: Ragged) -> list[list[int]]:
    return [row.tolist() for row in pieces]


@given(textifiers(), st.data())
@settings(max_examples=150, deadline=None)
def test_pieces_text_and_boxes_agree(textifier, data):
    images = data.draw(batches(smallest=getattr(textifier, "grid", 1)))
    count, height, width, _ = images.shape
    pieces = textifier.write(images)
    texts = textifier.texts(pieces)
    assert len(pieces) == len(texts) == count
    assert pieces.values.dtype == textifier.lexicon.dtype

    # Text is the pieces joined by nothing, and is read as the same pieces.
    assert texts == ["".join(textifier.lexicon.pieces[piece] for piece in row) for row in pieces]
    assert [textifier.grammar.parse(text).tolist() for text in texts] == rows(pieces)

    # The boxes lie inside the image, one a piece.
    boxes = textifier.boxes(pieces, images)
    assert boxes.shape == (len(pieces.values), 4)
    assert boxes.dtype == np.int32
    left, top, right, bottom = boxes.T
    assert (left >= 0).all() and (left < right).all() and (right <= width).all()
    assert (top >= 0).all() and (top < bottom).all() and (bottom <= height).all()
    if TEXTIFIERS.name_of(type(textifier)) not in ("sift", "orb"):  # keypoints leave out what is not striking
        for row in range(count):
            covered = np.zeros((height, width), bool)
            for x0, y0, x1, y1 in boxes[pieces.offsets[row] : pieces.offsets[row + 1]]:
                covered[y0:y1, x0:x1] = True
            assert covered.all()


@given(textifiers(among=EXACT), st.data())
@settings(max_examples=100, deadline=None)
def test_an_image_made_from_text_is_written_as_that_text(textifier, data):
    images = data.draw(batches(smallest=getattr(textifier, "grid", 1)))
    texts = textifier.texts(textifier.write(images))
    back = textifier.read(textifier.write(images), *images.shape[1:3])
    assert back.dtype == np.uint8
    assert back.shape[:3] == images.shape[:3]
    assert textifier.texts(textifier.write(back)) == texts


@given(textifiers(), st.data(), st.integers(0, 40))
@settings(max_examples=150, deadline=None)
def test_whatever_is_written_under_the_grammar_is_an_image(textifier, data, steps):
    state, pieces = START, []
    while len(pieces) < steps or state not in textifier.grammar.final:
        choices = list(textifier.grammar.allowed(state))
        if not choices:
            break
        piece, state = choices[data.draw(st.integers(0, len(choices) - 1))]
        pieces.append(piece)
    parsed = textifier.grammar.parse(textifier.lexicon.text(np.array(pieces)))
    assert textifier.lexicon.text(parsed) == textifier.lexicon.text(np.array(pieces))
    side = getattr(textifier, "grid", 1) + 2
    image = textifier.read(Ragged.from_rows([parsed, parsed[:0]], textifier.lexicon.dtype), side, side + 1)
    if image is not None:
        assert image.dtype == np.uint8
        assert image.shape[:3] == (2, side, side + 1)
        assert not image[1].any()  # nothing was said of it


@given(textifiers(), st.data())
@settings(max_examples=60, deadline=None)
def test_an_images_text_does_not_depend_on_the_batch_it_is_in(textifier, data):
    images = data.draw(batches(smallest=getattr(textifier, "grid", 1)))
    together = textifier.texts(textifier.write(images))
    assert [textifier.texts(textifier.write(image[None]))[0] for image in images] == together
    order = data.draw(st.permutations(range(len(images))))
    assert textifier.texts(textifier.write(images[order])) == [together[index] for index in order]


@given(textifiers(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_gray_image_and_its_colour_copy_have_the_same_text(textifier, data):
    images = data.draw(batches(smallest=getattr(textifier, "grid", 1)))[..., :1]
    in_colour = np.repeat(images, 3, axis=-1)
    assert textifier.texts(textifier.write(images)) == textifier.texts(textifier.write(in_colour))


@given(textifiers())
@settings(deadline=None)
def test_settings_and_state_make_it_again(textifier):
    again = make(**textifier.settings())
    assert again == textifier
    image = training_images()[0][None]
    written = textifier.write(image)
    assert rows(again.with_state(textifier.state).write(image)) == rows(written)
    assert rows(pickle.loads(pickle.dumps(textifier)).write(image)) == rows(written)


@given(textifiers())
@settings(max_examples=40, deadline=None)
def test_a_piece_looks_the_same_at_the_start_of_a_text(textifier):
    look = textifier.appearance()
    if look is None:  # nothing but texture is said
        assert not any(getattr(textifier, said) for said in ("color", "brightness", "place", "area"))
        return
    lexicon = textifier.lexicon
    assert look.dtype == np.float32 and look.shape[0] == len(lexicon)
    known = ~np.isnan(look)
    assert np.isfinite(look[known]).all() and np.abs(look[known]).max() <= 256 and known.any(axis=0).all()
    looks: dict[tuple[str, ...], set[bytes]] = {}
    for kind, ids in lexicon.kinds.items():
        words = (kind.rpartition("/")[0], *(piece.strip(" ,") for piece in lexicon.pieces[ids.start : ids.stop]))
        looks.setdefault(words, set()).add(look[ids.start : ids.stop].tobytes())
    assert all(len(each) == 1 for each in looks.values())


def test_what_is_alike_looks_alike():
    def near(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.linalg.norm(one - other))

    gray = make("gray").appearance()
    assert near(gray[3], gray[4]) < near(gray[3], gray[5]) < near(gray[3], gray[9])
    names = make("palette", colors="css")
    look = dict(zip(names.lexicon.pieces, names.appearance(), strict=True))
    assert near(look["navy"], look["darkblue"]) < near(look["navy"], look["blue"]) < near(look["navy"], look["yellow"])
    counted = make("gray", longest_run=9, row_marks=True)
    look = dict(zip(counted.lexicon.pieces, counted.appearance(), strict=True))
    colour, count = slice(0, 9), slice(9, 18)
    assert near(look[" ×8"][count], look[" ×9"][count]) < near(look[" ×2"][count], look[" ×3"][count])
    assert np.isnan(look["\n"]).all() and np.isnan(look[" ×2"][colour]).all() and np.isnan(look["1"][count]).all()

    words = learned("patch_words", patch=2, words=2, codes=8, **LEARN)
    codes, look = words.state["codes"].astype(float), words.appearance()
    for stage, kind in enumerate(["word_0", "word_1"]):
        own = look[words.lexicon.kinds[kind].start : words.lexicon.kinds[kind].stop]
        shown = np.corrcoef(np.concatenate([own.ravel()[None], (codes[stage] - codes[stage].mean(0)).ravel()[None]]))
        assert shown[0, 1] == pytest.approx(1)


def test_several_texts_look_like_what_their_parts_do():
    parts = [{"name": "gray"}, {"name": "region_words", "color": False, "brightness": False}, {"name": "region_color"}]
    joined, alone = make("concat", parts=parts), [make(**part).appearance() for part in parts]
    assert alone[1] is None
    look, starts = joined.appearance(), [joined.lexicon.kinds[f"{index}/first"].start for index in (0, 2)]
    gray, region = alone[0], alone[2]
    np.testing.assert_array_equal(look[starts[0] : starts[0] + len(gray), : gray.shape[1]], gray)
    np.testing.assert_array_equal(look[starts[1] : starts[1] + len(region), gray.shape[1] :], region)
    assert np.isnan(look[: starts[0]]).all() and np.isnan(look[starts[0] + len(gray) : starts[1]]).all()
    assert make("concat", parts=[parts[1]]).appearance() is None


@pytest.mark.parametrize("name", ["palette", "patch_words", "sift", "concat"])
def test_learning_is_the_same_each_time_and_goes_by_its_seed(name):
    own = {"palette": {"colors": "fitted"}, "patch_words": {"codes": 8}, "sift": {"codes": 4}}
    if name == "concat":
        textifier = make("concat", parts=[{"name": "patch_words", "codes": 8, **LEARN}, {"name": "gray"}])
        other = make("concat", parts=[{"name": "patch_words", "codes": 8, "fit_seed": 1, **LEARN}, {"name": "gray"}])
    else:
        textifier, other = (make(name, **own[name], **LEARN, fit_seed=seed) for seed in (0, 1))
    first, again, differs = (each.learn(training_images()) for each in (textifier, textifier, other))
    assert first.keys() == again.keys() == differs.keys() != set()
    assert all((first[key] == again[key]).all() for key in first)
    assert any((first[key] != differs[key]).any() for key in first)


@pytest.mark.parametrize("name", ["patch_words", "concat"])
def test_what_has_not_learned_says_so(name):
    parts = {"parts": [{"name": "patch_words"}]} if name == "concat" else {}
    with pytest.raises(UserError, match=f"textify={name} writes with what it learned.*has not learned yet"):
        make(name, **parts).write(np.zeros((1, 8, 8, 3), np.uint8))


def test_more_than_the_images_hold_cannot_be_learned():
    blank = [np.zeros((8, 8, 1), np.uint8)] * 5
    for name, chosen, message in [
        ("palette", {"colors": "fitted"}, "1 different colours, and textify.count=16"),
        ("patch_words", {}, "1 different patches, and textify.codes=256"),
        ("sift", {"codes": 4}, "keypoints, and textify.codes=4"),
    ]:
        with pytest.raises(UserError, match=message):
            make(name, **chosen).learn(blank)


@pytest.mark.parametrize("shape", [(2, 301, 77, 3), (1, 64, 511, 1), (150, 9, 8, 3), (1, 512, 512, 3)])
@pytest.mark.parametrize("name", [name for name in TEXTIFIERS.entries() if name not in ("surf", "region_objects")])
def test_large_images_and_large_batches_are_written_as_small_ones_are(name, shape):
    textifier = learned(name, **({"codes": 16} if name == "patch_words" else {}))
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    if name not in ("gray", "rgb", "palette", "region_color", "concat"):
        images = images[-3:]
    pieces = textifier.write(images)
    last = textifier.write(images[-1:])
    assert (pieces[len(images) - 1] == last[0]).all()
    if len(last[0]) < 2**16:
        assert (textifier.grammar.parse(textifier.texts(last)[0]) == last[0]).all()
