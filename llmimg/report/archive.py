"""What the report needs beyond the run's other files, kept as `record.json`, so that the page can be made again."""

import base64
import dataclasses
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from PIL import Image

from llmimg.atomic import replacing
from llmimg.errors import UserError
from llmimg.report.record import Example, RunRecord
from llmimg.run_folder import RunFolder, write_text
from llmimg.tasks.figures import Bars, Curve, Gallery, Matrix
from llmimg.tasks.measure import Measure, Table

_AS_THEY_ARE = ("title", "ranked_by", "history", "context", "notes")
_PACKED = ("measures", "figures", "examples", "mistakes")
_KINDS: dict[str, Any] = {kind.__name__: kind for kind in (Measure, Matrix, Bars, Curve, Gallery, Example)}


def save_record(record: RunRecord, folder: RunFolder) -> None:
    kept = {name: getattr(record, name) for name in _AS_THEY_ARE}
    kept |= {name: _packed(getattr(record, name)) for name in _PACKED}
    write_text(folder.path / "record.json", json.dumps(kept, ensure_ascii=False))


def save_predictions(table: Table, class_names: Sequence[str], folder: RunFolder) -> None:
    """Write `predictions.parquet`, whole or not at all.

    Args:
        table: column → one value a test image. The names of the classes that `probabilities` stand for, in their order,
            go with that column (`classes` in its metadata and in the file's, as JSON).
    """
    columns = pa.table(dict(table))
    names = {"classes": json.dumps(list(class_names), ensure_ascii=False)}
    index = columns.schema.get_field_index("probabilities")
    if index >= 0:
        field = columns.schema.field(index).with_metadata(names)
        columns = columns.cast(columns.schema.set(index, field).with_metadata(names))
    with replacing(folder.path / "predictions.parquet") as part:
        pyarrow.parquet.write_table(columns, part)


def load_record(path: str | Path) -> RunRecord:
    """The record of a finished run.

    Raises:
        UserError: where there is none, or an earlier version wrote it.
    """
    folder = RunFolder(path)
    if not folder.is_finished or not (folder.path / "record.json").is_file():
        raise UserError(f"'{path}' is no folder of a finished run: give one that holds metrics.json and record.json.")
    kept = json.loads((folder.path / "record.json").read_text())
    if missing := [name for name in (*_AS_THEY_ARE, *_PACKED) if name not in kept]:
        raise UserError(
            f"The record.json of '{path}' has no {', '.join(missing)}, as those of earlier versions: carry the run out "
            "again with force=true."
        )
    schema = pyarrow.parquet.read_schema(folder.path / "predictions.parquet")
    columns = [name for name in ("tokens",) if name in schema.names]
    table = pyarrow.parquet.read_table(folder.path / "predictions.parquet", columns=columns).to_pydict()
    return RunRecord(
        config=folder.config(),
        environment=folder.environment(),
        metrics=folder.metrics(),
        measures=tuple(_unpacked(kept["measures"])),
        figures=_unpacked(kept["figures"]),
        lengths=lengths_of(table, kept["context"]),
        examples=_unpacked(kept["examples"]),
        mistakes=_unpacked(kept["mistakes"]),
        **{name: kept[name] for name in _AS_THEY_ARE},
    )


def lengths_of(table: Table, context: int) -> np.ndarray:
    """`lengths` of a `RunRecord`; empty where the model read no tokens, or where its context is not known (0), so that
    lengths are nothing to hold against it."""
    return np.array(table.get("tokens", ()) if context else (), np.int64)


def _packed(value: Any) -> Any:
    """A value in JSON's types: images as PNG, other arrays as their bytes, a dataclass with its name."""
    if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 3:
        return {"png": _png(value)}
    if isinstance(value, np.ndarray):
        return {
            "array": base64.b64encode(zlib.compress(value.tobytes())).decode(),
            "of": [value.dtype.str, value.shape],
        }
    if dataclasses.is_dataclass(value):
        fields = {field.name: _packed(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"kind": type(value).__name__, "fields": fields}
    if isinstance(value, Mapping):
        return {"entries": [[key, _packed(each)] for key, each in value.items()]}
    if isinstance(value, list | tuple):
        return [_packed(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def _unpacked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpacked(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "png" in value:
        return _pixels(value["png"])
    if "array" in value:
        kind, shape = value["of"]
        return np.frombuffer(zlib.decompress(base64.b64decode(value["array"])), kind).reshape(shape)
    if "entries" in value:
        return {key: _unpacked(each) for key, each in value["entries"]}
    fields = {name: _unpacked(each) for name, each in value["fields"].items()}
    return _KINDS[value["kind"]](
        **{name: tuple(each) if isinstance(each, list) else each for name, each in fields.items()}
    )


def _png(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _pixels(png: str) -> np.ndarray:
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
