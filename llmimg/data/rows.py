"""The rows of a split by their numbers: as the model sees them, to learn from; and as the source has them, to score."""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from llmimg.data.annotations.lying import lying
from llmimg.data.annotations.moving import fitted
from llmimg.data.decoding import Decoding

if TYPE_CHECKING:
    from datasets import Dataset

ON_THE_IMAGE = ("objects", "mask")  # columns that move with it
_BESIDE = "image_id"
_BATCH = 1000


class Rows:
    """What is known of each row, besides the pixels of its image.

    A row has its `id` and the columns that were asked for: a mask as class numbers uint8 `[H, W]`. Where objects or a
    mask are among them it has `size`, (height, width) of the image that they lie on, and `placement`: of that image in
    what the model sees, or None where it is what the model sees; and `image_id`, where the source has one.

    Args:
        data: canonical columns (`llmimg.data.columns`).
        columns: those to give.
        decoding: how images are brought to what the model sees.
    """

    def __init__(self, data: "Dataset", columns: Sequence[str], decoding: Decoding):
        self.columns, self.decoding = tuple(columns), decoding
        self.ids: list[str] = data["id"][:]
        self._lies = any(name in ON_THE_IMAGE for name in columns)
        numbers = [name for name in columns if name == "label"]
        self._arrays = data.select_columns(numbers).with_format("numpy")[:] if numbers else {}
        others = [name for name in columns if name not in numbers]
        if self._lies and _BESIDE in data.column_names:
            others.append(_BESIDE)
        self._others = data.select_columns(others) if others else None
        self._images = data.select_columns(["image"]) if self._lies else None
        self._sizes: dict[int, tuple[int, int] | None] = {}  # of the images that were asked for before

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labels(self) -> np.ndarray:
        """The class of each row, int64 `[N]`, where that is among the columns that were asked for."""
        return self._arrays["label"]

    def seen(self, numbers: np.ndarray) -> list[dict[str, Any]]:
        """Rows as they lie on what the model sees."""
        return [self._seen(row) for row in self.scored(numbers)]

    def all_seen(self, numbers: np.ndarray) -> Iterator[dict[str, Any]]:
        """The same of many rows, a few at a time; none where nothing is known of them."""
        for start in range(0, len(numbers) if self.columns else 0, _BATCH):
            yield from self.seen(numbers[start : start + _BATCH])

    def all_scored(self, numbers: np.ndarray) -> Iterator[dict[str, Any]]:
        """As `all_seen`, of rows as the source has them."""
        for start in range(0, len(numbers) if self.columns else 0, _BATCH):
            yield from self.scored(numbers[start : start + _BATCH])

    def scored(self, numbers: np.ndarray) -> list[dict[str, Any]]:
        """Rows as they lie on the source's image, turned as its EXIF says."""
        numbers = np.asarray(numbers, np.int64)
        others = {} if self._others is None else self._others[numbers]
        known = {name: column[numbers] for name, column in self._arrays.items()} | others
        return self._rows([self.ids[number] for number in numbers], known, self._sizes_of(numbers.tolist()))

    def _sizes_of(self, numbers: Sequence[int]) -> list[tuple[int, int] | None]:
        """As `image_size`; each image is read once for it."""
        if self._images is None:
            return []
        unknown = [number for number in dict.fromkeys(numbers) if number not in self._sizes]
        if unknown:
            images = self._images[unknown]["image"]
            self._sizes |= {number: image_size(item) for number, item in zip(unknown, images, strict=True)}
        return [self._sizes[number] for number in numbers]

    def made(self, ids: Sequence[str], columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
        """Rows as the model sees them, of canonical columns that were made just now; `image` is among them."""
        sizes = [image_size(item) for item in columns["image"]] if self._lies else []
        return [self._seen(row) for row in self._rows(ids, {name: columns[name] for name in self.columns}, sizes)]

    def _rows(
        self, ids: Sequence[str], columns: Mapping[str, Sequence[Any]], sizes: Sequence[tuple[int, int] | None]
    ) -> list[dict[str, Any]]:
        rows = [{"id": id_, **{name: columns[name][index] for name in columns}} for index, id_ in enumerate(ids)]
        if self._lies:
            for row, size in zip(rows, sizes, strict=True):
                row["size"] = size
                row["placement"] = None if size is None else self.decoding.placement(size)
                if isinstance(row.get("mask"), Mapping):
                    row["mask"] = np.asarray(Image.open(io.BytesIO(row["mask"]["bytes"])))
        return rows

    def _seen(self, row: dict[str, Any]) -> dict[str, Any]:
        if row.get("placement") is None:
            return row
        objects, mask = fitted(self.decoding, row["size"], row.get("objects"), row.get("mask"))
        moved = {name: value for name, value in (("objects", objects), ("mask", mask)) if value is not None}
        return {**row, **moved, "size": row["placement"].size, "placement": None}


def image_size(item: Any) -> tuple[int, int] | None:
    """(height, width) of an image {"bytes", "path"} or uint8 `[H, W, C]` as decoded; None of one that is broken."""
    if isinstance(item, np.ndarray):
        return item.shape[0], item.shape[1]
    lies = lying(item)
    return None if lies is None else lies.turned
