"""The names that files give their classes: `datasets` takes the numbers of all files for those of one list."""

import contextlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmimg.data.names import shown
from llmimg.errors import UserError

if TYPE_CHECKING:
    from datasets import Features

_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})(\D*)")


def check_classes(root: Path, files: Sequence[str], columns: Collection[str], features: "Features") -> None:
    """Refuse Parquet and Arrow files that have other classes in one of these columns, or in another order.

    Args:
        files: those that were read, by their names below `root`.
        features: what their columns are taken for.

    Raises:
        UserError: naming the first such file, with both lists.
    """
    taken = {column: dict(_lists(feature)) for column, feature in features.to_dict().items() if column in columns}
    for file, own in _features(root, files):
        for column, known in taken.items():
            for inside, names in _lists(own.get(column)):
                if inside in known and names != known[inside]:
                    raise UserError(
                        f"'{root / file}' has the classes [{shown(names)}] in the column '{column}', and its numbers "
                        f"would be taken for [{shown(known[inside])}], as another file or README.md says: give all "
                        "files the same list."
                    )


def missing_parts(files: Sequence[str]) -> list[str]:
    """A sentence on files that say of how many parts they are one, where others are not there."""
    parts: dict[tuple[str, str, str], set[int]] = {}
    for name in files:
        if found := _PART.fullmatch(name):
            parts.setdefault((found[1], found[3], found[4]), set()).add(int(found[2]))
    gone = [
        f"{int(count) - len(there):,} of {int(count):,} ('{start}-…-of-{count}{end}')"
        for (start, count, end), there in sorted(parts.items())
        if len(there) < int(count)
    ]
    return [f"Parts of the data are missing: {shown(gone)}."] if gone else []


def _features(root: Path, files: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What files that `datasets` wrote say of their columns."""
    import pyarrow as pa
    import pyarrow.parquet

    for file in files:
        with contextlib.suppress(OSError, pa.ArrowException, ValueError):  # what cannot be read says nothing
            if file.endswith(".parquet"):
                schema = pyarrow.parquet.read_schema(root / file)
            elif file.endswith(".arrow"):
                with pa.memory_map(str(root / file)) as mapped:
                    schema = pa.ipc.open_stream(mapped).schema
            else:
                continue
            said = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
            yield file, said.get("info", {}).get("features") or {}


def _lists(feature: Any, inside: str = "") -> Iterator[tuple[str, list[str]]]:
    """The lists of classes in a column, by where in it they stand."""
    if isinstance(feature, Mapping):
        if feature.get("_type") == "ClassLabel" and feature.get("names"):
            yield inside, list(feature["names"])
        else:
            for name, inner in feature.items():
                yield from _lists(inner, f"{inside}.{name}")
