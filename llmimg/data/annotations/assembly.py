"""Canonical columns of annotations, put beside those that a split has."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmimg.data.annotations.classes import Classes
from llmimg.data.annotations.objects import CanonicalObjects
from llmimg.data.columns import fingerprint

if TYPE_CHECKING:
    from datasets import Dataset

_BATCH = 500


@dataclass(frozen=True)
class Annotated:
    """Splits with annotations, and the classes of each column that has some: `labels`, `objects`, `mask`."""

    splits: Mapping[str, "Dataset"]
    classes: Mapping[str, Classes]


def undecoded(data: "Dataset", column: str = "image") -> Iterator[Mapping[str, Any]]:
    """{"bytes", "path"} of each row, of which a few are held at a time."""
    for batch in data.select_columns([column]).iter(_BATCH):
        yield from batch[column]


def with_objects(data: "Dataset", split: str, objects: CanonicalObjects) -> "Dataset":
    """The split with the column `objects`."""
    return with_column(data, "objects", objects.columns[split], objects.feature)


def with_column(data: "Dataset", name: str, values: Sequence[Any], feature: Any) -> "Dataset":
    """The split with one more column; its fingerprint is that of the split and the values."""
    import pyarrow as pa
    from datasets import Dataset, DatasetInfo, Features, concatenate_datasets
    from datasets.table import InMemoryTable

    features = Features({name: feature})
    key = fingerprint(data._fingerprint, name, repr(feature), json.dumps(values))
    table = InMemoryTable(pa.table({name: list(values)}, schema=features.arrow_schema))
    return named(
        concatenate_datasets([data, Dataset(table, DatasetInfo(features=features), fingerprint=key)], axis=1), key
    )


def with_masks(data: "Dataset", masks: "Dataset", key: str) -> "Dataset":
    """The split with the one column of `masks`, whose fingerprint is `key`."""
    from datasets import concatenate_datasets

    return named(concatenate_datasets([data, masks], axis=1), fingerprint(data._fingerprint, key))


def named(data: "Dataset", key: str) -> "Dataset":
    """The same rows under a fingerprint of our own: the library's is drawn at random where columns are put together."""
    data._fingerprint = key
    return data
