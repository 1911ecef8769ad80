"""Runs without text: baselines and image models, from the same command and splits, and the table of all."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from hydra import compose, initialize_config_dir
from transformers import AutoModelForImageClassification

from llmimg import Recogniser, UserError
from llmimg.baselines import BASELINES
from llmimg.carry_out import carry_out
from llmimg.cli import main
from llmimg.command_line import command_line
from llmimg.compose import resolve
from llmimg.models.image import make_image_model
from llmimg.models.settings import ModelSettings
from llmimg.readouts.head import label_config
from llmimg.readouts.pixel_head import PixelHead
from llmimg.report import compare as comparison
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.tokens.sample import Example

CONF = str(Path(__file__).parents[1] / "conf")
pytestmark = pytest.mark.usefixtures("one_thread")
BRIEF = ("trainer.max_steps=3", "trainer.eval_strategy=no", "trainer.save_strategy=no")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Carry out a small run on digits; its folder."""
    root = tmp_path_factory.mktemp("controls")

    def carried_out(name: str, *overrides: str) -> Path:
        folder = root / name
        few = ["data.train_samples=300", "data.test_samples=100"]
        ours = [*few, f"run_dir={folder}", f"tokens.cache_dir={root}/cache"]
        with initialize_config_dir(CONF, version_base="1.3"):
            carry_out(resolve(compose("config", command_line([*ours, *overrides]))))
        return folder

    return carried_out


@pytest.mark.parametrize("name", sorted(set(BASELINES.entries()) - {"constant"}))  # which sees nothing
def test_a_baseline_tells_digits_apart_and_does_so_again(name, run):
    small = {"gradient_boosting": ["model.options.rounds=20"], "sift_bow": ["model.options.words=32"]}.get(name, [])
    folder, again = run(name, f"model={name}", *small), run(f"{name} again", f"model={name}", *small)
    metrics, others = (json.loads((each / "metrics.json").read_text()) for each in (folder, again))
    assert metrics["test/accuracy"] > 0.75
    assert all(metrics[key] == others[key] for key in metrics if key.startswith(("test/", "val/")))
    predictions = pyarrow.parquet.read_table(folder / "predictions.parquet")
    right = np.mean([a == b for a, b in zip(predictions["label"], predictions["prediction"], strict=True)])
    assert right == pytest.approx(metrics["test/accuracy"])
    assert f"{100 * metrics['test/accuracy']:.1f} %" in (folder / "report.html").read_text()
    with pytest.raises(UserError, match="holds no recogniser"):
        Recogniser.load(folder)


@pytest.mark.parametrize("name", ["resnet_tiny", "vit_tiny"])
def test_image_models_go_through_the_trainer(name, run):
    folder = run(name, f"model={name}", *BRIEF, "trainer.logging_steps=1")
    metrics, record = (json.loads((folder / f"{each}.json").read_text()) for each in ("metrics", "record"))
    assert [entry["step"] for entry in record["history"] if "loss" in entry] == [1, 2, 3]
    model = AutoModelForImageClassification.from_pretrained(folder / "model")
    assert metrics["model/parameters"] == sum(weight.numel() for weight in model.parameters())
    table = pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()
    right = [row[int(label)] for row, label in zip(table["probabilities"], table["label"], strict=True)]
    assert metrics["test/loss"] == pytest.approx(-np.log(right).mean(), rel=1e-4)
    config = json.loads((folder / "model" / "config.json").read_text())
    assert config["id2label"] == {str(digit): str(digit) for digit in range(10)}


@pytest.mark.parametrize("patch", [2, 3, 5, 11])
def test_a_vit_sees_every_pixel(patch):
    """… also those beyond the last whole patch, in images of any size."""
    settings = ModelSettings(name="vit_tiny", kind="image", architecture="vit", options={"patch": patch}, width=16)
    task = TASKS["classify"].with_settings(DataInfo(("a", "b")))
    model = make_image_model(settings, (7, 9, 1), label_config(task)).eval()
    readout = PixelHead(task, model.config)
    images = np.zeros((64, 7, 9, 1), np.uint8)
    for index in range(1, 64):
        images[index].reshape(-1)[index - 1] = 255
    with torch.no_grad():
        logits = readout.outputs(model, readout.batch([Example(image, {}) for image in images])).numpy()
    assert (np.abs(logits[1:] - logits[0]).max(axis=1) > 0).all()


def test_the_nearest_images_vote():
    """Most of them decide, however near the others are; of equal counts the nearest one's."""
    labels = np.array([2, 0, 0, 1, 1])
    images = np.array([10, 40, 50, 100, 110], np.uint8).reshape(5, 1, 1, 1)
    asked = np.array([11, 90], np.uint8).reshape(2, 1, 1, 1)
    task, rows = TASKS["classify"].with_settings(DataInfo(("a", "b", "c"))), [{"label": label} for label in labels]
    fitted = {count: BASELINES["knn"](neighbors=count).fit(images, rows, task, 0) for count in (1, 3, 5)}
    answers = {
        count: np.array([answer.label for answer in each.predictions(asked, [{}] * len(asked))])
        for count, each in fitted.items()
    }
    assert answers[1].tolist() == [2, 1]
    assert answers[3].tolist() == [0, 1]  # 10 lies nearest, and is outvoted by 40 and 50
    assert answers[5].tolist() == [0, 1]  # two each: the class that has the nearest


def test_all_see_the_same_test_images(run):
    runs = [run("text", *BRIEF), run("svm", "model=rbf_svm"), run("vit", "model=vit_tiny", *BRIEF)]
    ids = [pyarrow.parquet.read_table(each / "predictions.parquet")["id"].to_pylist() for each in runs]
    assert ids[0] == ids[1] == ids[2]


def test_a_cap_on_training_images_and_what_is_not_used_are_noted(run):
    page = (run("cap", "model=knn", "model.options.train_images=50") / "report.html").read_text()
    assert "No language model, but a baseline, “knn”, gave the answers" in page and "read that text" not in page
    assert "Fitted to 50 of" in page and "augment is not used" in page


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model=rbf_svm", "launch.processes=2"), "model=rbf_svm is fitted in one process"),
        (("model=rbf_svm", "+model.options.Gamma=1"), r"no setting 'model\.options\.Gamma': did you mean 'gamma'"),
        (("model=knn", "model.options.train_images=0"), "train_images=0 is out of range"),
        (("model=knn", "model.options.neighbors=301"), "neighbors=301 is out of range: it takes 1 to 300"),
        (("model=logistic", "model.options.C=-1"), r"model\.options\.C=-1\.0 is out of range: it takes more than 0"),
        (("model=gpt2_tiny", "+model.options.depth=3"), "a language model has none"),
        (("model=vit_tiny", "model.options.patch=two"), r"'model\.options\.patch' cannot be 'two'"),
    ],
)
def test_what_does_not_fit_is_refused(overrides, message, run):
    with pytest.raises(UserError, match=message):
        run("refused", *overrides)


def test_a_table_of_what_is_there(run, capsys):
    folder = run("table/a/seed=0", *BRIEF).parents[1]
    run("table/a/seed=1", *BRIEF, "seed=1")
    run("table/b", *BRIEF, "textify=region_color", "textify.grid=2")
    run("table/c", "model=knn")
    main(["table", str(folder)])
    assert "digits.csv" in capsys.readouterr().out
    rows = {row["name"]: row for row in csv.DictReader((folder / "digits.csv").open())}
    assert set(rows) == {"gray", "region_color", "knn"}
    accuracies = [
        json.loads((folder / name / "metrics.json").read_text())["test/accuracy"] for name in ("a/seed=0", "a/seed=1")
    ]
    assert float(rows["gray"]["test_accuracy_mean"]) == pytest.approx(np.mean(accuracies), abs=1e-5)
    assert float(rows["gray"]["test_accuracy_std"]) == pytest.approx(np.std(accuracies, ddof=1), abs=1e-5)
    assert rows["gray"]["seeds"] == "2"
    assert rows["gray"]["tokens_per_image"] == "64"
    assert rows["region_color"]["tokens_per_image"] == "24"
    assert rows["region_color"]["pareto_front"] == "1"  # nothing is shorter
    assert rows["knn"]["tokens_per_image"] == rows["knn"]["psnr_db"] == ""
    page = (folder / "digits.html").read_text()
    assert "http" not in page.replace("http://www.w3.org", "").replace("http-equiv", "")
    assert page.count('class="example"') == 6  # three images by each of two textifiers


def test_a_folder_without_runs_is_no_table(tmp_path):
    with pytest.raises(UserError, match="holds no finished run"):
        comparison.compare(tmp_path)
