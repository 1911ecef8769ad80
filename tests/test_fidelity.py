"""How much of the images their text holds: of all of them, and only as far as it is read."""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from llmimg.textify import make

pytestmark = pytest.mark.usefixtures("one_thread")

EASY = ("data=folder", "data.train_samples=null", "data.val_samples=null", "data.test_samples=null")


def numbers(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def page(folder: Path) -> str:
    return (folder / "report.html").read_text()


def psnr(images: np.ndarray, others: np.ndarray) -> float:
    return 10 * math.log10(255**2 / ((images.astype(float) - others) ** 2).mean())


@pytest.fixture(scope="module")
def sorted_by_class(tmp_path_factory) -> tuple[Path, np.ndarray]:
    """Test images sorted by class: 520 whose text loses nothing, then 180 of noise; and all of them."""
    root, draw = tmp_path_factory.mktemp("sorted"), np.random.default_rng(0)
    images = []
    for split, counts in (("train", (20, 20)), ("test", (520, 180))):
        for label, count in zip(("black", "noise"), counts, strict=True):
            (root / split / label).mkdir(parents=True)
            for index in range(count):
                pixels = draw.integers(0, 256, (4, 4), np.uint8) * np.uint8(label == "noise")
                Image.fromarray(pixels).save(root / split / label / f"{index:03}.png")
                images += [pixels] if split == "test" else []
    return root, np.stack(images)[..., None]


def test_fidelity_is_that_of_all_classes(run, sorted_by_class):
    """Of the first images alone it would be perfect."""
    folder, images = sorted_by_class
    metrics = numbers(run("sorted", *EASY, f"data.path={folder}", "textify=palette", "textify.colors=basic"))
    textifier = make("palette", colors="basic")
    expected = psnr(images, textifier.read(textifier.write(images), 4, 4))
    assert metrics["data/psnr_db"] == pytest.approx(expected, abs=0.6)
    assert metrics["data/fidelity_images"] == 500


def test_what_was_not_read_is_lost(run):
    """A quarter of the text of 64 pixels without loss: the rest of the image is not known."""
    exact = ("textify=gray", "textify.levels=256")
    folder = run("quarter", "task=clm", *exact, "tokens.max_length=18", "tokens.overflow=truncate")
    metrics, table = numbers(folder), pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()
    images = digits(table["id"])
    half_read = images.copy()
    half_read.reshape(len(images), -1)[:, 16:] = 0
    assert metrics["data/psnr_db"] == pytest.approx(psnr(images, half_read))
    assert metrics["data/lost_bits_per_dim"] > 1.5
    bits = -np.mean(table["log_likelihood"]) / math.log(2) / 64
    assert metrics["test/bits_per_dim"] == pytest.approx(bits + metrics["data/lost_bits_per_dim"])
    assert "what was not read counts as lost" in page(folder)


def test_the_order_that_was_lost_costs_bits(run):
    """Another order for each image says which values there are, and not where."""
    folder = run("scattered", "task=clm", "textify=gray", "textify.levels=256", "tokens.permute=each")
    metrics, table = numbers(folder), pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()
    expected = []
    for image in digits(table["id"]):
        ways = math.factorial(64)
        # The first piece has no space in front, and is a token of its own.
        for count in np.unique(image.ravel()[1:], return_counts=True)[1]:
            ways //= math.factorial(count)
        expected.append(math.log2(ways) / 64)
    assert metrics["data/lost_bits_per_dim"] == pytest.approx(np.mean(expected))
    assert "data/psnr_db" not in metrics and "order is lost" in page(folder)
    fixed = numbers(run("another", "task=clm", "textify=gray", "textify.levels=256", "tokens.permute=fixed"))
    assert fixed["data/lost_bits_per_dim"] == 0 and fixed["data/psnr_db"] == 100


def test_what_cannot_be_said_is_left_out_and_said(run):
    folder = run("no-way-back", "task=clm", "textify=sift")
    assert "test/bits_per_dim" not in numbers(folder) and "Bits a dimension cannot be said" in page(folder)
    folder = run("resized", "data.size=4")
    assert "measured against images of 4 × 4 pixels" in page(folder)


def digits(ids: list[str]) -> np.ndarray:
    from sklearn.datasets import load_digits

    return (load_digits().images[list(map(int, ids))] * 255 / 16).round().astype(np.uint8)


def test_bits_a_dimension_are_of_all_pixels_whatever_the_sizes(run, tmp_path):
    """Bits by pixels of all test images, though they differ in size."""
    draw = np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 12)):
        for label, shape in (("small", (3, 5)), ("wide", (4, 9))):
            (tmp_path / split / label).mkdir(parents=True)
            for index in range(count):
                pixels = draw.integers(0, 256, shape, np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / label / f"{index}.png")
    folder = run("odd", "task=clm", *EASY, f"data.path={tmp_path}", "textify=gray", "textify.levels=256")
    table = pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()
    bits = -sum(table["log_likelihood"]) / math.log(2)
    assert numbers(folder)["test/bits_per_dim"] == pytest.approx(bits / (12 * 15 + 12 * 36))


def test_broken_images_are_not_counted(run, tmp_path):
    """Half of the training images cannot be read: they cost nothing, and were not prepared."""
    draw = np.random.default_rng(0)
    for split in ("train", "test"):
        for label in ("a", "b"):
            (tmp_path / split / label).mkdir(parents=True)
            for index in range(20):
                file = tmp_path / split / label / f"{index}.png"
                Image.fromarray(draw.integers(0, 256, (4, 4), np.uint8)).save(file)
                if split == "train" and index % 2:
                    file.write_bytes(b"no image")
    folder = run("broken", *EASY, f"data.path={tmp_path}", "data.broken=skip", "textify=gray", "textify.levels=2")
    metrics = numbers(folder)
    assert metrics["data/bits_per_image"] == pytest.approx(16 * metrics["data/bits_per_token"])
    assert metrics["data/tokens_per_image"] == 16
