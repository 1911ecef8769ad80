import json
import logging
import math
import re
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet
import pytest
import torch
import yaml
from safetensors.torch import load_file

from llmimg.carry_out import carry_out
from llmimg.errors import UserError
from tests.interruption import taken_away_at

pytestmark = pytest.mark.usefixtures("one_thread")

FILES = {
    "config.yaml",
    "environment.json",
    "metrics.json",
    "predictions.parquet",
    "report.html",
    "model",
    "checkpoints",
}
TRUNCATED = ("tokens.overflow=truncate", "tokens.max_length=34")


@pytest.fixture(scope="module")
def finished(composed) -> Path:
    """The folder of a finished run of four steps, with images moved about."""
    settings = composed("finished")
    carry_out(settings)
    return Path(settings["run_dir"])


@pytest.fixture
def spoken(caplog):
    """What is said meanwhile."""
    log = logging.getLogger("llmimg")
    log.addHandler(caplog.handler)
    yield lambda: "\n".join(record.getMessage() for record in caplog.records)
    log.removeHandler(caplog.handler)


def same_numbers(one: dict, other: dict) -> bool:
    """Whether all is equal but for what was measured of the machine."""
    clock = [key for key in one if key.startswith(("time/", "memory/")) or key.endswith("per_second")]
    return {**one, **dict.fromkeys(clock)} == {**other, **dict.fromkeys(clock)}


def same_weights(one: Path, other: Path) -> bool:
    left, right = (load_file(run / "model" / "model.safetensors") for run in (one, other))
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def history(run: Path) -> list[dict]:
    return json.loads((run / "record.json").read_text())["history"]


def test_the_numbers_of_a_run(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    expected = """test/accuracy test/loss val/accuracy val/loss data/tokens_per_image data/truncated_fraction
        data/truncated_images data/psnr_db time/prepare_seconds time/train_seconds train/images_per_second
        model/parameters model/trainable_parameters"""
    assert set(expected.split()) <= metrics.keys()
    assert all(math.isfinite(value) for value in metrics.values())
    assert metrics["data/tokens_per_image"] == 64
    assert metrics["data/truncated_images"] == metrics["data/truncated_fraction"] == 0
    assert (metrics["data/train_images"], metrics["data/val_images"], metrics["data/test_images"]) == (64, 32, 37)
    weights = load_file(finished / "model" / "model.safetensors")
    assert (
        metrics["model/parameters"] == metrics["model/trainable_parameters"] == sum(map(torch.numel, weights.values()))
    )


def test_the_folder_of_a_run(finished):
    assert {path.name for path in finished.iterdir()} >= FILES
    assert not [path for path in finished.rglob("*") if path.suffix == ".part"]
    last = max(finished.iterdir(), key=lambda path: path.stat().st_mtime_ns if path.is_file() else 0)
    assert last.name == "metrics.json"
    assert len(list((finished / "checkpoints").iterdir())) == 2  # save_total_limit


def test_the_configuration_in_the_folder_repeats_the_run(finished, composed):
    kept = yaml.safe_load((finished / "config.yaml").read_text())
    repeated = composed("repeated")
    carry_out({**kept, "run_dir": repeated["run_dir"], "tokens": repeated["tokens"]})
    one, other = (json.loads((Path(run) / "metrics.json").read_text()) for run in (finished, repeated["run_dir"]))
    assert same_numbers(one, other)
    assert same_weights(finished, Path(repeated["run_dir"]))


def test_predictions(finished):
    table = pyarrow.parquet.read_table(finished / "predictions.parquet").to_pandas()
    metrics = json.loads((finished / "metrics.json").read_text())
    probabilities = np.stack(table["probabilities"])
    assert probabilities.shape == (37, 10) and table["id"].is_unique
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert table["prediction"].tolist() == [str(index) for index in probabilities.argmax(axis=1)]
    assert (table["prediction"] == table["label"]).mean() == metrics["test/accuracy"]
    of_label = probabilities[np.arange(37), table["label"].astype(int)]
    np.testing.assert_allclose(np.exp(table["log_likelihood"]), of_label, rtol=1e-5)
    assert -table["log_likelihood"].mean() == pytest.approx(metrics["test/loss"], abs=1e-6)


def test_the_report_needs_nothing_else(finished):
    page = (finished / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!data:|#)[^"'\s>]+""", page)
    assert "<script src" not in page and "@import" not in page


def test_a_finished_run_is_not_run_again(finished, composed, spoken, monkeypatch):
    monkeypatch.setattr("llmimg.experiment.run_experiment", lambda *_: pytest.fail("it ran again"))
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    metrics = carry_out(composed("finished"))
    assert metrics == json.loads((finished / "metrics.json").read_text())
    assert "Finished before" in spoken() and f"{metrics['test/accuracy']:.1%}".replace("%", " %") in spoken()
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*")}


def test_another_configuration_is_refused_naming_what_differs(finished, composed):
    with pytest.raises(UserError, match=r"textify\.levels \(16 there, 8 here\).*run_dir=.*force=true"):
        carry_out(composed("finished", "textify.levels=8"))
    with pytest.raises(UserError, match=r"trainer\.adam_beta1 \(None there, 0\.5 here\)"):
        carry_out(composed("finished", "trainer.adam_beta1=0.5"))


def test_how_a_run_is_carried_out_is_no_difference(finished, composed, tmp_path):
    elsewhere = f"tokens.cache_dir={tmp_path}"
    assert carry_out(composed("finished", "tokens.num_proc=2", elsewhere, "launch.processes=2"))


def test_the_code_s_other_commit_is_told(finished, composed, spoken, monkeypatch):
    monkeypatch.setattr("llmimg.run_folder.git_commit", lambda: "another")
    carry_out(composed("finished"))
    assert "and is at another now." in spoken()


def test_force_starts_over(composed):
    settings = composed("forced")
    first = carry_out(settings)
    folder = Path(settings["run_dir"])
    (folder / "notes.txt").write_text("mine")
    second = carry_out(composed("forced", "force=true", "trainer.max_steps=3"))
    assert not same_numbers(first, second)
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"checkpoint-2", "checkpoint-3"}
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("whole", [True, False])
def test_an_unfinished_run_goes_on_to_the_same_end(composed, spoken, whole):
    # Two epochs of four steps and a bit, with all that draws at random: the order, the images' moves, dropout.
    about = ("trainer.max_steps=9", "trainer.save_steps=2", "model.dropout=0.1")
    straight, broken = (composed(f"{name} {whole}", *about) for name in ("straight", "broken"))
    expected = carry_out(straight)
    with taken_away_at(step=7):
        carry_out(broken)
    folder = Path(broken["run_dir"])
    assert not (folder / "metrics.json").exists()
    newest = folder / "checkpoints" / "checkpoint-6"
    if not whole:  # killed while it was being written
        weights = newest / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        (newest / "trainer_state.json").unlink()
    assert same_numbers(carry_out(broken), expected)
    assert f"Going on from {newest if whole else newest.with_name('checkpoint-4')}." in spoken()
    assert same_weights(Path(straight["run_dir"]), folder)
    assert [entry for entry in history(folder) if "loss" in entry] == [
        entry for entry in history(Path(straight["run_dir"])) if "loss" in entry
    ]


def test_a_run_that_was_killed_after_training_only_evaluates(finished, composed, monkeypatch):
    settings = composed("late")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("llmimg.report.results.render", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        carry_out(settings)
    metrics = carry_out(settings)
    expected = json.loads((finished / "metrics.json").read_text())
    assert same_numbers(metrics, expected)


def test_seeds_share_the_cache_and_differ(finished, composed, monkeypatch):
    monkeypatch.setattr(datasets.Dataset, "map", lambda *_, **__: pytest.fail("prepared again"))
    other = composed("other seed", "seed=1")
    carry_out(other)
    assert not same_weights(finished, Path(other["run_dir"]))


def test_a_dry_run_reads_and_writes_nothing(composed, spoken, tmp_path):
    settings = composed("dry", "dry_run=true", "data=folder", f"data.path={tmp_path / 'missing'}")
    assert carry_out(settings) == {}
    assert not Path(settings["run_dir"]).exists()
    assert settings["run_dir"] in spoken() and "max_steps: 4" in spoken()


def test_early_stopping_keeps_the_best_weights(composed):
    learning = ("trainer.max_steps=-1", "trainer.num_train_epochs=6", "trainer.learning_rate=0.0")
    settings = composed("early", *learning, "early_stopping.patience=2", "early_stopping.metric=loss")
    metrics = carry_out(settings)
    evaluations = [entry for entry in history(Path(settings["run_dir"])) if "eval_loss" in entry]
    assert len(evaluations) == 3  # the first is the best, and two more are no better
    assert metrics["val/loss"] == pytest.approx(evaluations[0]["eval_loss"], abs=1e-6)


@pytest.mark.parametrize(("task", "headline", "best"), [("classify", "accuracy", max), ("clm", "loss", min)])
def test_early_stopping_goes_by_the_headline_of_the_task(composed, task, headline, best):
    """… whichever way is better: too large steps make it worse soon, and the best weights are kept."""
    learning = ("trainer.eval_strategy=steps", "trainer.eval_steps=1", "trainer.learning_rate=1")
    settings = composed(f"early-{task}", f"task={task}", "textify.levels=4", *learning, "early_stopping.patience=2")
    metrics = carry_out(settings)
    scores = [entry[f"eval_{headline}"] for entry in history(Path(settings["run_dir"])) if "eval_loss" in entry]
    assert metrics[f"val/{headline}"] == pytest.approx(best(scores), abs=1e-6)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["early_stopping.metric=acuracy"], r"no early_stopping\.metric 'acuracy': did you mean 'accuracy'\?"),
        (
            ["task=clm", "early_stopping.metric=accuracy"],
            r"no early_stopping\.metric 'accuracy': known: bits_",
        ),
        (
            ["data=scenes", "task=detect", "early_stopping.metric=map_small"],
            r"no early_stopping\.metric 'map_small': (known|did you mean)",
        ),
        (["early_stopping.metric=unread_answers"], r"no early_stopping\.metric 'unread_answers': known: .*ece"),
        (
            ["objective=test/accuracy"],
            r"test/accuracy would choose by the test split.*objective=val/accuracy",
        ),
    ],
)
def test_what_no_run_can_be_told_the_best_by_is_said(composed, overrides, message):
    with pytest.raises(UserError, match=message):
        carry_out(composed("refused", *overrides))


def test_plain_gradient_descent(composed):
    assert carry_out(composed("sgd", "trainer.optim=sgd", "trainer.save_strategy=no"))


@pytest.mark.parametrize("model", ["bert_tiny", "llama_tiny"])
def test_other_models(composed, model):
    assert carry_out(composed(model, f"model={model}", "trainer.save_strategy=no"))["test/loss"] < 5


def test_evaluation_alone_gives_the_same_test_numbers(finished, composed):
    trained = json.loads((finished / "metrics.json").read_text())
    settings = composed("evaluated", "model=pretrained", f"model.path={finished}", "trainer.do_train=false")
    metrics = carry_out(settings)
    keys = [key for key in trained if key.startswith(("test/", "val/", "data/", "model/"))]
    assert {key: metrics[key] for key in keys} == {key: trained[key] for key in keys}
    assert not [key for key in metrics if key.startswith("train/")]
    assert (Path(settings["run_dir"]) / "predictions.parquet").read_bytes() == (
        finished / "predictions.parquet"
    ).read_bytes()


def test_text_that_is_truncated_is_counted(composed):
    metrics = carry_out(composed("truncated", *TRUNCATED, "trainer.save_strategy=no"))
    assert metrics["data/tokens_per_image"] == 64
    assert metrics["data/truncated_fraction"] == 0.5  # 32 of 64, <bos> and <eos> taking two of 34
    assert metrics["data/truncated_images"] == 64 + 32 + 37


def test_text_longer_than_the_context_is_an_error_with_the_numbers(composed):
    settings = composed("long", "tokens.max_length=34")
    with pytest.raises(UserError, match=r"64 of 64 images.*longest has 64 tokens and 2 around them, and 34 fit"):
        carry_out(settings)
    assert not Path(settings["run_dir"]).exists()


def test_profile(composed):
    settings = composed("profiled", "debug=profile", "trainer.max_steps=8", "profile=2", "data.train_samples=64")
    carry_out(settings)
    events = json.loads((Path(settings["run_dir"]) / "profile.json").read_text())["traceEvents"]
    steps = {event["name"] for event in events if event["name"].startswith("ProfilerStep")}
    assert steps == {"ProfilerStep#3", "ProfilerStep#4"}  # of one that waits, two that warm up, and two
    assert any(event["name"].startswith("aten::") for event in events)


@pytest.mark.slow
def test_one_batch_is_learned_by_heart(composed):
    splits = ("data.val_samples=32", "data.test_samples=37", "trainer.disable_tqdm=true")
    assert carry_out(composed("overfit", "debug=overfit", base=splits))["train/loss"] < 0.02


@pytest.mark.parametrize("model", ["gpt2_tiny", "resnet_tiny"])
def test_what_training_leaves_out_is_tested_all_the_same(run, model):
    """Batches of 30: training drops what is left of its 64 images, and evaluation none of its 37."""
    few = ("trainer.per_device_train_batch_size=30", "trainer.per_device_eval_batch_size=30")
    folder = run(f"dropping-{model}", f"model={model}", "trainer.dataloader_drop_last=true", *few)
    assert len(pyarrow.parquet.read_table(folder / "predictions.parquet")) == 37
    assert json.loads((folder / "metrics.json").read_text())["data/test_images"] == 37
