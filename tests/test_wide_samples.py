"""Images of more than 8 bits a sample, along every path of a run: what counts as white is the same in all of them."""

import json

import numpy as np
import pytest
from PIL import Image

from llmimg import Recogniser
from llmimg.errors import UserError
from llmimg.show.image import ShowSettings, show
from llmimg.show.run import show_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of 20 images, int32 up to 1,000."""
    root = tmp_path_factory.mktemp("wide")
    for name, value in (("dark", 200), ("light", 1000)):
        (root / name).mkdir()
        for number in range(20):
            samples = np.full((4, 4), value - number, np.int32)
            Image.fromarray(samples).save(root / name / f"{number}.tif")
    return root


def settings(folder):
    return (
        "data=folder",
        f"data.path={folder}",
        "textify=gray",
        "augment=none",
        "data.train_samples=null",
        "data.val_samples=null",
        "data.test_samples=null",
    )


@pytest.fixture(scope="module")
def finished(run, folder):
    return run("wide", *settings(folder))


def test_a_run_says_what_counts_as_white(finished):
    notes = json.loads((finished / "record.json").read_text())["notes"]
    assert any("1,023 counts as white (10 bits)" in note for note in notes)


def test_its_recogniser_goes_on_with_it(finished, folder):
    recogniser = Recogniser.load(finished)
    samples = np.arange(0, 1024, 64, np.int64).reshape(4, 4)
    eight = (samples >> 2).astype(np.uint8)
    assert recogniser([samples]) == recogniser([eight]) != recogniser([samples.astype(np.uint8)])
    with pytest.raises(UserError, match="number 1 cannot be read: its samples go up to 1,024, beyond 1,023"):
        recogniser([samples, samples + 64])
    assert "1,023 of its samples counts as white" in show_run(str(finished), str(folder / "light/0.tif"), {})


def test_one_of_before_took_the_high_byte_of_16_bits(finished):
    said = finished / "model" / "recogniser.json"
    described = json.loads(said.read_text())
    whole = said.read_text()
    del described["decoding"]["white"]
    try:
        said.write_text(json.dumps(described))
        recogniser = Recogniser.load(finished)
    finally:
        said.write_text(whole)
    samples = np.full((4, 4), 32_768, np.uint16)
    assert recogniser([samples]) == recogniser([np.full((4, 4), 128, np.uint8)])


def test_a_baseline_sees_the_same_pixels(run, folder):
    done = run("wide-baseline", *settings(folder), "model=knn")
    assert any("1,023 counts as white" in note for note in json.loads((done / "record.json").read_text())["notes"])


def test_one_image_alone_goes_by_its_own_samples(tmp_path):
    Image.fromarray(np.full((4, 4), 4000, np.uint16)).save(tmp_path / "a.png")
    shown = show(str(tmp_path / "a.png"), ShowSettings({"name": "gray", "levels": 256}))
    assert shown.startswith("250 250 ")
    assert "4,095 of its samples counts as white" in shown
    Image.fromarray(np.full((4, 4), 3, np.uint16)).save(tmp_path / "b.png")
    with pytest.raises(UserError, match=r"b\.png cannot be read: the largest of its samples is 3"):
        show(str(tmp_path / "b.png"), ShowSettings({"name": "gray", "levels": 256}))
