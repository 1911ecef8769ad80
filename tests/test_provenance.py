"""Which data a run stands for, from outside: finished and unfinished runs, and what splits share."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image
from safetensors.numpy import load_file

from llmimg.carry_out import carry_out
from llmimg.data.decoding import decode
from llmimg.data.identity import pixel_hash
from llmimg.errors import UserError

WAYS = {
    "text": ("trainer.max_steps=1", "model.width=16", "model.layers=1", "textify=gray"),
    "baseline": ("model=knn",),
}


def image(seed: int, level: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 60, (4, 4)).astype(np.uint8) + np.uint8(level))


@pytest.fixture
def root(tmp_path) -> Path:
    """Class folders with a training and a test split; one test image is a training image, saved in another format."""
    for number, (name, level) in enumerate((("dark", 0), ("light", 180))):
        for split, count in (("train", 10), ("test", 4)):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                image(1000 * number + 100 * (split == "test") + index, level).save(folder / f"{index}.png")
    Image.open(tmp_path / "data/train/dark/0.png").save(tmp_path / "data/test/dark/copy.bmp")
    Image.open(tmp_path / "data/train/dark/0.png").save(tmp_path / "data/test/light/copy.bmp")
    return tmp_path / "data"


@pytest.fixture
def settings(root, composed):
    """Of a run on these images."""

    def of(way: str, name: str, *overrides: str):
        common = ("data=folder", f"data.path={root}", "data.test_split=test", "data.validation_split=carve")
        ends = ("trainer.disable_tqdm=true", "trainer.eval_strategy=no", "trainer.save_strategy=no")
        return composed(f"{root.parent.name}-{name}", *common, *ends, *WAYS[way], *overrides, base=())

    return of


@pytest.mark.parametrize("way", WAYS)
def test_what_a_run_leaves_of_its_data(settings, root, way):
    wanted = settings(way, way)
    carry_out(wanted)
    run = Path(wanted["run_dir"])
    data = json.loads((run / "data.json").read_text())
    assert data["splits"]["test"]["classes"] == {"dark": 5, "light": 5}
    assert {name: split["rows"] for name, split in data["splits"].items()} == {"train": 18, "validation": 2, "test": 10}
    table = pyarrow.parquet.read_table(run / "predictions.parquet")
    for name, pixels in zip(table["id"].to_pylist(), table["pixels"].to_pylist(), strict=True):
        assert pixels == pixel_hash(decode(root / name))
    assert json.loads(table.field("probabilities").metadata[b"classes"]) == ["dark", "light"]
    assert json.loads(table.schema.metadata[b"classes"]) == ["dark", "light"]
    notes = json.loads((run / "record.json").read_text())["notes"]
    assert [note for note in notes if "2 of 10 test images are also among the " in note and "1 of them with" in note]
    assert "1 of 10" not in " ".join(notes)
    if way == "text":
        assert json.loads((run / "model" / "recogniser.json").read_text())["data"] == data


@pytest.mark.parametrize("way", WAYS)
def test_a_finished_run_is_held_against_its_data(settings, root, way, caplog, monkeypatch):
    wanted = settings(way, way)
    metrics = carry_out(wanted)
    kept = shutil.copytree(root, root.with_name("kept"))
    assert carry_out(wanted) == metrics

    for file in (root / "train/dark").iterdir():  # another format, the same pixels and names
        Image.open(file).save(file, compress_level=0)
    assert carry_out(wanted) == metrics

    swapped = root / "train/swap"
    (root / "train/dark").rename(swapped)
    (root / "train/light").rename(root / "train/dark")
    swapped.rename(root / "train/light")
    with pytest.raises(UserError, match=r"finished run of other data: the train split has other images.*force=true"):
        carry_out(wanted)

    shutil.rmtree(root)
    shutil.copytree(kept, root)
    assert carry_out(wanted) == metrics
    (root / "train/another").mkdir()
    image(7, 90).save(root / "train/another/0.png")
    image(8, 90).save(root / "train/another/1.png")
    with pytest.raises(UserError, match=r"finished run of other data: .*'another' is new, has"):
        carry_out(wanted)

    shutil.rmtree(root)
    caplog.clear()
    monkeypatch.setattr(logging.getLogger("llmimg"), "propagate", True)
    monkeypatch.setattr("llmimg.carry_out.set_up_log", lambda: None)
    assert carry_out(wanted) == metrics  # what cannot be checked is said, and the result is shown
    said = caplog.text
    assert "can no longer be read, so that they were not checked" in said and "Finished before" in said


def test_an_unfinished_run_of_other_data_is_refused(settings, root):
    wanted = settings("baseline", "unfinished")
    carry_out(wanted)
    (Path(wanted["run_dir"]) / "metrics.json").unlink()
    image(9, 0).save(root / "train/dark/0.png")
    with pytest.raises(UserError, match=r"unfinished run of other data: the train split.*force=true"):
        carry_out(wanted)
    carry_out({**wanted, "force": True})


def test_overlap_is_left_out_or_refused(settings, root):
    with pytest.raises(UserError, match=r"2 of 10 test images are also among the .*data\.overlap=drop"):
        carry_out(settings("baseline", "error", "data.overlap=error"))
    wanted = settings("baseline", "drop", "data.overlap=drop", "data.split_seed=1")
    carry_out(wanted)
    run = Path(wanted["run_dir"])
    splits = json.loads((run / "data.json").read_text())["splits"]
    assert splits["test"]["rows"] == 10 and splits["train"]["rows"] + splits["validation"]["rows"] == 19
    notes = " ".join(json.loads((run / "record.json").read_text())["notes"])
    assert "left out (data.overlap=drop)" in notes and "also among" not in notes
    assert carry_out(wanted)  # finished before


def test_test_images_that_the_model_began_with_are_counted(settings, root):
    first = settings("text", "first", "data.split_seed=0")
    carry_out(first)
    carved = ("data.test_split=carve", f"model.path={first['run_dir']}", "model=pretrained", "data.split_seed=0")
    second = settings("text", "second", *carved)
    carry_out(second)
    run = Path(second["run_dir"])
    notes = json.loads((run / "record.json").read_text())["notes"]
    learned = _learned(Path(first["run_dir"]))
    seen = sum(
        each in learned for each in pyarrow.parquet.read_table(run / "predictions.parquet")["pixels"].to_pylist()
    )
    assert seen and any(f"{seen} of 4 test images are also among those that the model in" in note for note in notes)
    assert learned <= _learned(run)


def test_weights_that_a_run_began_from_may_not_change(settings):
    first = settings("text", "before")
    carry_out(first)
    more = ("model=pretrained", f"model.path={first['run_dir']}", "trainer.save_strategy=steps", "trainer.save_steps=1")
    second = settings("text", "after", *more)
    carry_out(second)
    carry_out({**first, "seed": 1, "force": True})
    with pytest.raises(UserError, match=r"finished run that began from other weights than .*force=true"):
        carry_out(second)
    run = Path(second["run_dir"])
    (run / "metrics.json").unlink()
    with pytest.raises(UserError, match=r"the weights that training began from, are not those of .*force=true"):
        carry_out(second)
    carry_out({**second, "force": True})


def test_images_in_another_size_than_a_run_had_are_told(settings):
    first = settings("text", "sized", "data.size=4")
    carry_out(first)
    more = ("model=pretrained", f"model.path={first['run_dir']}", "trainer.do_train=false", "data.size=[5,4]")
    second = settings("text", "resized", *more, "data.fit=pad", "tokens.overflow=truncate")
    carry_out(second)
    notes = json.loads((Path(second["run_dir"]) / "record.json").read_text())["notes"]
    assert any("had data.size=(4, 4) (stretch), and this one has (5, 4) (pad)" in note for note in notes)


def _learned(run: Path) -> set[str]:
    return {bytes(each).hex() for each in load_file(run / "model" / "training_images.safetensors")["pixels"]}


def test_plain_text_is_data_too(settings, root, gpt2_folder):
    text = root.parent / "text.txt"
    text.write_text("one two three four five six seven eight nine ten\n" * 40)
    parts = f"+task.parts={{images:{{task:{{name:clm}}}},notes:{{task:{{name:text,files:{text}}}}}}}"
    learned = ("task=mixture", parts, "vocabulary=reuse", f"vocabulary.path={gpt2_folder}")
    wanted = settings("text", "plain", *learned)
    carry_out(wanted)
    assert carry_out(wanted)
    text.write_text("one two three four five six seven eight nine TEN\n" * 40)
    with pytest.raises(UserError, match="finished run of other data: the text"):
        carry_out(wanted)
