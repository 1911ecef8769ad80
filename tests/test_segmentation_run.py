"""A run that segments, from its command to its masks in files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from llmimg.carry_out import carry_out
from llmimg.cli import main

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = (
    "data=scenes", "data.scenes.canvas=12", "data.size=12", "data.scenes.sizes=[5]", "data.scenes.most=2",
    "data.scenes.train=32", "data.scenes.validation=4", "data.scenes.test=5", "textify=palette",
    "task=segment", "task.grid=[3,4]", "task.format=runs",
    "model.width=16", "trainer.max_steps=2", "trainer.disable_tqdm=true",
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(composed):
    settings = composed("segment", base=TINY)
    carry_out(settings)
    return Path(settings["run_dir"])


@pytest.fixture
def images(tmp_path):
    """Two of one name, of a size that the model does not see."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / folder / "a.png" for folder in ("one", "other")]
    for path in paths:
        path.parent.mkdir()
        Image.fromarray(rng.integers(0, 256, (24, 18, 3), dtype=np.uint8)).save(path)
    return paths


def test_masks_and_drawings_are_written(finished, images, tmp_path, capsys):
    out = tmp_path / "out"
    for _ in range(2):  # files of the same names are replaced
        main(["predict", str(finished), *map(str, images), f"out={out}"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["image"] for line in lines] == [str(path) for path in images] * 2
    names = sorted(f"{str(path).replace('/', '%2F')}.png" for path in images)
    assert sorted(path.name for path in out.iterdir()) == [*names, "drawn"]
    assert sorted(path.name for path in (out / "drawn").iterdir()) == names
    for name in names:
        mask = np.asarray(Image.open(out / name))
        assert mask.shape == (24, 18) and mask.dtype == np.uint8
        assert (mask.reshape(3, 8, 18) == mask.reshape(3, 8, 18)[:, :1]).all()  # three rows of cells
        assert Image.open(out / "drawn" / name).mode == "RGB"


def test_what_bounds_boxes_bounds_no_mask(finished, images, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["predict", str(finished), str(images[0]), "score=0.3", f"out={tmp_path / 'out'}"])
    assert capsys.readouterr().err == "llmimg: score= bounds nothing that task=segment answers: leave it out.\n"
    assert not (tmp_path / "out").exists()
