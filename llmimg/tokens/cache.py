"""The Arrow cache: `datasets.map` with processes, under a key of our own."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from llmimg.data import Decoding
from llmimg.data.broken import refuse_broken
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.folders import keep
from llmimg.tokens.keys import cache_key, hashed
from llmimg.tokens.store import ImageIds, read_tables

_BATCH = 1000
_ROWS_A_PROCESS = 20_000


def prepare(
    dataset: datasets.Dataset,
    encoder: Encoder,
    split: str,
    *,
    folder: Path,
    about: Mapping[str, Any],
    num_proc: int | None = None,
    skip_broken: bool = False,
) -> ImageIds:
    """The image ids of a split, from the cache, or written there first; anew where an image that was broken no longer
    is.

    Args:
        dataset: columns `image` (undecoded) and `id`.
        folder: `cache_folder(…)`.
        about: what `cache list` says of it.
        num_proc: processes; None chooses by the number of images and cores.
        skip_broken: whether broken images are noted (`ImageIds.problems`), or an error.

    Raises:
        UserError: a broken image, a full disk, or a folder that cannot be written.
    """
    path = folder / cache_key(dataset, encoder, split)
    columns = {"image_ids": datasets.List(datasets.Value(encoder.vocabulary.lookup.dtype.name))}

    def write(work: Path) -> list[int]:
        given = {"encoder": encoder.for_workers(), "skip_broken": skip_broken}
        map_images(dataset, _encode_rows, given, columns, work, num_proc, f"writing {split} images as text")
        return list(ImageIds.open(sorted(work.glob("*.arrow"))).problems)

    kept = keep(
        path,
        write,
        {**about, "split": split, "rows": len(dataset)},
        lambda kept: mended(dataset, encoder.decoding, kept["broken"]),
    )
    ids = ImageIds.open(sorted(path.glob("*.arrow")), kept["seconds"])
    if not skip_broken:
        refuse_broken(ids.problems)
    return ids


def prepare_hashes(
    dataset: datasets.Dataset,
    decoding: Decoding,
    split: str,
    *,
    folder: Path,
    about: Mapping[str, Any],
    num_proc: int | None = None,
    skip_broken: bool = False,
) -> tuple[str | None, ...]:
    """The hash of each image's pixels (`llmimg.data.identity`), where nothing else is made of the images; arguments and
    errors as of `prepare`."""
    path = folder / hashed(source=dataset._fingerprint, decoding=dataclasses.asdict(decoding), hashes="pixels")

    def write(work: Path) -> list[int]:
        given = {"decoding": decoding, "skip_broken": skip_broken}
        map_images(dataset, _hash_rows, given, {}, work, num_proc, f"reading {split} images")
        return [row for row, pixels in enumerate(_hashes(work)) if pixels is None]

    about = {**about, "split": split, "rows": len(dataset), "textify": "(hashes of pixels)", "vocabulary": ""}
    kept = keep(path, write, about, lambda kept: mended(dataset, decoding, kept["broken"]))
    if kept["broken"] and not skip_broken:
        row = dataset[kept["broken"][0]]
        refuse_broken(decoding([row["image"]], [row["id"]])[1])
    return _hashes(path)


def _hashes(folder: Path) -> tuple[str | None, ...]:
    return tuple(
        None if each is None else each.hex()
        for each in read_tables(sorted(folder.glob("*.arrow")))["pixels"].to_pylist()
    )


def mended(dataset: datasets.Dataset, decoding: Decoding, broken: Sequence[int]) -> bool:
    """Whether an image among these rows, which could not be read, can be now: a file's rights may have changed, or what
    a path leads to."""
    for row in broken:
        _, problems = decoding([dataset[row]["image"]])
        if not problems:
            return True
    return False


def map_images(
    dataset: datasets.Dataset,
    of_batch: Callable[..., pa.Table],
    given: Mapping[str, Any],
    columns: Mapping[str, Any],
    work: Path,
    num_proc: int | None,
    told: str,
) -> None:
    """Write what `of_batch(rows, **given)` makes of each batch of images as Arrow files in the folder `work`.

    Args:
        columns: name → feature, beside `problem` and `pixels`.
        told: what the progress bar says.
    """
    datasets.logging.set_verbosity_error()
    with serial_tokenizer():
        dataset.select_columns(["image", "id"]).with_format("arrow").map(
            of_batch,
            fn_kwargs=dict(given),
            batched=True,
            batch_size=_BATCH,
            writer_batch_size=_BATCH * 10,
            num_proc=processes_for(len(dataset), num_proc, _ROWS_A_PROCESS),
            remove_columns=["image", "id"],
            features=datasets.Features(
                {**columns, "problem": datasets.Value("string"), "pixels": datasets.Value("binary")}
            ),
            cache_file_name=str(work / "ids.arrow"),
            new_fingerprint=work.stem,
            desc=told,
        )


def _encode_rows(rows: pa.Table, encoder: Encoder, skip_broken: bool) -> pa.Table:
    ids, problems, hashes = encoder.hashed(rows["image"].to_pylist(), rows["id"].to_pylist())
    lists = pa.ListArray.from_arrays(pa.array(ids.offsets, pa.int32()), pa.array(ids.values))
    return pa.table({"image_ids": lists, **_read_columns(problems, hashes, skip_broken)})


def _hash_rows(rows: pa.Table, decoding: Decoding, skip_broken: bool) -> pa.Table:
    _, problems, hashes = decoding.hashed(rows["image"].to_pylist(), rows["id"].to_pylist())
    return pa.table(_read_columns(problems, hashes, skip_broken))


def _read_columns(problems: Mapping[int, str], hashes: Sequence[str | None], skip_broken: bool) -> dict[str, pa.Array]:
    if not skip_broken:
        refuse_broken(problems)
    pixels = [None if each is None else bytes.fromhex(each) for each in hashes]
    return {
        "problem": pa.array(map(problems.get, range(len(hashes))), pa.string()),
        "pixels": pa.array(pixels, pa.binary()),
    }


def processes_for(rows: int, wanted: int | None, rows_a_process: int) -> int | None:
    """How many processes a map takes: those that are wanted, or one for so many rows, up to the number of cores. None
    is this one, without a pool."""
    processes = min(rows, wanted or min(os.cpu_count() or 1, rows // rows_a_process))
    return processes if processes > 1 else None


@contextlib.contextmanager
def serial_tokenizer():
    """A tokenizer's threads do not survive a fork: each process tokenises with one."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before
