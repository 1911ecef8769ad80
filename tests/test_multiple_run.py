"""Runs that find several labels an image, from their command to what a recogniser says; and rare classes."""

import json
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet
import pytest
from sklearn.metrics import average_precision_score

from llmimg import Recogniser
from llmimg.carry_out import carry_out
from llmimg.cli import main
from llmimg.data import SceneSettings
from llmimg.data.png import png_files
from llmimg.data.scenes.make import make_scenes

pytestmark = pytest.mark.usefixtures("one_thread")

SCENES = ("data=scenes", "data.scenes.canvas=8", "data.scenes.sizes=[5]", "data.scenes.least=0", "data.scenes.most=1")
SCENES += ("data.scenes.train=32", "data.scenes.validation=8", "data.scenes.test=16")
TINY = (*SCENES, "task.multiple=true", "textify=palette", "model.width=16", "trainer.disable_tqdm=true")
TINY += ("trainer.max_steps=4",)
NAMES = ("circle", "square", "triangle", "cross")
WAYS = {
    "head": ("task.class_weights=balanced", "augment.mixup=0.5", "data.fresh=true"),
    "words": ("readout=generate", "task.image_loss=0.3", "task.shots=2"),
}


@pytest.fixture(scope="module")
def finished(composed):
    """The folder of a run of each way, carried out when it is asked for."""
    found = {}

    def run(way: str) -> Path:
        if way not in found:
            settings = composed(way, *WAYS[way], base=TINY)
            carry_out(settings)
            found[way] = Path(settings["run_dir"])
        return found[way]

    return run


@pytest.mark.parametrize("way", WAYS)
def test_a_run_is_scored_as_its_predictions_are(finished, way):
    metrics = json.loads((finished(way) / "metrics.json").read_text())
    table = pyarrow.parquet.read_table(finished(way) / "predictions.parquet").to_pylist()
    probabilities = np.array([row["probabilities"] for row in table])
    truth = np.array([np.isin(range(4), row["labels"]) for row in table])
    known = truth.any(axis=0)
    found = average_precision_score(truth[:, known], probabilities[:, known], average=None)
    assert metrics["test/map"] == pytest.approx(np.mean(found))
    right = np.mean([row["truth"] == row["prediction"] for row in table])
    assert metrics["test/exact_match"] == pytest.approx(right)
    assert any(not row["labels"] and row["truth"] == "nothing" for row in table)
    assert {"val/map", "test/f1_micro_low", "test/f1_macro", "test/loss"} <= metrics.keys()
    assert ("test/unread_answers" in metrics) == (way == "words")


@pytest.mark.parametrize("way", WAYS)
def test_what_was_saved_says_what_the_run_did(finished, way, tmp_path, capsys):
    settings = SceneSettings(canvas=8, sizes=[5], least=0, most=1)
    scenes = make_scenes(settings, "test", 0, np.arange(16))
    table = pyarrow.parquet.read_table(finished(way) / "predictions.parquet").to_pylist()
    said = Recogniser.load(finished(way))(scenes.images)
    for each, row in zip(said, table, strict=True):
        assert (", ".join(each["labels"]) or "nothing") == row["prediction"]
        known = NAMES if way == "head" else each["labels"]
        assert list(each["probabilities"]) == list(known)
        for name in known:
            expected = row["probabilities"][NAMES.index(name)]
            assert each["probabilities"][name] == pytest.approx(expected, abs=1e-4)
    file = tmp_path / "one.png"
    file.write_bytes(png_files(scenes.images[:1])[0])
    main(["predict", str(finished(way)), str(file)])
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert line.pop("image") == str(file) and line["labels"] == said[0]["labels"]


@pytest.mark.parametrize("model", ["constant", "nearest"])
def test_what_a_model_is_held_against(composed, model):
    metrics = carry_out(composed(model, f"model={model}", base=(*SCENES, "task.multiple=true")))
    table = pyarrow.parquet.read_table(Path(composed(model)["run_dir"]) / "predictions.parquet").to_pylist()
    truth = np.array([np.isin(range(4), row["labels"]) for row in table])
    share = truth.mean(axis=0)
    if model == "constant":  # a ranking of equals finds each class as often as it is there
        assert metrics["test/map"] == pytest.approx(share[share > 0].mean())
    assert 0 < metrics["test/map"] <= 1


def test_an_image_model_learns_them_too(composed):
    metrics = carry_out(composed("pixels", "model=vit_tiny", "trainer.num_train_epochs=1", base=TINY[:-3]))
    assert 0 < metrics["test/map"] <= 1 and metrics["test/loss"] > 0


def test_a_class_s_weight_changes_what_is_learned(composed):
    """Of scenes of one thing, their label."""
    base = tuple(each for each in TINY if each != "task.multiple=true")
    losses = [
        carry_out(composed(f"weights-{weights}", f"task.class_weights={weights}", base=base))["test/loss"]
        for weights in ("none", "balanced")
    ]
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.05)


def test_single_labels_are_lists_of_one(composed):
    base = ("task.multiple=true", "data.train_samples=40", "data.val_samples=20", "data.test_samples=30")
    metrics = carry_out(composed("digits", "model=nearest", base=base))
    assert metrics["test/exact_match"] == metrics["test/f1_micro"] > 0.5


@pytest.mark.parametrize(
    ("train", "test", "sentence"),
    [
        (
            [["a"], ["b", "a"]],
            [[], []],
            "No image of the test split has a label, so that nothing can be found in them:",
        ),
        ([["a"], ["b", "a"]], [["b"], ["c"]], "A label of row 1 of the test split is 'c', which is no known class"),
        ([[], []], [[], []], "task.multiple=true needs labels, and these data have none"),
    ],
)
def test_what_cannot_be_learned_or_scored_is_said_before_anything_is(refused, tmp_path, train, test, sentence):
    features = datasets.Features({"image": datasets.Image(), "tags": datasets.List(datasets.Value("string"))})
    for split, tags in (("train", train), ("validation", train), ("test", test)):
        pictures = [np.full((4, 4), index, np.uint8) for index in range(len(tags))]
        rows = datasets.Dataset.from_dict({"image": pictures, "tags": tags}, features=features)
        rows.to_parquet(str(tmp_path / "set" / f"{split}-00000-of-00001.parquet"))
    said = refused("data=hub", f"data.path={tmp_path / 'set'}", "task.multiple=true")
    assert said.startswith(sentence)
