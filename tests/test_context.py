"""How much room texts get: ends that are coded, augmented texts, and what is longer than all."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from llmimg import Recogniser, UserError
from llmimg.solvers.context import framed
from llmimg.tokens.layout import Frame

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
        for index in range(20):
            Image.fromarray(np.full((8, 8), low + index, np.uint8)).save(folder / label / f"{index}.png")
    return f"data.path={folder}"


def shifted(run, name: str, even: str, *overrides: str):
    small = ("data.train_samples=null", "data.val_samples=null", "data.test_samples=null")
    return run(name, "data=folder", even, *small, *RUNS, *SHIFTED, *overrides)


def test_augmented_texts_never_end_a_run(run, even):
    """A context as long as the longest text of the images as they are has no room for those that shifts lengthen."""
    folder = shifted(run, "shifted", even)
    context = json.loads((folder / "model" / "recogniser.json").read_text())["layout"]["context"]
    assert context > 2 * np.array(pyarrow.parquet.read_table(folder / "predictions.parquet")["tokens"]).max()
    assert "were truncated in training" not in (folder / "report.html").read_text()


def test_augmented_texts_that_do_not_fit_are_cut_and_counted(run, even):
    """Where the context is given, training goes on, and the report says so."""
    folder = shifted(run, "truncated", even, "tokens.max_length=12")
    assert "texts longer than the 10 tokens" in (folder / "report.html").read_text()
    table = pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()
    images = [f"{even.removeprefix('data.path=')}/{name}" for name in table["id"]]
    given = Recogniser.load(folder)(images)
    assert [each["label"] for each in given] == table["prediction"]


def test_test_images_with_longer_texts_than_any_of_training_have_room(run, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    for split in ("train", "test"):
        for label in ("a", "b"):
            (tmp_path / split / label).mkdir(parents=True)
            for index, image in enumerate(noise):
                pixels = image if split == "test" else np.full_like(image, index)
                Image.fromarray(pixels).save(tmp_path / split / label / f"{index}.png")
    small = ("data.train_samples=null", "data.val_samples=null", "data.test_samples=null")
    folder = run("longer", "data=folder", f"data.path={tmp_path}", *small, *RUNS)
    tokens = pyarrow.parquet.read_table(folder / "predictions.parquet")["tokens"].to_pylist()
    assert max(tokens) > 40 and json.loads((folder / "metrics.json").read_text())["data/truncated_images"] == 0


def test_blocks_of_images_of_several_sizes_are_refused(run, tmp_path):
    """… also where the first images have one size: rectangles would be hidden elsewhere in the others."""
    for label, size in (("first", (4, 4)), ("second", (2, 8))):
        (tmp_path / label).mkdir()
        for index in range(40):
            Image.fromarray(np.full(size, 5 * index, np.uint8)).save(tmp_path / label / f"{index}.png")
    small = ("data.train_samples=null", "data.val_samples=null", "data.test_samples=null")
    with pytest.raises(UserError, match=r"task\.mask=block hides rectangles"):
        how = ("task=mlm", "task.mask=block", "model=bert_tiny", "textify=gray")
        run("blocks", "data=folder", f"data.path={tmp_path}", *small, *how)


@pytest.mark.parametrize(
    ("ids", "lengths", "expected"),
    [
        ({"eos": 7}, [3, 3], Frame((7,), ())),
        ({"eos": 7}, [3, 4], Frame((7,), (7,))),
        ({"bos": 5, "eos": 7}, [3, 4], Frame((7,), (7,))),
        ({"bos": 5}, [3, 3], Frame((5,), ())),
        ({"sep": 6}, [3, 4], Frame((6,), (6,))),
        ({}, [3, 3], "no token that may stand in front of a text"),
        ({"bos": 5}, [3, 4], r"differ in length \(3 to 4 tokens\), and the tokenizer has no token that ends one"),
    ],
)
def test_what_a_tokenizer_has_no_token_for_is_said(ids, lengths, expected):
    tokens = SimpleNamespace(**{f"{name}_token_id": ids.get(name) for name in ("bos", "eos", "sep", "cls")})
    vocabulary = SimpleNamespace(framing=([], []), tokenizer=tokens)
    if isinstance(expected, Frame):
        assert framed(vocabulary, True, np.array(lengths)) == expected
        assert framed(vocabulary, False, np.array(lengths)) == Frame((), ())
    else:
        with pytest.raises(UserError, match=expected):
            framed(vocabulary, True, np.array(lengths))
