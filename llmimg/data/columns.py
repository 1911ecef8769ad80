"""The canonical columns of a labelled set of images, and what identifies their content.

image: {"bytes", "path"} as files hold them (`Image(decode=False)`); label: ClassLabel, negative or null where unknown;
id: text that finds the row again in its source split (its number there, or a file's path in its folder). Where more is
known of an image:

- objects: {"bbox": [[x, y, width, height], …] in pixels of the image as decoded, "category": [ClassLabel, …]}, and what
  else there is of each (`iscrowd` as COCO has it); no boxes where the image has no object;
- mask: a PNG like `image`, of the image's size as decoded and one channel: each pixel's class number, 255 for none;
- labels: a list of ClassLabel in the order of the classes, where an image may have several labels, or none;
- caption, question, answer: text, or a list of texts;
- foils: a list of texts that are like the caption and not right, and foil_kinds, what is wrong with each;
- image_id: the source's own number of the image, where it has boxes and such numbers.

Each is null where nothing is known of the image.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from llmimg.data.annotations.classes import Classes
from llmimg.data.png import png_files

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, Features


class Source(dict[str, "Dataset"]):
    """A source's splits by its own names; `classes` has those of `labels`, `objects` and `mask`."""

    def __init__(self, splits: Mapping[str, "Dataset"], classes: Mapping[str, Classes] | None = None):
        super().__init__(splits)
        self.classes = dict(classes or {})


def fingerprint(*parts: str | bytes) -> str:
    """32 hexadecimal digits that the parts alone decide, the same in every process."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:32]


def from_pixels(images: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> "Dataset":
    """uint8 [N, H, W] and class numbers [N] → canonical columns; images are kept as PNG, without loss.

    The fingerprint is that of the pixels, labels and names, wherever they came from.
    """
    key = fingerprint(str(images.shape), images.tobytes(), labels.astype("<i8").tobytes(), *names)
    stored = ({"bytes": data, "path": None} for data in png_files(images))
    return _dataset(stored, labels, names, rows(len(images)), key)


def from_files(
    paths: Sequence[str], ids: Sequence[str], labels: Sequence[int], names: Sequence[str], key: str
) -> "Dataset":
    """Paths of image files → canonical columns; `key` is the fingerprint. Nothing is read from the files."""
    return _dataset(({"bytes": None, "path": path} for path in paths), labels, names, ids, key)


def rows(count: int) -> list[str]:
    """The ids "0", "1", … of a source whose rows have no name of their own."""
    return [str(row) for row in range(count)]


def _dataset(
    images: Iterable[dict], labels: Sequence[int] | np.ndarray, names: Sequence[str], ids: Sequence[str], key: str
) -> "Dataset":
    import pyarrow as pa
    from datasets import ClassLabel, Features, Image, Value

    features = Features({"image": Image(decode=False), "label": ClassLabel(names=list(names)), "id": Value("string")})
    columns = {"image": list(images), "label": np.asarray(labels, np.int64), "id": list(ids)}
    return assembled(pa.table(columns, schema=features.arrow_schema), features, key)


def assembled(table: "pa.Table", features: "Features", key: str) -> "Dataset":
    """A table in memory, of these features, as a data set whose fingerprint is `key`."""
    from datasets import Dataset, DatasetInfo
    from datasets.table import InMemoryTable

    # Not Dataset.from_dict: it would draw a fingerprint at random, and no cache would ever be found again.
    return Dataset(InMemoryTable(table), info=DatasetInfo(features=features), fingerprint=key)


def all_labels(data: "Dataset") -> np.ndarray:
    """Those of all rows of the column `labels` one behind the other, int64."""
    import pyarrow.compute as pc

    rows = data.select_columns(["labels"]).with_format("arrow")[:]
    return np.asarray(pc.list_flatten(rows["labels"]), np.int64)
