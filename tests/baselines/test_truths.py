"""model=constant and model=nearest: answers that the training split has already, for every task."""

import collections
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from llmimg.baselines import BASELINES
from llmimg.baselines.truths import nearest_images
from llmimg.carry_out import carry_out
from llmimg.data.placement import placement_of
from llmimg.errors import UserError
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo

INFO = DataInfo(
    label_names=("a", "b", "c"),
    classes={"objects": ("cat", "dog"), "mask": ("road", "car", "sky")},
    counts={"mask": (9, 5, 1)},
)
SCENES = (
    "data=scenes",
    "data.scenes.things=shapes",
    "data.scenes.canvas=16",
    "data.scenes.sizes=[6]",
    "data.scenes.most=2",
    "data.scenes.train=40",
    "data.scenes.validation=4",
    "data.scenes.test=9",
)


def fitted(name: str, task, rows: list[dict], images: np.ndarray | None = None, **options):
    images = np.zeros((len(rows), 2, 2, 1), np.uint8) if images is None else images
    return BASELINES[name](**options).fit(images, rows, task, 0)


def predicted(name: str, task, rows: list[dict], asked: list[dict]) -> list:
    return fitted(name, task, rows).predictions(np.zeros((len(asked), 2, 2, 1), np.uint8), asked)


def seen(objects: list[tuple[list[float], int, bool]] = (), mask=None, size=(10, 20)) -> dict:
    """A row to learn from, on what the model sees."""
    known = {"bbox": [each[0] for each in objects], "category": [each[1] for each in objects]}
    known["iscrowd"] = [each[2] for each in objects]
    return {"id": "s", "objects": known, "mask": mask, "size": size, "placement": None}


def asked(size, model, fit, mask=None) -> dict:
    """A row to score, on its own image, of which the model sees as much as the fit says."""
    return {"id": "t", "mask": mask, "size": size, "placement": placement_of(size, model, fit)}


def test_the_commonest_class_with_every_class_s_share():
    task = TASKS["classify"].with_settings(INFO)
    (one, other) = predicted("constant", task, [{"label": label} for label in (1, 0, 1, 1)], [{"label": 0}, {}])
    assert task.text(one) == task.text(other) == "b"
    np.testing.assert_allclose(np.exp(one.scores), [0.25, 0.75, 0], atol=1e-9)


def test_the_mean_box_of_each_class_where_the_model_saw_it():
    task = TASKS["detect"].with_settings(INFO)
    rows = [
        seen([([0, 0, 4, 2], 0, False), ([10, 5, 10, 5], 1, False)]),
        seen([([2, 2, 4, 4], 0, False), ([0, 0, 20, 10], 1, True)]),
    ]
    # The model sees 10 x 20; the image of 5 x 5 stands in its middle, twice as large, from x = 5 on.
    same, padded = predicted(
        "constant", task, rows, [asked((10, 20), (10, 20), "stretch"), asked((5, 5), (10, 20), "pad")]
    )
    assert task.as_json(same)["objects"] == [
        {"label": "cat", "box": [1.0, 1.0, 4.0, 3.0], "score": 1.0},
        {"label": "dog", "box": [10.0, 5.0, 10.0, 5.0], "score": 0.5},
    ]
    # What lies beside the image is cut; the cat, from x = 1 to 5, is wholly beside it.
    assert task.as_json(padded)["objects"] == [{"label": "dog", "box": [2.5, 2.5, 2.5, 2.5], "score": 0.5}]
    assert padded.degenerate == 1


def test_the_commonest_class_of_each_cell():
    task = TASKS["segment"].with_settings(INFO, grid=[2, 2])
    masks = [[[0, 1], [2, 255]], [[0, 1], [1, 255]], [[1, 0], [1, 255]]]
    rows = [seen(mask=np.array(mask, np.uint8).repeat(2, 0).repeat(2, 1), size=(4, 4)) for mask in masks]
    of = asked((4, 8), (4, 4), "crop", np.zeros((4, 8), np.uint8))
    (found,) = predicted("constant", task, rows, [of])
    assert found.full().tolist() == [[255, 255, 0, 0, 1, 1, 255, 255]] * 2 + [[255, 255, 1, 1, 255, 255, 255, 255]] * 2


def test_what_is_nearest_is_found_exactly_however_many_there_are():
    rng = np.random.default_rng(0)
    known = rng.integers(0, 256, (4500, 2, 1, 3), dtype=np.uint8)
    images = rng.integers(0, 256, (2100, 2, 1, 3), dtype=np.uint8)
    known[4000:4050] = known[:50]  # of equals the first
    images[:50] = known[4000:4050]
    few = rng.choice(len(images), 200, replace=False)
    apart = ((images[few, None].astype(int) - known[None]) ** 2).sum(axis=(2, 3, 4))
    found = nearest_images(images, known)
    assert found[few].tolist() == apart.argmin(axis=1).tolist()
    assert found[:50].tolist() == list(range(50))


@pytest.mark.parametrize("name", ["classify", "detect", "segment"])
def test_a_training_image_asked_again_has_its_own_answer(name):
    """… on the source's image, which is three times as wide and twice as high as what the model sees."""
    rng = np.random.default_rng(1)
    task = TASKS[name].with_settings(INFO)
    images = rng.integers(0, 256, (6, 4, 4, 1), dtype=np.uint8)
    boxes = [[*rng.integers(0, 2, 2), 1 + rng.integers(0, 2), 1 + rng.integers(0, 2)] for _ in images]
    masks = rng.integers(0, 3, (6, 4, 4), dtype=np.uint8)
    rows = [
        {**seen([(box, index % 2, False)], mask, (4, 4)), "label": index % 3}
        for index, (box, mask) in enumerate(zip(boxes, masks, strict=True))
    ]
    again = []
    for row in rows:
        larger = np.array(row["objects"]["bbox"]) * [3, 2, 3, 2]
        mask = row["mask"].repeat(2, 0).repeat(3, 1)
        objects = {**row["objects"], "bbox": larger.tolist()}
        again.append({**asked((8, 12), (4, 4), "stretch", mask), "objects": objects, "label": row["label"]})
    order = [3, 0, 5, 1, 2, 4]
    found = fitted("nearest", task, rows, images).predictions(images[order], [again[index] for index in order])
    scores = task.metrics(found, [again[index] for index in order], intervals=False)
    assert scores[task.measures[0].key] == 1.0


@pytest.fixture(scope="module")
def scenes(composed):
    """The folder of a run over a few scenes."""

    def carried(name: str, *overrides: str) -> Path:
        settings = composed(name, *overrides, base=SCENES)
        carry_out(settings)
        return Path(settings["run_dir"])

    return carried


def columns(folder) -> dict:
    return pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()


def test_runs_that_find_objects(scenes):
    constant, nearest = (scenes(f"detect {name}", "task=detect", f"model={name}") for name in ("constant", "nearest"))
    answers = columns(constant)["found_objects"]
    assert len(set(answers)) == 1 and len(json.loads(answers[0])) > 1
    assert len(set(columns(nearest)["found_objects"])) > 1
    for folder, said in ((constant, "the same answer"), (nearest, "Euclidean distance")):
        page = (folder / "report.html").read_text()
        assert said in page and "a baseline" in page and "scikit-learn is not kept" not in page
        assert (folder / "predictions" / "detections.json").is_file() and not (folder / "model").exists()


def test_runs_that_segment(scenes):
    constant, nearest = (scenes(f"segment {name}", "task=segment", f"model={name}") for name in ("constant", "nearest"))
    metrics = json.loads((constant / "metrics.json").read_text())
    assert metrics["test/pixel_accuracy"] > 0.5 and "test/unread_answers" not in metrics
    masks = [np.asarray(Image.open(file)).tobytes() for file in sorted((constant / "predictions").iterdir())]
    assert len(masks) == 9 and len(set(masks)) == 1
    shuffled = scenes("segment shuffled", "task=segment", "model=nearest", "data.images=shuffled")
    assert columns(nearest)["found_pixels"] != columns(shuffled)["found_pixels"]


def test_runs_that_tell_digits_apart(run):
    folder = run("constant", "model=constant", "model.options.train_images=20")
    table = columns(folder)
    assert set(table["prediction"]) == {table["prediction"][0]} and len(table["prediction"]) == 37
    assert len({tuple(row) for row in table["probabilities"]}) == 1
    shares = np.array(table["probabilities"][0])
    np.testing.assert_allclose(20 * shares, np.rint(20 * shares), atol=1e-6)
    hits = collections.Counter(table["label"])[table["prediction"][0]]
    assert json.loads((folder / "metrics.json").read_text())["test/accuracy"] == pytest.approx(hits / 37)
    assert "Fitted to 20 of 64 training images" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model=constant", "task=clm"), r"task=clm with readout=likelihood does not go with a model of the kind"),
        (("model=nearest", "task=mlm"), r"task=mlm with readout=masked does not go with a model of the kind"),
        (("model=knn", "task=detect", "data=scenes"), r"model=knn stands instead of readout=head, and does not go"),
        (("model=knn", "readout=score"), r"does not go with task=classify and readout=score: take model=constant or"),
        (("model=constant", "data.images=shuffled"), r"model=constant looks at no image, and data\.images=shuffled"),
        (("model=constant", "data.images=none"), r"model=constant looks at no image, and data\.images=none"),
        (("model=nearest", "data.images=none"), r"'nearest' sees nothing but pixels"),
        (("model=nearest", "model.architecture=neares"), r"no baseline 'neares': did you mean 'nearest'"),
        (("model=nearest", "model.options.train_images=0"), r"train_images=0 is out of range"),
    ],
)
def test_what_does_not_go_together_is_refused(run, overrides, message):
    with pytest.raises(UserError, match=message):
        run("refused", *overrides, "dry_run=true")


@pytest.mark.parametrize("model", ["constant", "nearest"])
@pytest.mark.parametrize(
    "experiment", ["scenes_answer", "scenes_caption", "scenes_detect", "scenes_labels", "scenes_segment"]
)
def test_a_preset_takes_a_blind_model_instead_of_its_own(run, experiment, model):
    """… by the same command: what it says of text and training is passed over."""
    few = ("data.train_samples=20", "data.val_samples=10", "data.test_samples=10")
    folder = run(f"{experiment}-{model}", f"experiment={experiment}", f"model={model}", *few, "data.scenes.train=40")
    assert "data.fresh makes no others" in (folder / "report.html").read_text()
