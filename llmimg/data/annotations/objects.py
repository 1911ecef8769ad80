"""The objects of a source's rows → the canonical column `objects`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from llmimg.data.annotations.boxes import BoxCheck, as_pixels, refuse_bad, unit_of
from llmimg.data.annotations.classes import Classes, Value, chosen_classes, index_of, renamed
from llmimg.data.annotations.lying import Size, lying
from llmimg.data.motion import from_corners
from llmimg.errors import UserError

if TYPE_CHECKING:
    from llmimg.data.settings import DataSettings


@dataclass(frozen=True)
class ImageObjects:
    """What a source says of the objects of one image.

    Attributes:
        name: of the row, for an error: `row 3 of the test split`.
        boxes: float64 [N, 4], in the source's layout.
        categories: the source's number or name of each; None where it has none.
        crowds: whether each stands for many objects, as COCO's `iscrowd` has it; None where the source does not say it.
        size: (height, width) of the picture that the boxes were made on; None where the source does not say it.
    """

    name: str
    boxes: np.ndarray
    categories: Sequence[Value | None]
    crowds: Sequence[bool] | None = None
    size: Size | None = None


@dataclass(frozen=True)
class SplitObjects:
    """What a source says of the objects of one split.

    Attributes:
        images: {"bytes", "path"} of each row, in batches or one by one.
        rows: of each image; None where nothing is said of it, which is not the same as that it has none.
        known: what the numbers are called, where the source says it.
    """

    images: Iterable[Mapping[str, Any]]
    rows: Sequence[ImageObjects | None]
    known: Mapping[int, str] | None = None


@dataclass(frozen=True)
class CanonicalObjects:
    """The column `objects` of each split, its feature, the classes, and notes for a reader of the results."""

    columns: Mapping[str, list[dict[str, list[Any]] | None]]
    classes: Classes
    feature: dict[str, Any]
    notes: list[str]


def canonical_objects(
    splits: Mapping[str, SplitObjects], train: str, settings: "DataSettings", layout: str, unit: str | None
) -> CanonicalObjects:
    """Boxes as x, y, width, height in pixels of the image as decoded, categories as indices in the classes.

    Args:
        train: the split whose categories are the classes.
        layout, unit: of the boxes; a unit of None is told by the boxes.

    Raises:
        UserError: boxes that cannot be right (`data.bad_boxes`), a category of no class, a stated size that is not the
            image's: each names the first row.
    """
    notes: list[str] = []
    if unit is None:
        unit = unit_of(row.boxes for split in splits.values() for row in split.rows if row is not None)
        if unit == "shares":
            notes.append("No box goes beyond 1: they were taken as shares of their image (data.box_unit).")
    learned = splits[train]
    values = (value for row in learned.rows if row is not None for value in row.categories if value is not None)
    classes, by_number = chosen_classes(learned.known, values, settings.label_names)
    crowds = any(row is not None and row.crowds is not None for split in splits.values() for row in split.rows)
    columns, readers, indices = {}, {}, classes.indices()
    for name, split in splits.items():
        names = renamed(split.known, learned.known, classes) if split.known is not None else by_number
        placed = [_indices_of(row, names, classes, indices) for row in split.rows]
        readers[name] = reader = _Reader(layout, unit == "shares", crowds, BoxCheck(settings.bad_boxes))
        columns[name] = [reader(*each) for each in zip(split.images, split.rows, placed, strict=True)]
    refuse_bad({name: reader.check for name, reader in readers.items()})
    notes += [note for name, reader in readers.items() for note in reader.told(name)]
    if not any(row and row["bbox"] for row in columns[train]):
        raise UserError(f"The {train} split has no object in any image: there is nothing to learn.")
    return CanonicalObjects(columns, classes, _feature(classes, crowds), notes)


def _feature(classes: Classes, crowds: bool) -> dict[str, Any]:
    from datasets import ClassLabel, List, Value

    found = {"bbox": List(List(Value("float32"), length=4)), "category": List(ClassLabel(names=list(classes.names)))}
    return found | ({"iscrowd": List(Value("bool"))} if crowds else {})


def _indices_of(
    row: ImageObjects | None, names: Mapping[int, str] | None, classes: Classes, indices: Mapping[str, int]
) -> list[int] | None:
    """The index of each object's category.

    Raises:
        UserError: naming the row, where one is of no class.
    """
    if row is None:
        return None
    found = []
    for value in row.categories:
        if value is None:
            raise UserError(f"An object of {row.name} has no category.")
        found.append(index_of(value, names, classes, indices, f"An object of {row.name} has the category"))
    return found


@dataclass
class _Reader:
    """Objects of one image after the other, and what was assumed of them."""

    layout: str
    shares: bool
    crowds: bool
    check: BoxCheck
    assumed: int = 0

    def __call__(
        self, image: Mapping[str, Any], row: ImageObjects | None, indices: Sequence[int] | None
    ) -> dict[str, list[Any]] | None:
        if row is None or indices is None:
            return None
        boxes, kept = self._on_the_image(image, row)
        found: dict[str, list[Any]] = {
            "bbox": from_corners(boxes[kept]).tolist(),
            "category": [indices[each] for each in kept],
        }
        if self.crowds:
            found["iscrowd"] = [bool(row.crowds[each]) if row.crowds is not None else False for each in kept]
        return found

    def _on_the_image(self, image: Mapping[str, Any], row: ImageObjects) -> tuple[np.ndarray, np.ndarray]:
        """The boxes x0, y0, x1, y1 [N, 4] on the image as decoded, and the indices of those that are kept."""
        lies = lying(image)
        if lies is None:  # it cannot be read: that is said, or passed over (data.broken), where images are decoded
            return np.zeros((0, 4)), np.zeros(0, np.int64)
        unturned = lies.is_unturned(row.size) if row.size is not None else False
        if row.size is not None and unturned is None:
            raise UserError(
                f"The annotations of {row.name} are of a picture {row.size[1]} wide and {row.size[0]} high, and the "
                f"image is {lies.turned[1]} wide and {lies.turned[0]} high: one of them was cut or brought to another "
                "size since."
            )
        corners = as_pixels(row.boxes, self.layout, (lies.stored if unturned else lies.turned) if self.shares else None)
        if unturned:
            corners = lies.turned_boxes(corners)
        self.assumed += lies.orientation != 1 and len(corners) > 0 and (row.size is None or not lies.telling)
        return self.check(corners, lies.turned, row.name)

    def told(self, split: str) -> list[str]:
        notes = self.check.told(split)
        if self.assumed:
            notes.append(
                f"EXIF turns or mirrors {self.assumed:,} images of the {split} split, and no size says which picture "
                "their boxes were made on: they are taken to lie on the turned one."
            )
        return notes
