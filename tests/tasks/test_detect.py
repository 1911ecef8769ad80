"""Objects are written and read back to half a bin, whatever the image went through; and scored as COCO does."""

import contextlib
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from llmimg.data import SceneSettings, placement_of
from llmimg.data.motion import as_corners
from llmimg.data.placement import FITS
from llmimg.data.scenes.make import make_scenes
from llmimg.errors import UserError
from llmimg.metrics.boxes import Objects
from llmimg.tasks.detect import Detect, DetectSettings
from llmimg.tasks.detections import Detections
from llmimg.tasks.figures import Bars, Curve
from llmimg.tasks.info import DataInfo
from llmimg.textify import START, make
from llmimg.tokens.automaton import Automaton
from llmimg.tokens.lookup import Way
from llmimg.tokens.sample import Answer, ImageSlot

GRAY = make("gray")
NAMES = ("cat", "hot dog", "hot")
side = st.integers(2, 40)


def task(names=NAMES, numbers=None, **chosen) -> Detect:
    info = DataInfo(classes={"objects": names}, numbers={} if numbers is None else {"objects": numbers})
    return Detect(DetectSettings(**chosen)).bind(info, GRAY)


def row(boxes, classes, size=(32, 32), crowd=None, **more) -> dict:
    objects = {"bbox": [list(map(float, box)) for box in boxes], "category": list(classes)}
    if crowd is not None:
        objects["iscrowd"] = list(crowd)
    return {"id": "a", "objects": objects, "size": size, "placement": None, **more}


def answered(detect: Detect, example: dict, log_probabilities=None) -> Answer:
    (pieces,) = detect.answer(example, None)
    return Answer(detect.lexicon.text(pieces.ids), pieces.ids, log_probabilities)


def read_again(detect: Detect, examples: list[dict]):
    return [detect.read(answered(detect, each), each) for each in examples]


@st.composite
def rows(draw, size=None, whole: bool = False, most: int = 5) -> dict:
    height, width = draw(st.tuples(side, side) if size is None else size)
    boxes = []
    for _ in range(draw(st.integers(0, most))):
        sides = []
        for length in (width, height):
            at = st.integers(0, length) if whole else st.floats(0, length).map(lambda number: round(number, 3))
            low, high = sorted(draw(st.lists(at, min_size=2, max_size=2, unique=True)))
            sides.append((low, high - low))
        (x, wide), (y, high) = sides
        boxes.append([x, y, wide, high])
    return row(boxes, [draw(st.integers(0, 2)) for _ in boxes], (height, width))


def in_order(objects: Objects) -> np.ndarray:
    """Corners and class of each, sorted."""
    table = np.concatenate([as_corners(objects.boxes), objects.classes[:, None]], axis=1)
    return table[np.lexsort(table.T)]


def scenes(count: int = 20) -> list[dict]:
    made = make_scenes(SceneSettings(), "test", 0, np.arange(count))
    return [
        {**row([thing.box for thing in things], [thing.category for thing in things]), "id": str(number)}
        for number, things in enumerate(made.things)
    ]


@settings(max_examples=50)
@given(st.data(), st.integers(1, 3))
def test_whole_pixels_come_back_exactly(data, times):
    length = data.draw(side)
    example = data.draw(rows(size=st.just((length, length)), whole=True))
    detect = task(bins=length * times)
    (found,) = read_again(detect, [example])
    assert np.array_equal(in_order(found.objects), in_order(detect.truth(example).objects))
    assert found.degenerate == 0 and found.problem is None


@settings(max_examples=50)
@given(rows(), st.integers(2, 50), st.data(), side, side, st.sampled_from([None, *FITS]))
def test_boxes_come_back_within_half_a_bin(example, bins, data, height, width, fit):
    placement = None if fit is None else placement_of(example["size"], (height, width), fit)
    example = {**example, "placement": placement}
    detect = task(bins=bins)
    (found,) = read_again(detect, [example])
    height, width = placement.size if placement else example["size"]
    truth = as_corners(example["objects"]["bbox"])
    seen = placement.boxes(truth) if placement else truth
    kept = (seen[:, 2:] > seen[:, :2]).all(axis=1)
    if placement:
        back = placement.inverse(example["size"])
        seen_again, cut = back.boxes(seen[kept]), back.boxes([[0, 0, width, height]])[0]
        bin_ = np.tile((cut[2:] - cut[:2]) / (np.array(placement.target[2:]) - placement.target[:2])[::-1], 2)
        bin_ = bin_ * np.tile([width, height], 2) / bins
    else:
        seen_again, bin_ = seen, np.tile([width, height], 2) / bins
    # What is thinner than a bin takes a whole one.
    slack = np.where(np.tile(seen_again[:, 2:] - seen_again[:, :2], 2) >= bin_, bin_ / 2, bin_) + 1e-6
    assert len(found.objects) + found.degenerate == kept.sum()
    if not found.degenerate:  # a bin that lies in the white around a padded image has none of it
        # Reading order is by position: each object is compared with the one that it was written for.
        corners, left = as_corners(found.objects.boxes), list(range(len(seen_again)))
        for one, category in zip(corners, found.objects.classes, strict=True):
            near = [
                each
                for each in left
                if (np.abs(seen_again[each] - one) <= slack[each]).all()
                and np.asarray(example["objects"]["category"])[kept][each] == category
            ]
            assert near
            left.remove(min(near, key=lambda each: np.abs(seen_again[each] - one).sum()))


def test_made_up_scenes_are_written_without_loss():
    examples, detect = scenes(), task(("circle", "square", "triangle", "cross"))
    scores = detect.metrics(read_again(detect, examples), examples)
    assert {scores[name] for name in ("map", "map_50", "map_75", "recall", "map_low", "map_high")} == {1.0}
    assert scores["degenerate_boxes"] == scores["unread_answers"] == 0
    assert "map_small" not in scores  # in images so small nothing could be large
    assert set(detect.per_row(read_again(detect, examples), examples)) == {1.0}
    in_training = detect.metrics(read_again(detect, examples), examples, intervals=False)
    assert {measure.key for measure in detect.measures if measure.while_training} <= in_training.keys()


def test_an_answer_without_an_end_must_have_one(monkeypatch):
    """A task whose grammar goes on and on, and that does not say how long an answer may be."""
    detect = task(("circle",))
    assert detect.grammar.longest is None
    monkeypatch.delattr(type(detect), "longest")
    with pytest.raises(NotImplementedError, match="says how `longest` it may be"):
        _ = detect.longest


def test_what_is_written():
    example = row([(20, 2, 8, 8), (1, 2, 3, 4)], [0, 1])
    detect = task(prompts="{image}\nfind:")
    assert answered(detect, example).text == " y2 x1 y6 x4 hot dog y2 x20 y10 x28 cat"
    assert detect.prompt(example, None) == (ImageSlot(), "\nfind:")
    assert answered(detect, row([], [])).text == ""
    assert detect.grammar.parse(answered(detect, example).text).tolist() == answered(detect, example).pieces.tolist()
    assert detect.text(detect.truth(example)) == "1 cat, 1 hot dog"
    assert detect.text(detect.truth(row([], []))) == "nothing"


@settings(max_examples=50)
@given(rows(most=8), st.integers(0, 2**64 - 1))
def test_order_is_drawn_by_the_seed_and_scored_sorted(example, seed):
    detect = task(order="random")
    first, again = (detect.answer(example, np.uint64(seed))[0].ids.reshape(-1, 5) for _ in range(2))
    in_reading_order = detect.answer(example, None)[0].ids.reshape(-1, 5)
    assert np.array_equal(first, again)
    assert sorted(first.tolist()) == in_reading_order.tolist()
    assert np.array_equal(task().answer(example, seed)[0].ids.reshape(-1, 5), in_reading_order)


def test_every_order_is_drawn():
    example = row([(0, 0, 2, 2), (9, 9, 2, 2), (20, 20, 2, 2)], [0, 1, 2])
    assert len({tuple(task(order="random").answer(example, seed)[0].ids.tolist()) for seed in range(60)}) == 6


@settings(max_examples=50)
@given(st.data(), st.integers(1, 4))
def test_whatever_is_written_is_read(data, most):
    """Walks through the automaton, up to the budget."""
    detect = task(bins=4, most=most)
    grammar, cells, example = detect.grammar, detect.cells, row([], [])
    ways = {
        state: [Way((piece,), (piece,), after, int(cells[piece])) for piece, after in grammar.allowed(state)]
        for state in grammar.moves
    }
    automaton = Automaton.of(ways, grammar.final, len(detect.lexicon))
    state, left, pieces = 0, detect.budget(example), []
    while True:
        after, cost = automaton.after[state], automaton.cost[state]
        allowed = np.flatnonzero((after >= 0) & (left - cost >= np.where(after >= 0, automaton.need[after], 0)))
        column = int(data.draw(st.sampled_from(allowed.tolist())))
        state, left = after[column], left - cost[column]
        if column == len(automaton.alphabet) - 1:
            break
        pieces.append(int(automaton.alphabet[column]))
    found = detect.read(Answer(pieces=np.array(pieces, np.int64), log_probabilities=-np.ones(len(pieces))), example)
    assert found.problem is None
    assert len(found.objects) + found.degenerate == len(pieces) / 5 <= most
    assert len(pieces) <= detect.longest == 5 * most
    assert (found.objects.boxes[:, 2:] > 0).all()
    assert found.objects.scores == pytest.approx(np.exp(-2))
    json.dumps(detect.as_json(found))


def test_a_box_is_as_sure_as_its_class_and_the_mean_of_its_corners():
    example = row([(0, 0, 4, 4), (9, 9, 4, 4)], [0, 1])
    detect = task()
    shares = np.array([0.5, 0.5, 0.125, 0.125, 0.8, 1, 1, 1, 1, 0.5])
    found = detect.read(answered(detect, example, np.log(shares).astype(np.float32)), example)
    assert found.objects.scores == pytest.approx([0.25 * 0.8, 0.5])
    assert detect.as_json(found)["objects"][0] == {"label": "cat", "box": [0, 0, 4, 4], "score": 0.2}
    unknown = detect.read(answered(detect, example), example)
    assert unknown.objects.scores.tolist() == [1, 1]


def test_what_cannot_be_read_is_dropped_and_counted():
    example, detect = row([(0, 0, 4, 4), (9, 9, 4, 4)], [0, 1]), task()
    whole = answered(detect, example).pieces
    flat = detect.grammar.parse(" y3 x4 y3 x9 cat y5 x9 y7 x4 hot")
    several = [
        Answer(pieces=whole),
        Answer(pieces=whole[:-1]),
        Answer(pieces=np.concatenate([whole, flat])),
        Answer(text="two cats", problem="It is not in the words of an answer."),
    ]
    found = [detect.read(each, example) for each in several]
    assert [len(each.objects) for each in found] == [2, 1, 2, 0]
    assert [each.degenerate for each in found] == [0, 0, 2, 0]
    assert found[1].problem and found[3].problem == "It is not in the words of an answer."
    scores = detect.metrics(found, [example] * 4, intervals=False)
    assert scores["degenerate_boxes"] == 0.5 and scores["unread_answers"] == 0.5
    assert detect.per_row(found, [example] * 4) == pytest.approx([1, 2 / 3, 1, 0])


def test_duplicates_are_dropped_where_it_is_asked_for():
    example = row([(0, 0, 10, 10), (0, 0, 10, 9), (0, 1, 10, 9)], [0, 0, 1])
    shares = np.repeat([0.5, 0.9, 0.4], 5)
    for most, left in ((None, 3), (0.95, 3), (0.5, 2)):
        detect = task(duplicates=most)
        found = detect.read(answered(detect, example, np.log(shares)), example)
        assert len(found.objects) == left
    assert sorted(found.objects.scores) == pytest.approx([0.4**2, 0.9**2])


def test_crowds_are_not_learned_and_not_counted():
    example = row([(0, 0, 4, 4), (8, 8, 20, 20)], [0, 1], crowd=[False, True])
    detect = task(most=1)
    detect.check([example])
    assert answered(detect, example).text == " y0 x0 y4 x4 cat"
    found = detect.read(Answer(pieces=detect.grammar.parse(" y0 x0 y4 x4 cat y8 x8 y16 x16 hot dog")), example)
    assert detect.metrics([found], [example], intervals=False)["map"] == 1
    assert detect.per_row([found], [example]).tolist() == [1]


def test_more_objects_than_are_written_are_refused_in_training_alone():
    boxes = [(each, 0, 1, 1) for each in range(3)]
    several = [{**row(boxes[:each], [0] * each), "id": str(each)} for each in (1, 2, 3, 2)]
    several[3]["id"] = "3 again"
    task(most=3).check(several)
    with pytest.raises(UserError, match=r"3 of 4 training images have more objects than task.most=1.*row 2.*most=3"):
        task(most=1).check(several)
    with pytest.raises(UserError, match=r"Row 3 has 3 objects, more than task.most=1"):
        task(most=1).answer(several[2], 0)
    assert len(task(most=1).answer(several[2], None)[0].ids) == 15


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (row([(30, 0, 4, 4)], [0]), r"Row a has a box that goes out of its image \(32 wide, 32 high\).*30, 0, 4, 4"),
        (row([(-1, 0, 4, 4)], [0]), "goes out of its image"),
        (row([(3, 3, 0, 4)], [0]), "has no area"),
        (row([(float("nan"), 3, 1, 4)], [0]), "goes out of its image"),
        (row([(0, 0, 4, 4)], [3]), "Row a has an object of class 3, and there are 3 classes.*cat, hot dog, hot"),
        (row([(0, 0, 4, 4)], [-1]), "class -1"),
    ],
)
def test_a_row_that_cannot_be_right_is_named(wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        task().answer(wrong, 0)


def test_wrong_settings_and_classes_are_refused():
    for wrong in ({"bins": 1}, {"most": 0}, {"duplicates": 1.5}, {"order": "ordered"}):
        with pytest.raises(UserError, match=f"task.{next(iter(wrong))}"):
            DetectSettings(**wrong)
    with pytest.raises(UserError, match="needs objects"):
        task(())
    for name in ("y3", "x32", "a y0"):
        with pytest.raises(UserError, match=f"The class '{name}' has a word that is a coordinate"):
            task(("cat", name))
    task(("cat", "y33", "y3z"))


@settings(max_examples=20)
@given(st.lists(st.tuples(rows(most=4), rows(most=4)), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_what_is_written_out_scores_the_same_with_pycocotools(tmp_path_factory, pairs, seed):
    rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("out")
    detect = task(numbers=(1, 17, 90))
    examples = [{**each, "image_id": int(7 * number), "id": str(number)} for number, (each, _) in enumerate(pairs)]
    said = [{**other, "size": each["size"]} for each, other in pairs]
    said = [each if each["objects"]["bbox"] else example for each, example in zip(said, examples, strict=True)]
    found = []
    for example, each in zip(examples, said, strict=True):
        objects = detect.truth(each).objects
        sure = Objects(objects.boxes, objects.classes, rng.permutation(100)[: len(objects)] / 100 + rng.random() / 1e4)
        found.append(Detections(sure, example["size"]))
    if not any(each["objects"]["bbox"] for each in examples) or not any(len(each.objects) for each in found):
        return
    detect.export(found, examples, folder)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "annotations.json"))
        evaluation = COCOeval(coco, coco.loadRes(str(folder / "detections.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    scores = detect.metrics(found, examples, intervals=False)
    assert [scores[name] for name in ("map", "map_50", "map_75")] == pytest.approx(evaluation.stats[:3], abs=1e-9)
    assert coco.getImgIds() == [each["image_id"] for each in examples]
    assert [each["id"] for each in coco.dataset["categories"]] == [1, 17, 90]
    assert [each["id"] for each in coco.dataset["annotations"]] == list(range(1, len(coco.anns) + 1))


def test_numbers_that_the_source_has_not_are_counted_from_one(tmp_path):
    detect, examples = task(), [row([(1, 2, 3, 4)], [1])] * 2
    detect.export([detect.truth(each) for each in examples], examples, tmp_path)
    assert json.loads((tmp_path / "detections.json").read_text()) == [
        {"image_id": image, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 1} for image in (1, 2)
    ]
    asked = tmp_path / "asked"
    asked.mkdir()
    detect.export([detect.truth(examples[0])], [{"id": "b", "size": (32, 32)}], asked)
    assert [file.name for file in asked.iterdir()] == ["detections.json"]


def test_the_headline_is_resampled_from_the_table():
    examples, detect = scenes(), task(("circle", "square", "triangle", "cross"))
    rng = np.random.default_rng(0)
    found = []
    for each in read_again(detect, examples):
        objects = each.objects
        off = Objects(
            objects.boxes + rng.integers(0, 3, objects.boxes.shape), objects.classes, rng.random(len(objects))
        )
        found.append(Detections(off, each.size))
    table = detect.table(found, examples)
    assert {len(column) for column in table.values()} == {len(examples)}
    headline, scores = detect.headline(table), detect.metrics(found, examples)
    assert headline(None) == pytest.approx(scores["map"], abs=1e-12)
    weights = rng.multinomial(len(examples), np.ones(len(examples)) / len(examples))
    drawn = np.repeat(np.arange(len(examples)), weights)
    again = detect.metrics([found[each] for each in drawn], [examples[each] for each in drawn], intervals=False)
    assert headline(weights) == pytest.approx(again["map"], abs=1e-12)
    assert table["score"].tolist() == detect.per_row(found, examples).tolist()


def test_figures():
    examples, detect = scenes(), task(("circle", "square", "triangle", "cross", "hexagon"))
    curve, by_class, by_size = detect.figures(read_again(detect, examples), examples)
    assert isinstance(curve, Curve) and "hexagon" not in curve.lines and len(curve.lines) == 4
    assert all((y == 1).all() for _, y in curve.lines.values())
    assert isinstance(by_class, Bars) and by_class.names == detect.names
    assert by_class.columns["AP"][:4].tolist() == [1] * 4 and np.isnan(by_class.columns["AP"][4])
    counts = by_class.columns["objects"]
    assert by_size.columns["objects"].sum() == counts.sum() and len(by_size.names) == 3
    large = [{**each, "size": (100, 100)} for each in examples]
    assert detect.figures(read_again(task(detect.names, bins=100), large), large)[2].names == ("small",)


def test_without_looking():
    detect = task()
    learned = [
        row([(0, 0, 4, 4), (4, 4, 8, 8)], [1, 1]),
        row([(2, 2, 4, 6)], [0]),
        row([(0, 0, 6, 3)], [1], size=(32, 64)),  # in shares of its image, as everything here
    ]
    constant = detect.constant(learned)
    here = constant.on((32, 32))
    assert here.classes.tolist() == [1, 0]
    assert here.scores == pytest.approx([2 / 3, 1 / 3])
    assert here.boxes == pytest.approx(np.array([[4 / 3, 4 / 3, 5, 5], [2, 2, 4, 6]]))
    assert constant.on((8, 64)).boxes[1] == pytest.approx([4, 0.5, 8, 1.5])
    assert len(task(most=1).constant(learned).objects) == 1
    scores = detect.metrics([constant] * 3, learned, intervals=False)
    assert 0 < scores["map_50"] < 1
    # The nearest training image's truth answers for one of another size.
    larger = [row([(0, 0, 8, 4), (8, 4, 16, 8)], [1, 1], size=(32, 64)), *learned[1:]]
    assert detect.metrics([detect.truth(each) for each in learned], larger, intervals=False)["map"] == 1


def test_near_places_look_alike():
    looks, kinds = task().appearance(), task().lexicon.kinds
    assert looks.shape[0] == len(task().lexicon) and np.isnan(looks[list(kinds["name"])]).all()
    for kind in ("y", "x"):
        of_kind = looks[list(kinds[kind])]
        of_kind = of_kind[:, ~np.isnan(of_kind).all(axis=0)]
        away = np.linalg.norm(of_kind - of_kind[10], axis=1)
        assert away[10] == 0 and away[11] < away[13] < away[20] and not np.isnan(of_kind).any()


@pytest.mark.parametrize(("height", "width", "channels"), [(8, 8, 1), (32, 20, 3), (300, 400, 3), (1, 1, 1)])
def test_boxes_are_drawn_on_an_image_that_can_be_read(height, width, channels):
    detect = task(("кот", "cat"))
    image = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    before = image.copy()
    found = detect.truth(row([(0, 0, width / 2, height / 2), (width / 2, height / 2, width / 2, height / 2)], [0, 1]))
    drawn, undrawn = detect.draw(image, found), detect.draw(image, detect.truth(row([], [])))
    factor = max(1, -(-256 // max(height, width)))
    assert drawn.shape == (height * factor, width * factor, 3) and drawn.dtype == np.uint8
    assert np.array_equal(image, before)
    assert np.array_equal(undrawn[::factor, ::factor], np.broadcast_to(image, (height, width, 3)))
    assert (drawn != undrawn).any(axis=2).mean() > 0.01


def test_an_empty_answer_is_an_answer():
    detect, example = task(), row([], [])
    assert START in detect.grammar.final
    found = detect.read(Answer(pieces=np.zeros(0, np.int64), log_probabilities=np.zeros(0, np.float32)), example)
    assert len(found.objects) == 0 and found.problem is None
    assert detect.as_json(found) == {"objects": []}
