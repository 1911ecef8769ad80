import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from llmimg import Recogniser
from llmimg.carry_out import carry_out
from llmimg.cli import main
from llmimg.command_line import command_line
from llmimg.compose import resolve

pytestmark = pytest.mark.usefixtures("one_thread")

CONF = str(Path(__file__).parents[1] / "conf")
TINY = (
    "data.train_samples=64",
    "data.val_samples=32",
    "data.test_samples=37",
    "trainer.max_steps=2",
    "trainer.disable_tqdm=true",
    "model.width=16",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The folder of a finished run; its cache lies beside it."""
    root = tmp_path_factory.mktemp("runs")
    overrides = command_line([*TINY, f"run_dir='{root / 'seed=0'}'", f"tokens.cache_dir={root / 'cache'}"])
    with initialize_config_dir(CONF, version_base="1.3"):
        resolved = resolve(compose("config", overrides))
    carry_out(resolved)
    return root / "seed=0"


@pytest.fixture
def digit(tmp_path) -> Path:
    path = tmp_path / "a=digit.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
    return path


@pytest.fixture
def said(capsys):
    """Runs the command line; returns its status, and what it said on either stream."""

    def run(*words: object) -> tuple[int, str, str]:
        try:
            main([str(word) for word in words])
            status = 0
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return run


def test_predict_prints_one_json_line_an_image(run, digit, said):
    status, out, _ = said("predict", run, digit, digit)
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 0 and len(lines) == 2 and lines[0] == lines[1]
    (answer,) = Recogniser.load(run)(np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1))
    assert lines[0]["image"] == str(digit) and lines[0]["label"] == answer["label"]
    assert lines[0]["probabilities"] == pytest.approx(answer["probabilities"], abs=1e-6)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("score=0.3", "score= bounds nothing that task=classify answers: leave it out."),
        ("out=somewhere", "task=classify has no format of files of its own: leave out out=."),
    ],
)
def test_what_a_task_has_not_is_refused(run, digit, said, given, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = said("predict", run, digit, given)
    assert (status, out, err) == (1, "", f"llmimg: {sentence}\n")
    assert [each.name for each in tmp_path.iterdir()] == [digit.name]


def test_a_finished_run_s_configuration_is_not_run_again(run, said):
    written = (run / "metrics.json").stat().st_mtime_ns
    assert said("run", run / "config.yaml")[0] == 0
    assert (run / "metrics.json").stat().st_mtime_ns == written


def test_a_run_is_repeated_from_its_configuration(run, said, tmp_path):
    assert said("run", run / "config.yaml", f"run_dir={tmp_path / 'again'}")[0] == 0
    one, other = (pyarrow.parquet.read_table(each / "predictions.parquet") for each in (run, tmp_path / "again"))
    assert one.equals(other)


def test_report_makes_the_page_again(run, said):
    page = run / "report.html"
    before = page.read_text()
    page.unlink()
    status, out, _ = said("report", run)
    assert (status, out.strip()) == (0, str(page))
    assert page.read_text() == before


def test_the_cache_is_listed_and_pruned(run, said):
    where = f"cache_dir={run.parent / 'cache'}"
    _, out, _ = said("cache", "list", where)
    *entries, last = out.splitlines()
    assert len(entries) == 3 and str(run.parent / "cache") in last
    assert {line.split()[-3] for line in entries} == {"train", "validation", "test"}
    assert all("digits" in line and "gray" in line and "own" in line for line in entries)
    assert said("cache", "prune", "days=1", where)[1].startswith("removed 0 ")
    assert said("cache", "prune", where)[1].startswith("removed 3 ")
    assert len(said("cache", "list", where)[1].splitlines()) == 1


def test_show(digit, said):
    status, out, _ = said("show", digit, "textify=gray", "textify.levels=256")
    assert status == 0
    assert out.startswith("0 1 2 3 4 ") and "64 tokens" in out and "8 × 8 pixels, gray" in out
    assert "PSNR 100.0 dB" in out


def test_help(said):
    for words in ((), ("--help",), ("help",)):
        status, out, _ = said(*words)
        assert status == 0 and "python -m llmimg predict RUN" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("predct",), "There is no command 'predct': did you mean 'predict'"),
        (("predict", "."), "predict takes a run and images"),
        (("predict", ".", "missing.png"), "There is no image missing.png"),
        (("predict", ".", __file__, "size=3"), "predict has no setting 'size': known: "),
        (("predict", ".", __file__), "holds no recogniser"),
        (("report", "."), "is no folder of a finished run"),
        (("run", "missing.yaml"), "run takes the config.yaml of a run"),
        (("run", __file__), "is no configuration"),
        (("cache",), "cache takes list or prune"),
        (("cache", "list", "dys=3"), "cache has no setting 'dys': did you mean 'days'"),
        (("cache", "prune", "days=many"), "days=many is no number"),
        (("show",), "show takes one image"),
        (("show", "missing.png"), "The image missing.png cannot be read"),
        (("show", "missing.png", "textify=grey"), "There is no textifier 'grey': did you mean 'gray'"),
        (("show", "missing.png", "--all", "full=true"), "show --all shows how each text begins: leave out full=."),
        (("show", "missing.png", "fitt=pad"), "There is no setting 'fitt': did you mean 'fit'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_mistakes_are_one_sentence_and_status_1(said, words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = said(*words)
    assert (status, out) == (1, "")
    assert err.startswith("llmimg: ") and sentence in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_how_a_configuration_is_carried_out_may_be_said(run, said, tmp_path):
    status, _, _ = said("run", run / "config.yaml", f"run_dir={tmp_path / 'new'}", "force=true", "dry_run=true")
    assert status == 0 and not (tmp_path / "new").exists()
    assert "run has no setting 'seed'" in said("run", run / "config.yaml", "seed=1")[2]
