"""Columns of numbers that are images → encoded images.

`datasets` takes any nested list for pixels, by way of int64 and then int32: the bytes of a PNG become a row of noise,
and what the numbers were is lost. Here a list of lists is pixels, as PNG of 8 bits where it was uint8 or bool and else
of 16, whose range the training split tells (`llmimg.data.depth`); a flat list is the bytes of a file, or refused.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from llmimg.data.columns import fingerprint
from llmimg.data.depth import REMEDY
from llmimg.data.files import raster_formats
from llmimg.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

_CHANNELS = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}  # in OpenCV's order


def holds_numbers(kind: "pa.DataType") -> bool:
    """Whether a column of this type holds lists of numbers, nested or not."""
    import pyarrow as pa

    kind, depth = _storage(kind), 0
    while _is_list(kind):
        kind, depth = kind.value_type, depth + 1
    return depth > 0 and (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def as_images(data: "Dataset", column: str, key: str, skip_broken: bool, true: int = 255) -> "Dataset":
    """The set with its column of lists of numbers as encoded images, `Image(decode=False)`.

    Args:
        key: what the rows hold, as a fingerprint.
        skip_broken: whether rows that are no images become missing ones, or an error.
        true: what a true sample becomes: white, or in a mask the number 1.

    Raises:
        UserError: naming the first row that is no image, and why.
    """
    from datasets import Features, Image

    key = fingerprint(key, column, Path(__file__).read_bytes(), str((skip_broken, true)))
    return (
        data.select_columns([column])
        .with_format("arrow")
        .map(
            _encode_rows,
            with_indices=True,
            batched=True,
            fn_kwargs={"column": column, "skip_broken": skip_broken, "true": true},
            remove_columns=[column],
            features=Features({column: Image(decode=False)}),
            new_fingerprint=key,
        )
        .with_format(None)
    )


def _encode_rows(batch: "pa.Table", rows: list[int], column: str, skip_broken: bool, true: int) -> "pa.Table":
    import pyarrow as pa

    found = []
    values = batch[column].combine_chunks()
    values = values.storage if isinstance(values, pa.ExtensionArray) else values
    for row, value in zip(rows, values, strict=True):
        try:
            found.append({"bytes": encoded(value, true) if value.is_valid else None, "path": None})
        except UserError as error:
            if not skip_broken:
                raise UserError(f"The image of row {row} ('{column}') cannot be read: {error}.") from error
            found.append({"bytes": None, "path": None})
    return pa.table({column: pa.array(found, pa.struct({"bytes": pa.binary(), "path": pa.string()}))})


def encoded(value: "pa.ListScalar", true: int = 255) -> bytes:
    """A list of numbers, or of lists of them, as an image file; `true` as of `as_images`.

    Raises:
        UserError: why it is none, without naming it.
    """
    array = _array(value)
    if array.dtype.kind not in "biu":
        raise UserError(f"its samples are floating-point numbers of no stated range; {REMEDY}")
    if array.ndim == 1:
        return _file(array)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in _CHANNELS or not array.size:
        raise UserError(f"its numbers stand as {list(array.shape)}, not as [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]")
    if array.dtype.kind == "b":
        array = array.astype(np.uint8) * true
    elif array.dtype != np.uint8:
        smallest, largest = int(array.min()), int(array.max())
        if smallest < 0 or largest > 65535:
            raise UserError(
                f"its samples go from {smallest:,} to {largest:,}, beyond 0 to 65,535: they are numbers of no stated "
                f"range; {REMEDY}"
            )
        array = array.astype(np.uint16)
    # Uncompressed, as in `llmimg.data.columns`.
    stored = cv2.imencode(".png", array[:, :, _CHANNELS[array.shape[2]]], [cv2.IMWRITE_PNG_COMPRESSION, 0])
    return stored[1].tobytes()


def _array(value: "pa.ListScalar") -> np.ndarray:
    import pyarrow.compute as pc

    values = value.values
    shape = [len(values)]
    while _is_list(values.type):
        lengths = pc.unique(pc.list_value_length(values)).to_pylist()
        if len(lengths) > 1 or None in lengths:
            raise UserError("its rows are not of one length")
        shape.append(lengths[0] if lengths else 0)
        values = values.flatten()
    if values.null_count:
        raise UserError("some of its samples are missing")
    return values.to_numpy(zero_copy_only=False).reshape(shape)


def _file(values: np.ndarray) -> bytes:
    """The bytes that a flat list of numbers are, if they begin as an image file does."""
    if values.size and values.dtype.kind != "b" and values.min() >= 0 and values.max() <= 255:
        data = values.astype(np.uint8).tobytes()
        try:
            with Image.open(io.BytesIO(data), formats=raster_formats()):
                return data
        except Exception:  # Pillow's readers answer with nearly every kind of exception
            pass
    raise UserError(
        f"it is a flat list of {values.size:,} numbers, which is no image file and says no height and width; keep "
        "pixels as a list of lists"
    )


def _storage(kind: "pa.DataType") -> "pa.DataType":
    return getattr(kind, "storage_type", kind)


def _is_list(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
