"""Several processes: they meet on a CPU as they would on GPUs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[1]
TINY = (
    "data.train_samples=64",
    "data.val_samples=32",
    "data.test_samples=37",  # an odd number: two processes cannot share it evenly
    "trainer.max_steps=4",
    "model.width=16",
)
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")

pytestmark = pytest.mark.slow


def run_py(*words: str, by: tuple[str, ...] = (), cwd: Path = ROOT) -> str:
    """What run.py says on standard output; it must end well."""
    ended = subprocess.run(
        [sys.executable, *by, str(ROOT / "run.py"), *words],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def words(root) -> tuple[str, ...]:
    return (*TINY, f"tokens.cache_dir={root / 'cache'}")


@pytest.fixture(scope="module")
def trained(root, words) -> tuple[Path, str]:
    """A run trained by two processes, and what they said."""
    return root / "two", run_py(*words, f"run_dir={root / 'two'}", by=TWO)


def metrics(run: Path) -> dict[str, float]:
    return json.loads((run / "metrics.json").read_text())


def test_two_processes_train_one_run(trained, root):
    run, said = trained
    assert said.count("Test accuracy") == 1 and said.count("Report: ") == 1  # one of them speaks
    assert json.loads((run / "environment.json").read_text())["processes"] == 2
    assert {"config.yaml", "metrics.json", "predictions.parquet", "report.html", "run.log"} <= {
        path.name for path in run.iterdir()
    }
    assert (run / "run.log").read_text().count("digits has no test split") == 1
    assert metrics(run)["data/test_images"] == 37
    steps = [entry["step"] for entry in json.loads((run / "record.json").read_text())["history"] if "loss" in entry]
    assert steps == [1, 2, 3, 4]


def test_they_prepare_once(trained, root):
    assert len(list((root / "cache").glob("*/about.json"))) == 3
    assert not list((root / "cache").glob("*.writing"))


def test_evaluation_counts_every_image_once_whatever_the_number_of_processes(trained, root, words):
    run, _ = trained
    evaluate = (*words, "model=pretrained", f"model.path={run}", "trainer.do_train=false")
    run_py(*evaluate, f"run_dir={root / 'by one'}")
    run_py(*evaluate, f"run_dir={root / 'by two'}", by=TWO)
    one, two = (metrics(root / name) for name in ("by one", "by two"))
    assert one["test/accuracy"] == two["test/accuracy"] == metrics(run)["test/accuracy"]
    assert one["val/accuracy"] == two["val/accuracy"]
    assert one["test/loss"] == pytest.approx(two["test/loss"], abs=1e-6)
    assert one["test/loss"] == pytest.approx(metrics(run)["test/loss"], abs=1e-6)
    tables = [pyarrow.parquet.read_table(root / name / "predictions.parquet") for name in ("by one", "by two", "two")]
    assert [len(table) for table in tables] == [37, 37, 37]
    for column in ("id", "label", "prediction"):
        assert tables[0][column] == tables[1][column] == tables[2][column]


def test_a_finished_run_is_recognised_by_both(trained, words):
    run, _ = trained
    written = (run / "metrics.json").stat().st_mtime_ns
    said = run_py(*words, f"run_dir={run}", by=TWO)
    assert said.count("Finished before") == 1
    assert (run / "metrics.json").stat().st_mtime_ns == written


def test_launch_starts_the_processes_itself(trained, root, words):
    run, _ = trained
    launched = root / "launched"
    said = run_py(*words, f"run_dir={launched}", "launch=accelerate", "launch.processes=2")
    assert "Test accuracy" in said
    assert json.loads((launched / "environment.json").read_text())["processes"] == 2
    assert not list(root.glob("*.launch.yaml"))
    left, right = (load_file(each / "model" / "model.safetensors") for each in (run, launched))
    assert all((left[name] == right[name]).all() for name in left)


def test_a_sweep_makes_a_folder_for_each_choice_and_skips_what_is_finished(tmp_path, words):
    sweep = ("-m", *words, "textify=gray,rgb", "seed=0,1", "trainer.max_steps=2")
    run_py(*sweep, cwd=tmp_path)
    runs = sorted((tmp_path / "runs").rglob("metrics.json"))
    assert len(runs) == 4
    assert sorted(run.parent.name for run in runs) == ["seed=0", "seed=0", "seed=1", "seed=1"]
    assert len({run.parent.parent for run in runs}) == 2
    assert sum("textify=rgb" in str(run) for run in runs) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}
    written = [run.stat().st_mtime_ns for run in runs]
    assert run_py(*sweep, cwd=tmp_path).count("Finished before") == 4
    assert written == [run.stat().st_mtime_ns for run in runs]


def test_another_number_of_processes_goes_on_with_steps_of_as_many_examples(trained, root, words):
    run, _ = trained
    cut = shutil.copytree(run, root / "cut")
    (cut / "metrics.json").unlink()
    shutil.rmtree(cut / "checkpoints" / "checkpoint-4")
    run_py(*words, f"run_dir={cut}")
    log = (cut / "run.log").read_text()
    assert "2 processes trained until step 3, and 1 from there on, with steps of the same 32 examples" in log
    left, right = (load_file(each / "model" / "model.safetensors") for each in (run, cut))
    for name in left:  # nothing is drawn at random in a step, and sums differ in their order alone
        assert torch.allclose(left[name], right[name], atol=1e-5), name
    # … and back, after training had ended.
    (cut / "metrics.json").unlink()
    run_py(*words, f"run_dir={cut}", by=TWO)
    assert metrics(cut)["test/loss"] == pytest.approx(metrics(run)["test/loss"], abs=1e-5)


def test_statistics_of_batches_are_the_same_in_all_processes(root, words):
    """… when they are evaluated: those that are saved."""
    convolutions = (*words, "model=resnet_tiny", "model.width=4", "ema=0.5")
    run_py(*convolutions, f"run_dir={root / 'resnet'}", by=TWO)
    assert "BEWARE" not in (root / "resnet" / "record.json").read_text()
