"""Cold preparation of all of CIFAR-10 on disk: ours beside two plain `datasets.map` calls, from the same loaded splits.

Images are PNG files in Arrow; out come GPT-2's tokens of `region_color`, grid 4, in Arrow. That `load_dataset` once
turns Parquet into Arrow is outside for both.
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from benchmarks.inputs import cifar10, encoder, gpt2_tokenizer
from benchmarks.listing import region_color_text
from benchmarks.settings import Settings
from benchmarks.timing import compare, in_turns
from llmimg.errors import UserError
from llmimg.tokens.cache import prepare

_TARGET = 6


def measure(settings: Settings) -> dict[str, Any]:
    """Seconds of both ways and their ratio. Every round starts without any file of an earlier one.

    Raises:
        UserError: where the ids of the two ways differ.
    """
    splits, tokenizer = cifar10(settings), gpt2_tokenizer(settings)
    with tempfile.TemporaryDirectory() as parent:
        folders = {side: Path(parent, side) for side in ("ours", "plain")}
        sides = {
            "ours": lambda: ours(splits, tokenizer, fresh(folders["ours"]), settings.num_proc),
            "plain": lambda: plain(splits, tokenizer, fresh(folders["plain"]), settings.num_proc),
        }
        # Untimed, on a few images: imports, and the first touch of code on either side.
        few = {name: split.select(range(min(64, len(split)))) for name, split in splits.items()}
        for way, folder in ((ours, folders["ours"]), (plain, folders["plain"])):
            way(few, tokenizer, fresh(folder), 1)
        times = in_turns(sides, settings.rounds or 3)
        _check_equal(folders)
    images = sum(map(len, splits.values()))
    return compare(times, "plain", images) | {"num_proc": settings.num_proc, "ids_equal": True, "target": _TARGET}


def fresh(folder: Path) -> Path:
    """That folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def ours(
    splits: Mapping[str, datasets.Dataset], tokenizer: PreTrainedTokenizerFast, folder: Path, num_proc: int
) -> None:
    """The proof of the table, then the cache: one subfolder a split."""
    encode = encoder(tokenizer)
    for name, split in splits.items():
        prepare(split, encode, name, folder=folder / name, about={}, num_proc=num_proc)


def plain(
    splits: Mapping[str, datasets.Dataset], tokenizer: PreTrainedTokenizerFast, folder: Path, num_proc: int
) -> None:
    """Text row by row through the `Image` feature, then the fast tokenizer in batches: one subfolder a split."""
    processes = num_proc if num_proc > 1 else None
    for name, split in splits.items():
        (folder / name).mkdir()
        images = split.select_columns(["image"]).cast_column("image", datasets.Image())
        texts = images.map(
            lambda row: {"text": region_color_text(np.asarray(row["image"]))},
            remove_columns=["image"],
            num_proc=processes,
            cache_file_name=str(folder / name / "text.arrow"),
        )
        texts.map(
            lambda rows: {"image_ids": tokenizer(rows["text"])["input_ids"]},
            batched=True,
            remove_columns=["text"],
            num_proc=processes,
            cache_file_name=str(folder / name / "ids.arrow"),
        )


def _check_equal(folders: Mapping[str, Path]) -> None:
    for split in ("train", "test"):
        our, their = (_ids(folder / split) for folder in (folders["ours"], folders["plain"]))
        if not all(np.array_equal(one, other) for one, other in zip(our, their, strict=True)):
            raise UserError(f"The token ids of the {split} split differ: times of different work mean nothing.")


def _ids(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of all images, flat, and the lengths of the images' own, from whatever `ids*.arrow` files are there."""
    files = sorted(folder.rglob("ids*.arrow"))
    lists = [
        chunk for file in files for chunk in pa.ipc.open_stream(pa.memory_map(str(file))).read_all()["image_ids"].chunks
    ]
    values = np.concatenate([chunk.flatten().to_numpy().astype(np.int64) for chunk in lists])
    return values, np.concatenate([chunk.value_lengths().to_numpy() for chunk in lists])
