"""The numbers of runs that segment, once more by numpy from the masks that they wrote."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from llmimg.carry_out import carry_out
from llmimg.configuration import Configuration
from llmimg.data import load
from llmimg.data.rows import Rows

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = (
    "data=scenes",
    "data.scenes.things=shapes",
    "data.scenes.canvas=12",
    "data.scenes.sizes=[5]",
    "data.scenes.most=2",
    "data.scenes.train=32",
    "data.scenes.validation=8",
    "data.scenes.test=9",
    "task=segment",
    "task.grid=[6,4]",
    "textify=palette",
    "model.width=16",
    "trainer.max_steps=2",
    "trainer.disable_tqdm=true",
)
CLASSES = 5  # the ground, and four shapes


@pytest.fixture(scope="module", params=["rows", "runs"])
def finished(request, composed):
    """The folder of a run, and the rows of its test split."""
    settings = composed(request.param, f"task.format={request.param}", base=TINY)
    carry_out(settings)
    data = load(Configuration.of(settings).data, needs=("mask",))
    return Path(settings["run_dir"]), Rows(data.test, ("mask",), data.decoding).scored(np.arange(9))


def files_of(folder, rows):
    return [np.asarray(Image.open(folder / f"{row['id'].replace('/', '%2F')}.png")) for row in rows]


def test_the_masks_that_a_run_wrote_score_as_the_run_did(finished):
    folder, rows = finished
    masks = files_of(folder / "predictions", rows)
    assert [mask.shape for mask in masks] == [row["mask"].shape for row in rows] == [(12, 12)] * 9
    found, truth = (np.concatenate([mask.ravel() for mask in each]) for each in (masks, [row["mask"] for row in rows]))
    of_both = [
        ((truth == each) & (found == each)).sum() / ((truth == each) | (found == each)).sum()
        for each in range(CLASSES)
        if (truth == each).any() or (found == each).any()
    ]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test/mean_iou"] == pytest.approx(np.mean(of_both), abs=1e-12)
    assert metrics["test/pixel_accuracy"] == pytest.approx((truth == found).mean(), abs=1e-12)
    assert metrics["test/mean_iou_low"] <= metrics["test/mean_iou"] <= metrics["test/mean_iou_high"]


def test_answers_are_as_long_as_its_table_says(finished):
    folder, _ = finished
    metrics = json.loads((folder / "metrics.json").read_text())
    table = pyarrow.parquet.read_table(folder / "predictions.parquet").to_pylist()
    assert metrics["test/answer_pieces"] == pytest.approx(np.mean([row["pieces"] for row in table]), abs=1e-9)
    assert metrics["test/unread_answers"] == np.mean([row["problem"] is not None for row in table])
