"""Where the time of a cold preparation goes, stage by stage, on one core: what to mend next."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.inputs import cifar10, encoder, gpt2_tokenizer
from benchmarks.settings import Settings
from benchmarks.timing import best_seconds
from llmimg.textify import Ragged
from llmimg.tokens.cache import prepare

_IMAGES = 10_000
_BATCH = 1000  # the cache's


def measure(settings: Settings) -> dict[str, Any]:
    """Microseconds an image of each stage, and of the whole; best of so many rounds."""
    split = cifar10(settings)["train"]
    split = split.select(range(min(_IMAGES, len(split)))).select_columns(["image", "id"])
    encode, rounds = encoder(gpt2_tokenizer(settings)), settings.rounds or 5
    table = split.with_format("arrow")
    microseconds: dict[str, float] = {}

    def stage(name: str, work: Callable[[Any], Any], batches: Iterable[Any]) -> list[Any]:
        batches = list(batches)
        seconds = best_seconds(lambda: [work(batch) for batch in batches], rounds)
        microseconds[name] = round(seconds / len(split) * 1e6, 3)
        return [work(batch) for batch in batches]

    rows = stage("read", lambda start: table[start : start + _BATCH]["image"].to_pylist(), range(0, len(split), _BATCH))
    images = stage("decode", lambda batch: encode.decoding(batch)[0], rows)
    stacks = stage("stack", np.stack, images)
    pieces = stage("textify", encode.textifier.write, stacks)
    ids = stage("look_up", encode.vocabulary.lookup, pieces)
    with tempfile.TemporaryDirectory() as folder:
        stage("arrow", lambda batch: _write(batch, Path(folder, "ids.arrow")), ids)
        folders = (Path(folder, str(number)) for number in range(rounds))
        whole = best_seconds(
            lambda: prepare(split, encode, "train", folder=next(folders), about={}, num_proc=1), rounds
        )
    whole = round(whole / len(split) * 1e6, 3)
    rest = round(whole - sum(microseconds.values()), 3)
    return {
        "threads": "one core, one thread in BLAS and OpenMP",
        "images": len(split),
        "rounds": rounds,
        "microseconds_per_image": microseconds | {"datasets_map_and_key": rest, "whole": whole},
    }


def _write(ids: Ragged, file: Path) -> None:
    lists = pa.ListArray.from_arrays(pa.array(ids.offsets, pa.int32()), pa.array(ids.values))
    table = pa.table({"image_ids": lists})
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
