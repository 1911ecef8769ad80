"""Several tasks in one run, from data to a recogniser that answers all of them."""

import json

import numpy as np
import pyarrow.parquet
import pytest

from llmimg import Recogniser
from llmimg.cli import main
from llmimg.errors import UserError
from tests.conftest import TINY_SCENES

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = (
    *TINY_SCENES,
    "task=mixture",
    "trainer.max_steps=4",
    "trainer.eval_strategy=steps",
    "trainer.eval_steps=2",
    "trainer.save_steps=2",
)


def part(name: str, **settings) -> str:
    return f"+task.parts.{name}=" + json.dumps(settings).replace('"', "").replace(" ", "")


def test_one_model_detects_answers_and_classifies_images_of_its_own(run, picture, capsys):
    boxes = part("boxes", task={"name": "detect", "most": 8})
    questions = part("questions", task={"name": "answer"}, weight=2)
    own = {"name": "digits", "source": "digits", "size": 32, "train_samples": 40, "test_samples": 20}
    digits = part("digits", task={"name": "classify"}, data=own)
    drawn = part("drawn", task={"name": "imagine"})
    folder = run(
        "all",
        *SMALL,
        digits,
        boxes,
        questions,
        drawn,
        "data.size=32",
        "data.fresh=true",
        "task.image_loss=0.3",
        "early_stopping.patience=3",
        "early_stopping.metric=boxes/map_50",
    )
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {"test/boxes/map", "test/questions/exact_match", "test/digits/accuracy", "test/drawn/bits_per_dim"} <= set(
        metrics
    )
    bounded = ("boxes/map", "questions/exact_match", "digits/accuracy")
    assert metrics["test/mean"] == pytest.approx(np.mean([metrics[f"test/{key}"] for key in bounded]))
    assert {"boxes", "questions", "digits", "drawn", "train", "test", "digits/test"} & set(
        json.loads((folder / "data.json").read_text())["splits"]
    ) == {"train", "test", "digits/test"}
    table = pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()
    assert table["part"].count("boxes") == table["part"].count("drawn") == 8
    assert table["part"].count("digits") == 20
    assert "boxes: " in (folder / "report.html").read_text()

    recogniser = Recogniser.load(folder)
    assert "objects" in recogniser([str(picture)], task="boxes")[0]
    answer = recogniser([str(picture)], task="questions", question="how many shapes are there?")[0]
    assert recogniser([str(picture)], task="digits")[0]["label"] in map(str, range(10))
    assert recogniser(task="drawn", label=["circle"])[0].shape == (32, 32, 3)
    capsys.readouterr()
    main(["predict", str(folder), str(picture), "task=questions", "question=how many shapes are there?"])
    assert json.loads(capsys.readouterr().out)["answer"] == answer["answer"]
    with pytest.raises(UserError, match="has several tasks: say which by task=digits, boxes, questions, drawn"):
        recogniser([str(picture)])
    with pytest.raises(UserError, match="did you mean 'boxes'"):
        recogniser([str(picture)], task="boxs")

    # Another run may begin from it.
    small = [each for each in SMALL if not each.startswith(("task=", "trainer.max_steps"))]
    again = run("again", "data.size=32", *small, "task=detect", "task.most=8", "model=pretrained",
                f"model.path={folder}", "trainer.max_steps=1")  # fmt: skip
    assert "test/map" in json.loads((again / "metrics.json").read_text())
