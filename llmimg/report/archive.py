"""What the report needs beyond the run's other files, kept as `record.json`, so that the page can be made again."""

import base64
import dataclasses
import io
import json
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

_KEPT = ("title", "history", "label_names", "context", "notes")


def save_record(record: RunRecord, folder: RunFolder) -> None:
    kept = {name: getattr(record, name) for name in _KEPT}
    kept |= {name: [_packed(each) for each in getattr(record, name)] for name in ("examples", "mistakes")}
    write_text(folder.path / "record.json", json.dumps(kept, ensure_ascii=False))


def save_predictions(table: Mapping[str, Any], class_names: Sequence[str], folder: RunFolder) -> None:
    """Write `predictions.parquet`, whole or not at all.

    Args:
        table: column → one value a test image. The names of the classes that `probabilities` stand for, in their order,
            go with that column (`classes` in its metadata and in the file's, as JSON).
    """
    columns = pa.table(dict(table))
    names = {"classes": json.dumps(list(class_names), ensure_ascii=False)}
    place = columns.schema.get_field_index("probabilities")
    if place >= 0:
        field = columns.schema.field(place).with_metadata(names)
        columns = columns.cast(columns.schema.set(place, field).with_metadata(names))
    with replacing(folder.path / "predictions.parquet") as part:
        pyarrow.parquet.write_table(columns, part)


def load_record(path: str | Path) -> RunRecord:
    """The record of a finished run.

    Raises:
        UserError: where there is none.
    """
    folder = RunFolder(path)
    if not folder.is_finished or not (folder.path / "record.json").is_file():
        raise UserError(f"'{path}' is no folder of a finished run: give one that holds metrics.json and record.json.")
    kept = json.loads((folder.path / "record.json").read_text())
    table = pyarrow.parquet.read_table(folder.path / "predictions.parquet").to_pydict()
    names = tuple(kept.pop("label_names"))
    return RunRecord(
        config=folder.config(),
        environment=folder.environment(),
        metrics=folder.metrics(),
        label_names=names,
        examples=[_unpacked(each) for each in kept.pop("examples")],
        mistakes=[_unpacked(each) for each in kept.pop("mistakes")],
        **arrays_of(table, names, kept["context"]),
        **kept,
    )


def arrays_of(table: Mapping[str, Any], label_names: Sequence[str], context: int) -> dict[str, np.ndarray]:
    """`labels`, `probabilities` and `lengths` of a `RunRecord`; empty where the run has no such thing.

    Args:
        table: the columns of predictions.parquet.
        context: as of `RunRecord`; where it is not known, lengths are nothing to hold against it.
    """
    places = {name: place for place, name in enumerate(label_names)}
    return {
        "labels": np.array([places[label] for label in table.get("label", ())], np.int64),
        "probabilities": np.array(table.get("probabilities", ()), np.float64),
        "lengths": np.array(table.get("tokens", ()) if context else (), np.int64),
    }


def _packed(example: Example) -> dict:
    fields = dataclasses.asdict(example)
    return {name: _png(value) if isinstance(value, np.ndarray) else value for name, value in fields.items()}


def _unpacked(fields: dict) -> Example:
    return Example(
        **{name: _pixels(value) if name in ("image", "reconstruction") else value for name, value in fields.items()}
    )


def _png(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _pixels(png: str | None) -> np.ndarray | None:
    if png is None:
        return None
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
