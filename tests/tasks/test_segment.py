"""A mask is written as a grid, read back, brought to its image's size, scored, drawn and exported."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from llmimg.data import VOID, placement_of
from llmimg.errors import UserError
from llmimg.settings import build
from llmimg.tasks.figures import Bars, Gallery, Matrix
from llmimg.tasks.info import DataInfo
from llmimg.tasks.mask_images import Mask
from llmimg.tasks.measure import of_rows
from llmimg.tasks.segment import Segment
from llmimg.textify import make
from llmimg.tokens.sample import Answer, ImageSlot

GRAY = make("gray")
INFO = DataInfo(classes={"mask": ("sky", "road", "car")}, numbers={"mask": (7, 2, 9)}, counts={"mask": (10, 30, 5)})


def task(info: DataInfo = INFO, **settings) -> Segment:
    return Segment(build(Segment.Settings, {"grid": [4, 4], **settings})).bind(info, GRAY)


def row(mask: np.ndarray, size: tuple[int, int] | None = None, fit: str = "stretch", name: str = "0") -> dict:
    """A row to score, where the model sees images of `size`."""
    mask = np.asarray(mask, np.uint8)
    return {
        "id": name,
        "mask": mask,
        "size": mask.shape,
        "placement": None if size is None else placement_of(mask.shape, size, fit),
    }


def blocks(seed: int, cells: int = 4, side: int = 3, void: bool = False) -> np.ndarray:
    labels = np.random.default_rng(seed).choice([0, 1, 2, *([VOID] if void else [])], (cells, cells))
    return labels.repeat(side, axis=0).repeat(side, axis=1).astype(np.uint8)


def answered(segment: Segment, of: dict) -> Answer:
    (pieces,) = segment.answer(of, None)
    return Answer(pieces=pieces.ids)


@pytest.mark.parametrize("settings", [{}, {"format": "runs"}, {"ground": None}, {"ground": "sky"}, {"ground": "9"}])
@given(seed=st.integers(0, 2**32 - 1), void=st.booleans())
def test_a_right_answer_is_right(settings, seed, void):
    segment, of = task(**settings), row(blocks(seed, void=void))
    of["mask"][:3, :3] = 1  # not all of it is void
    found = segment.read(answered(segment, of), of)
    assert (found.full() == of["mask"])[of["mask"] != VOID].all()
    scores = segment.metrics([found], [of], intervals=False)
    names = ("mean_iou", "pixel_accuracy", "mean_iou_grid", "mean_iou_ceiling")
    assert [scores[name] for name in names] == [1.0] * 4
    assert scores["unread_answers"] == 0
    assert {measure.key for measure in Segment.measures if measure.while_training} <= scores.keys()
    assert scores["answer_pieces"] == found.pieces
    assert segment.per_row([found], [of]).tolist() == [1.0]


def test_measures_and_scores_have_the_same_names():
    segment = task()
    rows = [row(blocks(seed)) for seed in range(4)]
    found = [segment.read(answered(segment, each), each) for each in rows]
    keys = {measure.key for measure in segment.measures}
    bounded = {f"{name}_{end}" for name in ("mean_iou", "pixel_accuracy") for end in ("low", "high")}
    assert set(segment.metrics(found, rows)) == keys | bounded
    assert set(segment.metrics(found, rows, intervals=False)) == keys
    unwritten = segment.metrics([segment.truth(each) for each in rows], rows, intervals=False)
    assert set(unwritten) == keys - {"answer_pieces", "unread_answers"}
    assert segment.measures[0].key == "mean_iou"


def test_the_ground_is_the_commonest_class_or_as_it_is_called():
    def ground(**settings) -> set[str]:
        segment = task(**settings)
        return {name for name in INFO.classes["mask"] if f" {name} 0" not in segment.lexicon.pieces}

    assert ground() == {"road"}
    assert ground(ground="car") == ground(ground="9") == {"car"}
    assert ground(ground=None) == set()
    assert ground(info=dataclasses.replace(INFO, counts={})) == set()  # nothing is known of what is common
    with pytest.raises(UserError, match=r"task\.ground=raod is no class of these masks: did you mean 'road'\?"):
        task(ground="raod")


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad", "middle"])
def test_what_the_model_did_not_see_is_void(fit):
    of = row(np.ones((6, 12)), (8, 8), fit)
    segment = task(ground=None)
    found = segment.read(answered(segment, of), of).full()
    assert found.shape == (6, 12)
    seen = {"stretch": (0, 12), "crop": (3, 9), "pad": (0, 12), "middle": (2, 10)}[fit]
    assert (found[:, seen[0] : seen[1]] == 1).all()
    assert (np.delete(found, slice(*seen), axis=1) == VOID).all()
    scores = segment.metrics([segment.read(answered(segment, of), of)], [of], intervals=False)
    assert scores["mean_iou_grid"] == 1
    assert scores["mean_iou"] == scores["mean_iou_ceiling"] == (seen[1] - seen[0]) / 12


def test_both_formats_write_the_same_grid():
    of = row(np.random.default_rng(0).integers(0, 3, (8, 8)))  # many cells tie
    grids = []
    for settings in ({}, {"format": "runs"}, {"ground": None}):
        segment = task(**settings)
        grids.append(segment.read(answered(segment, of), of).cells.tolist())
    assert grids[0] == grids[1] == grids[2]


def test_a_row_to_learn_from_is_written_as_one_to_score():
    of = row(blocks(3, side=5), (8, 8))
    seen = {**of, "mask": of["placement"].mask(of["mask"], VOID), "size": (8, 8), "placement": None}
    for settings in ({}, {"format": "runs"}):
        segment = task(**settings)
        assert segment.answer(of, None)[0].ids.tolist() == segment.answer(seen, 5)[0].ids.tolist()


def test_what_breaks_off_or_cannot_be_read_is_void_and_counted():
    segment, of = task(), row(np.array([[0, 1], [1, 2]]).repeat(2, 0).repeat(2, 1))
    whole = answered(segment, of).pieces
    half = segment.read(Answer(pieces=whole[:3], finish="length"), of)
    assert half.full().tolist() == [[0, 0, VOID, VOID], *[[VOID] * 4] * 3]
    none = segment.read(Answer(text="?", problem="no piece"), of)
    assert (none.full() == VOID).all()
    assert none.problem == "no piece"
    assert segment.metrics([half, none], [of, of], intervals=False)["unread_answers"] == 1
    assert segment.read(Answer(pieces=np.array([], np.int64), finish="stop"), of).full().tolist() == [[1] * 4] * 4
    assert segment.per_row([none], [of]).tolist() == [0.0]
    table = segment.table([half, none], [of, of])
    assert table["score"].tolist() == [1 / 6, 0.0]
    assert table["problem"] == ["truncated", "no piece"]
    assert table["prediction"] == ["void 87.5%, sky 12.5%", "void 100.0%"]
    assert table["truth"] == ["road 50.0%, sky 25.0%, car 25.0%"] * 2
    assert table["pieces"] == [3, 0]


def test_budgets_and_lengths_are_known():
    runs, rows = task(format="runs"), task()
    of = row(blocks(0))
    assert (runs.budget(of), runs.exact, runs.longest) == (16, True, 19)
    assert (rows.budget(of), rows.cells, rows.longest) == (None, None, 36)
    assert [len(each.appearance()) for each in (runs, rows)] == [len(each.lexicon) for each in (runs, rows)]


def test_the_constant_is_the_commonest_class_of_each_cell_on_any_image():
    masks = [np.array([[0, 1], [2, VOID]]), np.array([[0, 2], [1, VOID]]), np.array([[1, 2], [1, VOID]])]
    segment = task(grid=[2, 2])
    found = segment.constant([row(mask.repeat(3, 0).repeat(3, 1)) for mask in masks])
    assert found.cells.tolist() == [[0, 2], [1, VOID]]
    of = row(np.zeros((4, 8)), (2, 2), "crop")
    full = found.on(of).full().tolist()
    assert full == [[VOID, VOID, 0, 0, 2, 2, VOID, VOID]] * 2 + [[VOID, VOID, 1, 1, *[VOID] * 4]] * 2
    assert segment.per_row([found], [of]).tolist() == [4 / 32 / 3]


def test_the_mask_of_another_image_is_stretched():
    segment, of = task(), row(blocks(1))
    other = segment.truth(row(blocks(1, side=2)))
    assert segment.per_row([other], [of]).tolist() == [1.0]
    assert segment.metrics([other], [of], intervals=False)["mean_iou_grid"] == 1.0


def test_figures_are_of_the_same_counts():
    segment, of = task(), row(np.array([[0, 0], [1, VOID]]).repeat(2, 0).repeat(2, 1))
    bars, matrix, colours = segment.figures([Mask(np.array([[0, 1], [1, 1]], np.uint8))], [of])
    assert isinstance(bars, Bars)
    assert bars.columns["IoU"][:2].tolist() == [0.5, 0.5]
    assert np.isnan(bars.columns["IoU"][2])
    assert bars.columns["pixels"].tolist() == [8, 4, 0]
    assert bars.columns["ceiling"][:2].tolist() == [1.0, 1.0]
    assert isinstance(matrix, Matrix)
    assert matrix.values.tolist() == [[4, 4, 0, 0], [0, 4, 0, 0], [0, 0, 0, 0]]
    assert isinstance(colours, Gallery)
    assert colours.captions == ("sky", "car", "void")
    assert len({image.tobytes() for image in colours.images}) == 3
    assert colours.meaning == "In drawings; road is left without one."


@pytest.mark.parametrize("channels", [1, 3])
def test_a_drawing_shows_each_class_in_its_colour(channels):
    segment = task()
    image = np.full((8, 6, channels), 100, np.uint8)
    drawn = segment.draw(image, segment.truth(row(np.arange(48).reshape(8, 6) % 3)))
    assert drawn.dtype == np.uint8
    assert drawn.shape == (8 * 32, 6 * 32, 3)
    assert (drawn[:32, :32] == drawn[0, 0]).all()
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) == 3
    assert (drawn[0, 32] == 100).all()  # the ground is left as it is
    large = np.zeros((300, 400, channels), np.uint8)
    assert segment.draw(large, segment.truth(row(np.zeros((8, 6))))).shape == (300, 400, 3)


@pytest.mark.parametrize("numbers", [(7, 2, 9), (None, None, None), (255, 0, 254), (7, 300, 9)])
def test_masks_are_written_with_the_sources_own_numbers(tmp_path, numbers):
    segment = task(dataclasses.replace(INFO, numbers={"mask": numbers}))
    rows = [row([[0, 1, 2, VOID]], name=name) for name in ("12", "train/a b.jpg", "../up")]
    segment.export([segment.truth(each) for each in rows], rows, tmp_path)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["..%2Fup.png", "12.png", "train%2Fa b.jpg.png"]
    with Image.open(tmp_path / "12.png") as picture:
        assert picture.mode == ("I;16" if 300 in numbers else "P")
        found = np.asarray(picture).tolist()
    void = {(255, 0, 254): 253, (7, 300, 9): 65535}.get(numbers, 255)
    assert found == [[*([0, 1, 2] if None in numbers else numbers), void]]


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_the_headline_is_made_from_the_table(seeds, seed):
    segment = task()
    rows = [row(blocks(each)) for each in seeds]
    found = [Mask(blocks(each + 1)) for each in seeds]
    headline = segment.headline(segment.table(found, rows))
    assert of_rows(headline) == segment.metrics(found, rows, intervals=False)["mean_iou"]
    drawn = np.append(0, np.random.default_rng(seed).integers(len(seeds), size=len(seeds)))
    again = segment.metrics([found[each] for each in drawn], [rows[each] for each in drawn], intervals=False)
    assert of_rows(headline, np.bincount(drawn, minlength=len(seeds))) == pytest.approx(again["mean_iou"], abs=1e-12)


def test_the_prompt_is_the_image_and_some_words():
    assert task().prompt({}, None) == (ImageSlot(), "\nmask:")
    assert task(prompts="{image}").prompt({}, 3) == (ImageSlot(),)


def test_plain_values_are_the_shares():
    segment = task()
    found = segment.as_json(segment.truth(row([[0, 0, 2, VOID]])))
    assert found == {"void": 0.25, "classes": {"sky": 0.5, "road": 0.0, "car": 0.25}}


def test_mistakes_are_told():
    with pytest.raises(UserError, match="needs masks of two classes or more"):
        task(DataInfo())
    with pytest.raises(UserError, match=r"task\.grid=0 is out of range: it takes a list of 2, each 1 to 64"):
        task(grid=[0, 4])
    with pytest.raises(UserError, match=r"There is no task\.format 'row': did you mean 'rows'\?"):
        task(format="row")
    with pytest.raises(UserError, match=r"task\.format=runs writes every class, so that task.ground would do nothing"):
        task(format="runs", ground="sky")
    with pytest.raises(UserError, match=r"The mask of bad is not of its image's size, or has a number that is of none"):
        task().answer({**row(np.full((4, 4), 3)), "id": "bad"}, None)
    with pytest.raises(UserError, match="The mask of 0 is not of its image's size"):
        task().answer({**row(np.zeros((4, 4))), "size": (4, 5)}, None)
