"""Plain text → one stream of token ids, kept in the Arrow cache; and rows cut from it that a model learns from."""

import itertools
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.exceptions import DatasetGenerationError

from llmimg.data.plain_text import END, contents, lines, text_files
from llmimg.errors import UserError
from llmimg.tokens.cache import processes_for, serial_tokenizer
from llmimg.tokens.folders import keep
from llmimg.tokens.keys import hashed
from llmimg.tokens.lookup import token_dtype
from llmimg.tokens.store import ImageIds
from llmimg.tokens.vocabulary import Vocabulary

_LINES_A_PROCESS = 200_000
_LINES_LEARNED = 100_000  # of each text, from which tokens are learned: some seconds


def text_stream(
    source: str, vocabulary: Vocabulary, *, folder: Path, about: dict[str, Any], num_proc: int | None = None
) -> np.ndarray:
    """The token ids of all files at `source`, unsigned integers `[T]`: read line by line, unframed, the tokenizer's
    end-of-text or separating token behind each file; what it cannot read is its unknown token.

    Args:
        source: a file, a folder or a pattern.
        folder: `cache_folder(…)`.
        about: what `cache list` says of it.
        num_proc: processes; None chooses by the number of lines and cores.

    Raises:
        UserError: no such file, one that is no text, or a vocabulary of pieces, which has no tokens for text.
    """
    files = text_files(source)
    key = hashed(text=contents(files, folder), tokenizer=vocabulary.fingerprint)
    about = {**about, "split": "text", "rows": len(files), "textify": source}
    keep(folder / key, lambda work: _write(files, vocabulary, work, num_proc), about)
    ids = ImageIds.open(sorted((folder / key).glob("ids*.arrow")))
    return np.concatenate([chunk.values[chunk.offsets[0] : chunk.offsets[-1]] for chunk in ids.chunks])


def _write(files: Sequence[Path], vocabulary: Vocabulary, work: Path, num_proc: int | None) -> None:
    if vocabulary.of_pieces:
        vocabulary.open_ids(next(lines(files)))  # which says that it cannot
    datasets.logging.set_verbosity_error()
    try:
        text = datasets.Dataset.from_generator(_rows, gen_kwargs={"files": files}, cache_dir=str(work / "lines"))
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from error
        raise
    with serial_tokenizer():
        text.with_format("arrow").map(
            _encode_lines,
            fn_kwargs={"vocabulary": vocabulary},
            batched=True,
            num_proc=processes_for(len(text), num_proc, _LINES_A_PROCESS),
            remove_columns=["line"],
            features=datasets.Features(
                {
                    "image_ids": datasets.List(
                        datasets.Value(token_dtype(vocabulary.tokenizer.backend_tokenizer).name)
                    ),
                    "problem": datasets.Value("string"),
                }
            ),
            cache_file_name=str(work / "ids.arrow"),
            new_fingerprint=work.stem,
            desc="tokenising plain text",
        )
    shutil.rmtree(work / "lines")


def _rows(files: Sequence[Path]) -> Iterator[dict[str, str]]:
    return ({"line": line} for line in lines(files))


def _encode_lines(rows: pa.Table, vocabulary: Vocabulary) -> pa.Table:
    dtype = _dtype(vocabulary)
    ids = [[vocabulary.end] if line == END else vocabulary.read(line) for line in rows["line"].to_pylist()]
    values = pa.array([np.asarray(row, dtype) for row in ids], pa.list_(pa.from_numpy_dtype(dtype)))
    return pa.table({"image_ids": values, "problem": pa.nulls(len(ids), pa.string())})


def _dtype(vocabulary: Vocabulary) -> np.dtype:
    return token_dtype(vocabulary.tokenizer.backend_tokenizer)


def able_to_read(
    sources: Sequence[str], vocabulary: Vocabulary, size: int, val_fraction: float, test_fraction: float
) -> Vocabulary:
    """A vocabulary that reads these plain texts: one of pieces has at most `size` tokens for what it is to learn of
    them, which are learned from the first lines of each (byte-level BPE); any other is as it is.

    Args:
        sources: as of `text_stream`.
        val_fraction, test_fraction: what is held out, as of `held_out`.

    Raises:
        UserError: no such file, or one that is no text.
    """
    if not sources or not vocabulary.of_pieces:
        return vocabulary
    learned: list[str] = []
    for source in sources:
        first = [line for line in itertools.islice(lines(text_files(source)), _LINES_LEARNED) if line != END]
        learned += held_out(np.array(first, object), val_fraction, test_fraction)["train"].tolist()
    return vocabulary.with_open(learned, size)


def held_out(stream: np.ndarray, val_fraction: float, test_fraction: float) -> dict[str, np.ndarray]:
    """A stream `[T]` in three parts, as they follow each other: train, validation, test; the test's share is of the
    whole, the validation's of what is left."""
    test = len(stream) - math.ceil(test_fraction * len(stream))
    validation = test - math.ceil(val_fraction * test)
    return {"train": stream[:validation], "validation": stream[validation:test], "test": stream[test:]}


def rows_of(stream: np.ndarray, length: int) -> list[np.ndarray]:
    """Rows of `length` tokens, views, one after the other; the last may be shorter."""
    return [stream[start : start + length] for start in range(0, len(stream), length)]
