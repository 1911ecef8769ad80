"""Every number of runs that find objects or segment, but those of time, speed and memory, computed once more: answers
are written by plain loops over the saved model, and scored by pycocotools and numpy."""

import contextlib
import io
import itertools
import math
from collections import Counter

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from llmimg.carry_out import carry_out
from tests.peers.scenes import CANVAS, NAMES, SEEN, Scenes, Written

pytestmark = pytest.mark.usefixtures("one_thread")

MEASURED = ("time/", "memory/")
SPEEDS = ("train/images_per_second", "data/prepare_images_per_second")
ELSEWHERE = ("train/loss",)  # test_steps.py
COMMON = (
    "data=scenes", f"data.scenes.canvas={CANVAS}", "data.size=10", "data.scenes.most=2",
    "data.scenes.train=48", "data.scenes.validation=12", "data.scenes.test=16", "textify=gray", "textify.levels=8",
    "model.width=16", "trainer.max_steps=16", "trainer.eval_strategy=no", "trainer.learning_rate=0.02",
    "trainer.per_device_train_batch_size=8", "trainer.disable_tqdm=true",
)  # fmt: skip
BINS, MOST = 2, 6
# The things fill so much that some of the boxes are found; the context is too short for many of them.
DETECT = (
    "task=detect", f"task.bins={BINS}", f"task.most={MOST}", "tokens.max_length=116", "data.scenes.sizes=[30,84,98]",
    "data.scenes.overlap=0.9",
)  # fmt: skip
GRID = 5  # cells a side
GROUND, VOID = 0, 255
CLASSES = ("ground", *NAMES)
SEGMENT = ("task=segment", f"task.grid=[{GRID},{GRID}]", "data.scenes.sizes=[24,44]")
DRAWN = 99  # resamples


def agree(run: Scenes, peers: dict) -> None:
    asked = {key for key in run.metrics if not key.startswith(MEASURED) and key not in (*SPEEDS, *ELSEWHERE)}
    alone = sorted(asked - peers.keys())
    assert not alone, f"{alone} of metrics.json have no independent computation: write one in tests/peers"
    assert not (lost := sorted(peers.keys() - asked)), f"the run does not say {lost}"
    for key in sorted(asked):
        near = {"abs": 0.08} if key.endswith(("_low", "_high")) else {"rel": 2e-5, "abs": 1e-6}  # resampled otherwise
        assert run.metrics[key] == pytest.approx(peers[key](), **near), key


def ends(values: dict[str, float], resampled: list[dict[str, float]], reflected: tuple[str, ...]) -> dict[str, float]:
    """95 % intervals: percentiles, or these reflected at the value; within 0 and 1, and holding the value."""
    found = {}
    for key, value in values.items():
        low, high = np.nanpercentile([each[key] for each in resampled], [2.5, 97.5])
        low, high = (2 * value - high, 2 * value - low) if key in reflected else (low, high)
        found |= {f"{key}_low": max(0.0, min(low, value)), f"{key}_high": min(1.0, max(high, value))}
    return found


def resamples(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(count, size=(DRAWN, count))


# Objects


def may_follow(words: list[str]) -> list[str | None]:
    objects, place = divmod(len(words), 5)
    if place == 4:
        return [f" {name}" for name in NAMES]
    after = [f" {'yx'[place % 2]}{edge}" for edge in range(BINS + 1)]
    return after if place else [None, *(after if objects < MOST else [])]


def words_of_objects(row: dict) -> list[str]:
    """In reading order, each corner at its nearest edge; what has no area there takes the bin of its middle."""
    several = []
    for (left, top, width, height), label in zip(row["objects"]["bbox"], row["objects"]["category"], strict=True):
        sides = []
        for first, length in ((top, height), (left, width)):
            low, high = (round(side * BINS / CANVAS) for side in (first, first + length))
            if low == high:
                low = min(int((first + length / 2) * BINS / CANVAS), BINS - 1)
                high = low + 1
            sides.append((low, high))
        (y0, y1), (x0, x1) = sides
        several.append((y0, x0, y1, x1, label))
    return [
        word
        for y0, x0, y1, x1, label in sorted(several)
        for word in (f" y{y0}", f" x{x0}", f" y{y1}", f" x{x1}", f" {NAMES[label]}")
    ]


def boxes_of(written: Written) -> tuple[list[dict], int]:
    """Whole boxes with area, and how many had none."""
    found, degenerate = [], 0
    for start in range(0, len(written.words) // 5 * 5, 5):
        y0, x0, y1, x1 = (int(word[2:]) * CANVAS / BINS for word in written.words[start : start + 4])
        *places, name = written.probabilities[start : start + 5]
        if x0 < x1 and y0 < y1:
            sure = name * math.exp(np.log(places).mean())
            label = NAMES.index(written.words[start + 4].strip())
            found.append({"category_id": label, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": sure})
        else:
            degenerate += 1
    return found, degenerate


def average_precision(truth: list[list[dict]], found: list[list[dict]], sizes: bool = False) -> dict[str, float]:
    """By pycocotools; an image may stand there several times."""
    several = []
    for kind in (truth, found):
        each = [{**one, "image_id": place} for place, image in enumerate(kind) for one in image]
        for number, one in enumerate(each, 1):
            one |= {"id": number, "iscrowd": 0, "area": one["bbox"][2] * one["bbox"][3]}
        coco = COCO()
        coco.dataset = {
            "images": [{"id": place} for place in range(len(truth))],
            "categories": [{"id": place} for place in range(len(NAMES))],
            "annotations": each,
        }
        coco.createIndex()
        several.append(coco)
    score, agnostic = (COCOeval(*several, "bbox") for _ in range(2))
    agnostic.params.useCats = 0
    for each in (score, agnostic):
        each.evaluate(), each.accumulate(), each.summarize()
    recall = score.eval["recall"][0, :, 0, 2]
    values = {
        "map": score.stats[0],
        "map_50": score.stats[1],
        "map_75": score.stats[2],
        "map_50_class_agnostic": agnostic.stats[1],
        "recall": score.stats[8],
        "recall_50": recall[recall > -1].mean(),
    }
    of_sizes = {f"map_{size}": score.stats[place] for place, size in enumerate(("small", "medium", "large"), 3)}
    return values | (of_sizes if sizes else {})


@pytest.fixture(scope="module")
def detected(composed):
    settings = composed("detect", *DETECT, base=COMMON)
    with contextlib.redirect_stdout(io.StringIO()):
        carry_out(settings)
    return Scenes(settings, "objects", "\nobjects:", may_follow, words_of_objects)


def test_every_number_of_detection_has_a_peer_that_agrees(detected):
    peers = detected.peers()
    for name in ("val", "test"):
        truth = [
            [
                {"category_id": label, "bbox": list(box)}
                for box, label in zip(row["objects"]["bbox"], row["objects"]["category"], strict=True)
            ]
            for row in detected.rows[name]
        ]
        written = detected.written(name)
        found, degenerate = zip(*map(boxes_of, written), strict=True)
        with contextlib.redirect_stdout(io.StringIO()):
            values = average_precision(truth, found)
            resampled = [
                average_precision([truth[row] for row in rows], [found[row] for row in rows])
                for rows in resamples(len(truth))
            ]
            every = average_precision(truth, found, sizes=True)
        every |= ends(values, resampled, ("map", "map_50", "map_75", "map_50_class_agnostic"))
        every |= {"degenerate_boxes": np.mean(degenerate)}
        every |= {"unread_answers": np.mean([not each.ended for each in written])}
        peers |= {f"{name}/{key}": lambda value=value: value for key, value in every.items()}
    agree(detected, peers)


# Areas


def after_row(words: list[str]) -> tuple[int, int]:
    """The row that is being written, and the first column that is free in it."""
    row, column = -1, GRID
    for word in words:
        if word.startswith(" row"):
            row, column = int(word[4:]), 0
        elif word.startswith("-"):
            column = int(word[1:]) + 1
    return row, column


def may_follow_in_rows(words: list[str]) -> list[str | None]:
    row, column = after_row(words)
    last = words[-1] if words else ""
    if last and not last.startswith((" row", "-")):
        return [f"-{right}" for right in range(int(last.split(" ")[-1]), GRID)]
    runs = [f" {name} {left}" for left in range(column, GRID) for name in NAMES]
    return runs if last.startswith(" row") else [None, *runs, *(f" row{other}" for other in range(row + 1, GRID))]


def words_of_grid(row: dict) -> list[str]:
    """Of each row that has something but ground its runs."""
    words = []
    for number, cells in enumerate(grid_of(row["mask"])):
        starts = [place for place in range(GRID) if place == 0 or cells[place] != cells[place - 1]]
        runs = [(cells[start], start, end - 1) for start, end in itertools.pairwise([*starts, GRID])]
        told = [f" {CLASSES[label]} {left}|-{right}" for label, left, right in runs if label != GROUND]
        words += [f" row{number}"] * bool(told) + [word for run in told for word in run.split("|")]
    return words


def grid_of(mask: np.ndarray) -> np.ndarray:
    """The commonest class of each cell's pixels, as the model sees them: every tenth. Ground loses ties."""
    side = CANVAS // SEEN
    seen, cells = mask[side // 2 :: side, side // 2 :: side], np.zeros((GRID, GRID), np.int64)
    per_cell = SEEN // GRID
    for place in np.ndindex(GRID, GRID):
        top, left = (each * per_cell for each in place)
        counts = Counter(seen[top : top + per_cell, left : left + per_cell].ravel().tolist())
        cells[place] = min(counts, key=lambda label: (-counts[label], label == GROUND, label))
    return cells


def written_grid(written: Written) -> np.ndarray:
    """Class numbers; where the answer breaks off, what it did not come to is void."""
    cells, row, left, label, reached = np.full((GRID, GRID), GROUND), 0, 0, VOID, 0
    for word in written.words:
        if word.startswith(" row"):
            row = int(word[4:])
            reached = row * GRID
            continue
        if word.startswith("-"):
            right = int(word[1:])
        else:
            name, column = word.strip().split(" ")
            label, left = CLASSES.index(name), int(column)
            right = left
        cells[row, left : right + 1] = label
        reached = row * GRID + right + 1
    if not written.ended:
        cells.ravel()[reached:] = VOID
    return cells


def scores(truths: list[np.ndarray], found: list[np.ndarray]) -> dict[str, float]:
    truth, said = (np.concatenate([each.ravel() for each in several]) for several in (truths, found))
    both = [((truth == each) & (said == each)).sum() for each in range(len(CLASSES))]
    either = [((truth == each) | (said == each)).sum() for each in range(len(CLASSES))]
    ious = [right / of for right, of in zip(both, either, strict=True) if of]
    return {"mean_iou": float(np.mean(ious)), "pixel_accuracy": float((truth == said).mean())}


def at_full_size(cells: np.ndarray) -> np.ndarray:
    return cells.repeat(CANVAS // GRID, axis=0).repeat(CANVAS // GRID, axis=1)


@pytest.fixture(scope="module")
def segmented(composed):
    settings = composed("segment", *SEGMENT, base=COMMON)
    with contextlib.redirect_stdout(io.StringIO()):
        carry_out(settings)
    return Scenes(settings, "mask", "\nmask:", may_follow_in_rows, words_of_grid)


def test_every_number_of_segmentation_has_a_peer_that_agrees(segmented):
    peers = segmented.peers()
    pixels = np.concatenate([row["mask"].ravel() for row in segmented.rows["train"]])
    assert np.bincount(pixels).argmax() == GROUND
    for name in ("val", "test"):
        truth = [row["mask"] for row in segmented.rows[name]]
        grids = [grid_of(mask) for mask in truth]
        written = segmented.written(name)
        found = [written_grid(each) for each in written]
        full = [at_full_size(each) for each in found]
        values = scores(truth, full)
        resampled = [
            scores([truth[row] for row in rows], [full[row] for row in rows]) for rows in resamples(len(truth))
        ]
        every = (
            values
            | ends(values, resampled, ())
            | {
                "mean_iou_grid": scores(grids, found)["mean_iou"],
                "mean_iou_ceiling": scores(truth, [at_full_size(each) for each in grids])["mean_iou"],
                "answer_pieces": np.mean([len(each.words) for each in written]),
                "unread_answers": np.mean([not each.ended for each in written]),
            }
        )
        peers |= {f"{name}/{key}": lambda value=value: value for key, value in every.items()}
    agree(segmented, peers)
