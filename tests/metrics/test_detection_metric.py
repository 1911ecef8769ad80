"""AP against a slow computation in plain Python, and against pycocotools' own summary."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from llmimg.errors import UserError
from llmimg.metrics.boxes import Objects, box_iou, non_maximum_suppression
from llmimg.metrics.detection import Detection, sizes_in, thirds

Scene = tuple[list[Objects], list[Objects]]
NAMES = ["map", "map_50", "map_75", "map_50_class_agnostic", "recall", "recall_50"]
scenes = given(images=st.integers(1, 6), classes=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))


def made_up(images: int, classes: int, seed: int, crowds: float = 0.2, ties: bool = False) -> Scene:
    """Objects of all sizes in some images, some of them crowds; and detections near them, doubled, or of nothing."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for image in range(images):
        count, boxes = int(rng.integers(image == 0, 5)), rng.integers(1, 130, size=(9, 4)).astype(float)
        own = rng.integers(classes, size=9)
        crowd = rng.random(count) < crowds
        crowd[:1] &= image > 0
        truth.append(Objects(boxes[:count], own[:count], crowd=crowd))
        chosen = rng.permutation(np.repeat(np.arange(9), 2))[: rng.integers(0, 12)]
        near = boxes[chosen] + rng.choice([0, 0, 1, 5, 20], size=(len(chosen), 4))
        named = np.where(rng.random(len(chosen)) < 0.7, own[chosen], rng.integers(classes, size=len(chosen)))
        scores = rng.integers(1, 5, size=len(chosen)) / 4 if ties else rng.random(len(chosen))
        found.append(Objects(near, named, scores))
    return truth, found


def found_again(truth: list[Objects], score: float = 0.5) -> list[Objects]:
    return [Objects(objects.boxes, objects.classes, np.full(len(objects), score)) for objects in truth]


def slow_iou(one, other, crowd: bool = False) -> float:
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(wide, 0) * max(high, 0)
    return both / (one[2] * one[3] if crowd else one[2] * one[3] + other[2] * other[3] - both)


def slow_matches(truth: list[Objects], found: list[Objects], category: int, threshold: float):
    """Of one class: each detection's image, score and outcome, by falling score; and how many objects there are."""
    outcomes, objects = [], 0
    for image, (there, said) in enumerate(zip(truth, found, strict=True)):
        left = [
            (box, bool(crowd))
            for box, of, crowd in zip(there.boxes, there.classes, there.crowded, strict=True)
            if of == category
        ]
        objects += sum(not crowd for _, crowd in left)
        own = [
            (score, box) for score, box, of in zip(said.scores, said.boxes, said.classes, strict=True) if of == category
        ]
        for score, box in sorted(own, key=lambda each: -each[0]):
            near = [(slow_iou(box, other, crowd), not crowd, index) for index, (other, crowd) in enumerate(left)]
            near = [each for each in near if each[0] >= threshold]
            regular = [each for each in near if each[1]]
            outcome = "right" if regular else "passed over" if near else "wrong"
            if regular:
                del left[max(regular, key=lambda each: (each[0], each[2]))[2]]
            outcomes.append((image, score, outcome))
    return sorted(outcomes, key=lambda each: -each[1]), objects


def slow_scores(truth: list[Objects], found: list[Objects], classes: int, threshold: float) -> dict[int, tuple]:
    """AP and recall of each class that has an object."""
    scores = {}
    for category in range(classes):
        outcomes, objects = slow_matches(truth, found, category, threshold)
        if not objects:
            continue
        right, said, points = 0, 0, []
        for _, _, outcome in outcomes:
            right, said = right + (outcome == "right"), said + (outcome != "passed over")
            points.append((right / objects, right / said if said else 0))
        recalls = np.linspace(0, 1, 101)  # COCO's own numbers: 0.07 is 0.07000000000000001
        best = [max((precision for recall, precision in points if recall >= least), default=0) for least in recalls]
        scores[category] = (sum(best) / 101, right / objects)
    return scores


@pytest.mark.parametrize("ties", [False, True])
@settings(max_examples=60)
@scenes
def test_equals_a_slow_computation(ties, images, classes, seed):
    truth, found = made_up(images, classes, seed, ties=ties)
    score = Detection(truth, found, classes)
    every = [slow_scores(truth, found, classes, threshold) for threshold in np.linspace(0.5, 0.95, 10)]
    expected = {
        "map": np.mean([ap for at in every for ap, _ in at.values()]),
        "map_50": np.mean([ap for ap, _ in every[0].values()]),
        "map_75": np.mean([ap for ap, _ in every[5].values()]),
        "recall": np.mean([recall for at in every for _, recall in at.values()]),
        "recall_50": np.mean([recall for _, recall in every[0].values()]),
    }
    values = score.values()
    assert {name: values[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    by_class = score.by_class()
    known = [*every[0]]
    assert by_class["map_50"][known] == pytest.approx([ap for ap, _ in every[0].values()], abs=1e-9)
    assert by_class["recall_50"][known] == pytest.approx([recall for _, recall in every[0].values()], abs=1e-9)
    assert by_class["map"][known] == pytest.approx([np.mean([at[k][0] for at in every]) for k in known], abs=1e-9)
    absent = np.setdiff1d(np.arange(classes), known)
    assert all(np.isnan(by_class[name][absent]).all() for name in ("map", "map_50", "recall_50"))
    assert (by_class["objects"] == [slow_matches(truth, found, k, 0.5)[1] for k in range(classes)]).all()
    assert score.precision_recall().mean(axis=1)[known] == pytest.approx(by_class["map_50"][known], abs=1e-9)


def summary(truth: list[Objects], found: list[Objects], classes: int, use_classes: bool = True) -> np.ndarray:
    """pycocotools' twelve numbers, by its own means from end to end."""
    objects = [
        {"image_id": image, "category_id": int(of), "bbox": list(box), "area": box[2] * box[3], "iscrowd": int(crowd)}
        for image, there in enumerate(truth)
        for box, of, crowd in zip(there.boxes, there.classes, there.crowded, strict=True)
    ]
    results = [
        {"image_id": image, "category_id": int(of), "bbox": list(box), "score": float(score)}
        for image, said in enumerate(found)
        for box, of, score in zip(said.boxes, said.classes, said.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": image} for image in range(len(truth))],
            "categories": [{"id": category} for category in range(classes)],
            "annotations": [{"id": 1 + number, **each} for number, each in enumerate(objects)],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.params.useCats = use_classes
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


@settings(max_examples=60)
@scenes
def test_equals_the_library_where_nothing_is_resampled(images, classes, seed):
    truth, found = made_up(images, classes, seed)
    if not any(map(len, found)):
        return  # the library takes no empty list
    score = Detection(truth, found, classes)
    stats, values = summary(truth, found, classes), score.values()
    expected = dict(zip(("map", "map_50", "map_75"), stats[:3], strict=True), recall=stats[8])
    assert {name: values[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    agnostic = summary(truth, found, classes, use_classes=False)
    assert values["map_50_class_agnostic"] == pytest.approx(agnostic[1], abs=1e-9)
    sizes = {size: each.curves().average_precision for size, each in score.sizes.items()}
    means = {size: each[:, ~np.isnan(each[0])].mean() for size, each in sizes.items()}
    assert [means.get(size, -1) for size in ("small", "medium", "large")] == pytest.approx(stats[3:6], abs=1e-9)


@scenes
def test_a_resample_scores_as_its_images_do(images, classes, seed):
    truth, found = made_up(images, classes, seed)
    drawn = np.append(0, np.random.default_rng(seed).integers(images, size=images))
    again = Detection([truth[image] for image in drawn], [found[image] for image in drawn], classes).values()
    weights = np.bincount(drawn, minlength=images)
    assert Detection(truth, found, classes).values(weights) == pytest.approx(again, abs=1e-9)


@settings(max_examples=3)
@scenes
def test_metrics_are_flat_and_intervals_hold_their_values(images, classes, seed):
    truth, found = made_up(images, classes, seed)
    assert set(Detection(truth, found_again(truth), classes).metrics().values()) == {1.0}
    scores = Detection(truth, found, classes).metrics()
    assert all(type(value) is float and 0 <= value <= 1 for value in scores.values())
    assert all(scores[f"{name}_low"] <= scores[name] <= scores[f"{name}_high"] for name in NAMES)
    sizes = set(scores) - {f"{name}{end}" for name in NAMES for end in ("", "_low", "_high")}
    assert sizes and sizes <= {"map_small", "map_medium", "map_large"}
    assert set(Detection(truth, found, classes).metrics(intervals=False)) == set(NAMES)


def test_the_interval_of_many_images_is_narrow_and_repeats_itself():
    truth, found = made_up(150, 2, seed=0)
    scores = Detection(truth, found, 2).metrics()
    assert 0.005 < scores["map_50_high"] - scores["map_50_low"] < 0.2
    assert scores == Detection(truth, found, 2).metrics()


@scenes
def test_the_truth_itself_scores_exactly_one(images, classes, seed):
    truth, _ = made_up(images, classes, seed)
    score = Detection(truth, found_again(truth), classes)
    assert set(score.values().values()) == {1.0}
    assert (score.per_row() == 1).all()


def test_the_truth_itself_scores_exactly_one_in_hard_cases():
    one = [Objects([[1, 2, 3, 4]], [0])]
    rng = np.random.default_rng(0)
    full = [Objects(rng.uniform(1, 90, size=(150, 4)).astype(np.float32), np.zeros(150))]
    for truth in (one, one + one, full + one, [*full, Objects([], [])]):
        assert set(Detection(truth, found_again(truth), 2).values().values()) == {1.0}


@scenes
def test_nothing_found_scores_zero(images, classes, seed):
    truth, _ = made_up(images, classes, seed)
    score = Detection(truth, [Objects([], [], []) for _ in truth], classes)
    assert set(score.values().values()) == {0.0}
    assert score.per_row().tolist() == [float(not (~objects.crowded).any()) for objects in truth]


def test_a_class_without_an_object_is_left_out():
    box = [10, 10, 20, 20]
    truth = [Objects([box], [1]), Objects([], [])]
    found = [Objects([box, box], [1, 2], [0.9, 0.8]), Objects([box], [0], [0.7])]
    score = Detection(truth, found, 4)
    assert score.values()["map"] == score.values()["recall"] == 1
    assert np.isnan(score.by_class()["map"]).tolist() == [True, False, True, True]
    # As one class, the two others are wrong, if less sure; of each image they count as wrong besides.
    assert score.values()["map_50_class_agnostic"] == 1
    assert score.per_row() == pytest.approx([2 / 3, 0])


def test_what_is_found_in_an_empty_image_is_wrong():
    box = [10, 10, 20, 20]
    truth = [Objects([box], [0]), Objects([], [])]
    for elsewhere, expected in ((0.4, 1.0), (0.6, 0.5)):
        found = [Objects([box], [0], [0.5]), Objects([box], [0], [elsewhere])]
        assert Detection(truth, found, 1).values()["map_50"] == expected


@settings(max_examples=30)
@scenes
def test_f1_of_each_image(images, classes, seed):
    truth, found = made_up(images, classes, seed, ties=True)
    score = Detection(truth, found, classes)
    for least in (-np.inf, 0.5):
        sure = [objects[objects.scores >= least] for objects in found]
        for row in range(images):
            every = [slow_matches([truth[row]], [sure[row]], category, 0.5) for category in range(classes)]
            outcomes = [outcome for each, _ in every for _, _, outcome in each if outcome != "passed over"]
            total = len(outcomes) + sum(objects for _, objects in every)
            expected = 2 * outcomes.count("right") / total if total else 1
            assert score.per_row(least)[row] == pytest.approx(expected, abs=1e-12)


@scenes
def test_overlap_and_suppression_equal_plain_loops(images, classes, seed):
    _, found = made_up(images, classes, seed, ties=True)
    for objects in found:
        iou = box_iou(objects.boxes, objects.boxes)
        expected = [[slow_iou(one, other) for other in objects.boxes] for one in objects.boxes]
        assert iou == pytest.approx(np.reshape(expected, iou.shape), abs=1e-12)
        for most in (0.0, 0.3, 0.7, 1.0):
            kept = []
            for one in sorted(range(len(objects)), key=lambda each: -objects.scores[each]):
                alike = [each for each in kept if objects.classes[each] == objects.classes[one]]
                if all(iou[each, one] <= most for each in alike):
                    kept.append(one)
            assert non_maximum_suppression(objects, most).tolist() == kept


def test_sizes_can_be_others():
    truth = [Objects([[0, 0, 8, 8], [20, 20, 16, 16]], [0, 0])]
    found = [Objects([[20, 20, 16, 16]], [0], [0.5])]
    scores = Detection(truth, found, 1, sizes={"8": (0, 100), "16": (100, 300), "32": (300, 2000)}).metrics()
    assert scores["map_8"] == 0 and scores["map_16"] == 1 and "map_32" not in scores


def test_thirds_are_by_the_objects_own_areas():
    boxes = [[0, 0, length, 1] for length in (2, 3, 3, 5, 7, 9, 9)]
    truth = [Objects(boxes, [0] * 7, crowd=[False] * 6 + [True])]
    sizes = thirds(truth)
    assert list(sizes) == ["up to 3 square pixels", "up to 7 square pixels", "over 7"]
    assert [scores["objects"] for scores in Detection(truth, found_again(truth), 1, sizes).by_size().values()] == [
        3,
        2,
        1,
    ]
    assert list(thirds([Objects(boxes[:1], [0])])) == ["all"]


def test_sizes_of_photographs_are_for_images_that_could_hold_a_large_object():
    assert sizes_in([(96, 96), (9, 20)]) == {}
    assert list(sizes_in([(9, 20), (97, 96)])) == ["small", "medium", "large"]


@scenes
def test_the_mean_alone_is_as_among_all(images, classes, seed):
    truth, found = made_up(images, classes, seed)
    score, weights = Detection(truth, found, classes), np.random.default_rng(seed).integers(0, 3, images)
    alone, among = (score.mean_average_precision(weights), score.values(weights)["map"])
    assert np.isclose(alone, among, atol=0, equal_nan=True)


def test_mistakes_are_told():
    there, box = Objects([[0, 0, 5, 5]], [0]), [[0, 0, 5, 5]]
    found = Objects(box, [0], [0.5])
    with pytest.raises(UserError, match="split is empty"):
        Detection([], [], 1)
    for nothing in (Objects([], []), Objects(box, [0], crowd=[True])):
        with pytest.raises(UserError, match="None of the 2 images to score has an object"):
            Detection([nothing] * 2, [found] * 2, 1)
    for flat in ([0, 0, 0, 5], [0, 0, 5, -1], [np.nan, 0, 5, 5]):
        with pytest.raises(UserError, match="Row 1 has a box without area"):
            Detection([there, Objects([flat], [0])], [found] * 2, 1)
    for broken in (Objects(box, [0], [np.nan]), Objects([[0, 0, np.inf, 1]], [0], [0.5])):
        with pytest.raises(UserError, match="diverged: what it found in row 1"):
            Detection([there] * 2, [found, broken], 1)
    for wrong in (Objects(box, [-1], [0.5]), Objects(box, [2], [0.5])):
        with pytest.raises(UserError, match=r"class -?\d in row 0 is none of the 2 classes \(0 to 1\)"):
            Detection([there], [wrong], 2)
    with pytest.raises(ValueError, match="with scores"):
        Detection([there], [there], 1)
