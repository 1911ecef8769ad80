"""What counts as white in images of more than 8 bits a sample, found once from those of the training split."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmimg.data.contents import keep_json, kept_json
from llmimg.data.decoding import Decoding, wide_samples
from llmimg.data.depth import DEPTHS, FEWEST, REMEDY, white_for
from llmimg.data.samples import may_be_wide
from llmimg.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

_BATCH = 1000
_SEEN = 64  # images of 8 bits a sample that are decoded, to see whether they are used
_HEAD = 32  # bytes of a file, by which most kinds are told from those of more than 8 bits


def training_white(train: "Dataset", notes: list[str], cache: Path | None = None) -> int | None:
    """What counts as white (see `llmimg.data.depth`), or None where no training image has more than 8 bits a sample.

    Of most files only the beginning is looked at; those of more than 8 bits are decoded, once for the same rows.

    Args:
        train: columns `image` (undecoded) and `id`.
        notes: what was assumed is added.
        cache: the folder of all that is prepared, where what was found is kept.

    Raises:
        UserError: samples from which it cannot be known.
    """
    found = _kept_depths(train, cache)
    if found["first"] is None:
        if 0 < found["seen"] < FEWEST:
            few = min(_SEEN, len(train))
            notes.append(
                f"No sample of {few} training images goes beyond {found['seen']} of 255: they come out nearly black."
            )
        return None
    return _white(found, len(train), notes)


def _white(found: Mapping[str, Any], images: int, notes: list[str]) -> int:
    largest, first, counts = found["largest"], found["first"], found["counts"]
    try:
        white = white_for(largest)
    except UserError as error:
        raise UserError(f"The training images, such as {first}, cannot be read: {error}.") from error
    total = sum(counts.values())
    told = f"{total:,} of {images:,} training images have samples of more than 8 bits, up to {largest:,}"
    darker = _darker(counts, white)
    if 2 * darker > total:
        raise UserError(
            f"{told} in {first}, but {darker:,} stay below a sixteenth of that: what counts as white cannot be known "
            f"({REMEDY}, or leave out what goes so far beyond the others)."
        )
    notes.append(f"{told}: {white:,} counts as white ({white.bit_length()} bits).")
    if darker:
        notes.append(f"{darker:,} of them stay below a sixteenth of white, and come out nearly black.")
    return white


def check_darkness(name: str, split: "Dataset", white: int | None, notes: list[str], cache: Path | None = None) -> None:
    """Note how many images of more than 8 bits of a split that says nothing about white come out nearly black by it.

    Args:
        name: of the split.
        white: what `training_white` found; other arguments are as there.

    Raises:
        UserError: where most of them do, as if they were kept in other units than the training images.
    """
    if white is None or white == white_for(FEWEST):
        return
    counts = _kept_depths(split, cache)["counts"]
    total, darker = sum(counts.values()), _darker(counts, white)
    if not darker:
        return
    told = f"{darker:,} of {total:,} {name} images of more than 8 bits stay below a sixteenth of {white:,}"
    if 2 * darker > total:
        raise UserError(
            f"{told}, which counts as white by the training images, and would come out nearly black: {REMEDY}, or "
            f"bring both to one range."
        )
    notes.append(f"{told}, which counts as white: they come out nearly black.")


def _darker(counts: Mapping[str, int], white: int) -> int:
    """How many images stay below a sixteenth of white, other than empty ones."""
    return sum(count for bits, count in counts.items() if 0 < int(bits) <= white.bit_length() - 4)


def _kept_depths(split: "Dataset", cache: Path | None) -> dict[str, Any]:
    """As `_depths`, found once for the same rows."""
    kept = None if cache is None else cache / ".contents" / f"white-{split._fingerprint}.json"
    found = (None if kept is None else kept_json(kept)) or _depths(split)
    if kept is not None:
        keep_json(kept, found)
    return found


def _depths(train: "Dataset") -> dict[str, Any]:
    """The largest sample of more than 8 bits, the id of an image that has it, and images by the bits they need; where
    no image has more than 8, the largest `seen` in a few."""
    largest, first, counts = -1, None, Counter()
    for name, item in _candidates(train):
        with contextlib.suppress(UserError):  # a broken image is named where it is read
            samples = wide_samples(item)
            if samples is not None:
                found = int(samples.max())
                counts[next((bits for bits in (0, *DEPTHS) if found < 2**bits), 32)] += 1
                if found > largest:
                    largest, first = found, name
    seen = 0
    if first is None:
        few = train[sorted({len(train) * index // _SEEN for index in range(_SEEN)})]
        seen = max((int(image.max()) for image in Decoding()(few["image"])[0] if image is not None), default=0)
    numbers = {str(bits): count for bits, count in counts.items()}
    return {"largest": largest, "first": first, "counts": numbers, "seen": seen}


def _candidates(train: "Dataset") -> Iterator[tuple[str, bytes | str]]:
    """The id and file (its bytes or path) of each image that may have more than 8 bits a sample."""
    import pyarrow.compute as pc

    rows = train.select_columns(["image", "id"]).with_format("arrow")
    for start in range(0, len(train), _BATCH):
        batch = rows[start : start + _BATCH]
        images = batch["image"].combine_chunks()
        data, paths = images.field("bytes"), images.field("path")
        heads = pc.binary_slice(data, 0, _HEAD).to_pylist()
        for index, head in enumerate(heads):
            path = paths[index].as_py() if head is None else None
            if head is None and path is not None:
                with contextlib.suppress(OSError), open(path, "rb") as opened:
                    head = opened.read(_HEAD)
            if head and may_be_wide(head):
                yield batch["id"][index].as_py(), path or data[index].as_py()
