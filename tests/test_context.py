"""How much room texts get: ends that are coded, augmented texts, and what is longer than all."""

import json

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from llmimg import Recogniser

pytestmark = pytest.mark.usefixtures("one_thread")

RUNS = ("textify=gray", "textify.levels=8", "textify.longest_run=16")
SHIFTED = ("augment=shift", "augment.shift=2", "augment.fill=black")


def counted(folder) -> tuple[np.ndarray, np.ndarray]:
    """Of each test image: tokens of its text, and tokens whose probability was counted."""
    table = pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()
    return np.array(table["tokens"]), np.array(table["counted"])


def test_the_end_of_a_text_of_varying_length_is_part_of_its_probability(run, small_tokenizer):
    """… also with a tokenizer that frames nothing: where a text stops is part of what it says."""
    reused = ("task=clm", "vocabulary=reuse", f"model.tokenizer={small_tokenizer}")
    tokens, all_counted = counted(run("varying", *RUNS, *reused))
    assert len(set(tokens)) > 1
    assert (all_counted == tokens + 1).all()
    tokens, all_counted = counted(run("fixed", "textify=gray", "textify.levels=8", *reused))
    assert (all_counted == tokens).all()  # nothing is told by the end of a text that always ends there


@pytest.fixture(scope="module")
def even(tmp_path_factory) -> str:
    """A folder of images of one gray each, whose text is short, and longer where a black edge comes in."""
    folder = tmp_path_factory.mktemp("even")
    for label, low in (("dark", 40), ("light", 180)):
        (folder / label).mkdir()
        for place in range(20):
            Image.fromarray(np.full((8, 8), low + place, np.uint8)).save(folder / label / f"{place}.png")
    return f"data.path={folder}"


def shifted(run, name: str, even: str, *overrides: str):
    small = ("data.train_samples=null", "data.val_samples=null", "data.test_samples=null")
    return run(name, "data=folder", even, *small, *RUNS, *SHIFTED, *overrides)


def test_augmented_texts_never_end_a_run(run, even):
    """A context as long as the longest text of the images as they are has no room for those that shifts lengthen."""
    folder = shifted(run, "shifted", even)
    context = json.loads((folder / "model" / "recogniser.json").read_text())["layout"]["context"]
    assert context > 2 * np.array(pyarrow.parquet.read_table(folder / "predictions.parquet")["tokens"]).max()
    assert "were cut in training" not in (folder / "report.html").read_text()


def test_augmented_texts_that_do_not_fit_are_cut_and_counted(run, even):
    """Where the context is given, training goes on, and the report says so."""
    folder = shifted(run, "cut", even, "tokens.max_length=12")
    assert "texts longer than the 10 tokens" in (folder / "report.html").read_text()
    assert np.isfinite(json.loads((folder / "metrics.json").read_text())["test/loss"])
    assert len(Recogniser.load(folder)(np.zeros((2, 8, 8, 1), np.uint8))) == 2
