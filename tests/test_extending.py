"""docs/extending.md, word by word: the files that it gives are put into a clone, and used as it says."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
TINY = (
    "data=scenes",
    "data.scenes.canvas=12",
    "data.scenes.sizes=[5]",
    "data.scenes.most=2",
    "data.scenes.train=32",
    "data.scenes.validation=8",
    "data.scenes.test=9",
    "trainer.max_steps=3",
    "trainer.disable_tqdm=true",
    "model.width=16",
    "run_dir=finished",
)


def files() -> dict[str, str]:
    """Path → text of each block of code whose sentence says where to put it."""
    prose, *blocks = re.split(r"^```", (ROOT / "docs/extending.md").read_text(), flags=re.MULTILINE)
    found = {}
    for code, after in zip(blocks[::2], blocks[1::2], strict=True):
        named = re.search(r"into\s`((?:llmimg|conf)/[\w/]+\.(?:py|yaml))`", prose.strip().rpartition("\n\n")[2])
        if named:
            found[named[1]] = code.partition("\n")[2]
        prose = after
    return found


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clone")
    for name in ("llmimg", "conf"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "run.py", folder)
    for name, code in files().items():
        assert not (folder / name).exists()
        (folder / name).write_text(code)
    return folder


def python(clone: Path, *words: str) -> str:
    there = {**os.environ, "PYTHONPATH": "", "LLMIMG_CACHE": str(clone / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], cwd=clone, env=there, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_gives_one_file_and_one_yaml_each():
    assert sorted(files()) == [
        "conf/task/count.yaml",
        "conf/textify/column.yaml",
        "llmimg/tasks/count.py",
        "llmimg/textify/column.py",
    ]


def test_a_task_and_a_textifier_of_the_page_are_run_reported_on_and_asked(clone):
    said = python(clone, "run.py", *TINY, "task=count", "textify=column")
    assert "Test exact count" in said
    run = clone / "finished"
    metrics = json.loads((run / "metrics.json").read_text())
    rows = pyarrow.parquet.read_table(run / "predictions.parquet").to_pylist()
    assert metrics["data/tokens_per_image"] == 12
    assert metrics["test/exact_count_low"] <= metrics["test/exact_count"] <= metrics["test/exact_count_high"]
    assert metrics["test/exact_count"] == np.mean([row["truth"] == row["prediction"] for row in rows])
    assert len(rows) == 9 and {row["truth"] for row in rows} <= {"1", "2"}
    assert all(int(row["prediction"]) in range(11) for row in rows)
    assert "Test exact count" in (run / "report.html").read_text()

    Image.fromarray(np.zeros((12, 12, 3), np.uint8)).save(clone / "photo.png")
    answer = json.loads(python(clone, "-m", "llmimg", "predict", "finished", "photo.png"))
    assert answer["image"] == "photo.png" and answer["prediction"] in range(11)
