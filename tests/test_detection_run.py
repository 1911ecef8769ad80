"""A run that finds objects, from its command to its boxes in files."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from llmimg.carry_out import carry_out
from llmimg.cli import main
from llmimg.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = (
    "data=scenes",
    "data.scenes.canvas=12",
    "data.scenes.sizes=[5]",
    "data.scenes.most=2",
    "data.scenes.train=32",
    "data.scenes.validation=8",
    "data.scenes.test=9",
    "task=detect",
    "task.bins=12",
    "task.most=3",
    "task.order=random",
    "task.samples=2",
    "textify=palette",
    "model.width=16",
    "trainer.max_steps=2",
    "trainer.disable_tqdm=true",
)


@pytest.fixture(scope="module")
def finished(composed):
    settings = composed("detect", base=TINY)
    carry_out(settings)
    return Path(settings["run_dir"])


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / name for name in ("one.png", "other.png")]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
    return paths


@pytest.fixture
def predicted(finished, images, capsys):
    def predict(*given: object) -> list[dict]:
        main(["predict", str(finished), *map(str, images), *map(str, given)])
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return predict


def test_a_run_scores_and_keeps_its_boxes(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    assert {"test/map", "test/map_50", "test/map_50_low", "test/recall", "test/degenerate_boxes"} <= metrics.keys()
    assert 0 <= metrics["test/map"] <= 1 and metrics["test/unread_answers"] == 0
    table = pyarrow.parquet.read_table(finished / "predictions.parquet").to_pylist()
    assert len(table) == 9
    for row in table:
        found = json.loads(row["found_objects"])
        assert len(found) + row["degenerate_boxes"] <= 3
        for each in found:
            x, y, width, height = each["box"]
            assert 0 <= x < x + width <= 12 and 0 <= y < y + height <= 12 and 0 < each["score"] <= 1


def test_pycocotools_scores_what_a_run_wrote_as_the_run_did(finished):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(finished / "predictions/annotations.json"))
        found = json.loads((finished / "predictions/detections.json").read_text())
        stats = np.zeros(3)
        if found:  # it takes no empty list
            score = COCOeval(truth, truth.loadRes(found), "bbox")
            score.evaluate(), score.accumulate(), score.summarize()
            stats = score.stats[:3]
    metrics = json.loads((finished / "metrics.json").read_text())
    assert [metrics[f"test/{name}"] for name in ("map", "map_50", "map_75")] == pytest.approx(stats, abs=1e-9)


def test_boxes_are_printed_bounded_and_written(predicted, images, tmp_path):
    every = predicted()
    assert [line["image"] for line in every] == [str(path) for path in images]
    scores = sorted(each["score"] for line in every for each in line["objects"])
    middle = scores[len(scores) // 2] if scores else 0.5
    for line, bounded in zip(every, predicted(f"score={middle}", "most=1", f"out={tmp_path / 'out'}"), strict=True):
        surest = sorted(line["objects"], key=lambda each: -each["score"])
        assert len(bounded["objects"]) == min(1, len([each for each in surest if each["score"] >= middle]))
        assert all(each["score"] == surest[0]["score"] for each in bounded["objects"])
    written, drawn = sorted((tmp_path / "out").iterdir())
    again = predicted(f"score={middle}", "most=1")
    assert written.name == "detections.json" and drawn.name == "drawn"
    assert sorted(file.name for file in drawn.iterdir()) == ["one.png.png", "other.png.png"]
    for path in images:  # a drawing is enlarged, by a whole factor
        size = np.array(Image.open(drawn / f"{path.name}.png").size)
        assert (size % 12 == 0).all() and (size >= 12).all()
    assert [each["bbox"] for each in json.loads(written.read_text())] == [
        each["box"] for line in again for each in line["objects"]
    ]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("scor=1", "predict has no setting 'scor': did you mean 'score'?"),
        ("score=2", "score=2.0 is out of range: it takes 0 to 1."),
        ("most=0", "most=0 is out of range: it takes 1 or more objects, or null."),
        ("out={file}", "out={file} cannot be a folder, as {file} is a file: give another."),
        ("out={file}/in/it", "out={file}/in/it cannot be a folder, as {file} is a file: give another."),
    ],
)
def test_wrong_bounds_are_one_sentence(finished, images, given, sentence, capsys):
    with pytest.raises(SystemExit):
        main(["predict", str(finished), str(images[0]), given.format(file=images[1])])
    assert capsys.readouterr().err == f"llmimg: {sentence.format(file=images[1])}\n"


def test_rows_that_nothing_learns_from_are_not_refused(finished, composed):
    """A model that is only evaluated needs no room for the objects of training rows."""
    again = (f"model.path={finished}", "model=pretrained", "trainer.do_train=false", "task.most=1", "task.samples=1")
    settings = composed("evaluated", *again, base=TINY)
    assert carry_out(settings)["test/map"] >= 0
    with pytest.raises(UserError, match=r"training images have more objects than task\.most=1"):
        carry_out(composed("learning", *again[:2], *again[3:], base=TINY))
