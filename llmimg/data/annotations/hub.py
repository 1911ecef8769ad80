"""Annotations of a set in the hub's layout → canonical columns."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from llmimg.data.annotations.assembly import Annotated, undecoded, with_column, with_masks, with_objects
from llmimg.data.annotations.classes import Classes
from llmimg.data.annotations.found import BOX_NAMES, CATEGORY_NAMES, part_named, parts
from llmimg.data.annotations.labels import SplitLabels, canonical_labels, labels_feature
from llmimg.data.annotations.lying import Size
from llmimg.data.annotations.masks import canonical_masks, mask_classes
from llmimg.data.annotations.objects import ImageObjects, SplitObjects, canonical_objects
from llmimg.data.annotations.words import FOILS, WORDS, read_lists, read_words, words_feature
from llmimg.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

    from llmimg.data.settings import DataSettings

_CROWD_NAMES = ("iscrowd", "is_crowd")


def annotate(
    splits: Mapping[str, "Dataset"],
    read: Mapping[str, "Dataset"],
    masks: Mapping[str, "Dataset"],
    columns: Mapping[str, str],
    settings: "DataSettings",
    notes: list[str],
) -> Annotated:
    """Put the annotations of each split beside its canonical columns.

    Args:
        splits: with the columns `image`, `label` and `id`.
        read: the same splits as they were read.
        masks: of each the column `image` of its masks, undecoded; empty where none are asked for.
        columns: canonical column → the set's.

    Raises:
        UserError: annotations that cannot be right, with the first row.
    """
    found, classes, train = dict(splits), {}, settings.train_split
    if "objects" in columns:
        said = {split: _split_objects(found[split], read[split], split, columns["objects"]) for split in found}
        objects = canonical_objects(said, train, settings, settings.boxes, settings.box_unit)
        notes += objects.notes
        classes["objects"] = objects.classes
        found = {split: with_objects(data, split, objects) for split, data in found.items()}
        if getattr(read[train].features.get("image_id"), "dtype", "").startswith(("int", "uint")):
            found = {split: _with_image_ids(data, read[split]) for split, data in found.items()}
    if masks:
        of_training = (
            (row_name(row, train), mask) for row, mask in enumerate(undecoded(masks[train])) if _is_there(mask)
        )
        classes["mask"] = mask_classes(of_training, settings)
        found = {
            split: _with_masks(data, masks[split], split, classes["mask"], settings) for split, data in found.items()
        }
    if "labels" in columns:
        labels, classes["labels"] = canonical_labels(
            {split: _split_labels(read[split], split, columns["labels"]) for split in found},
            train,
            settings.label_names,
        )
        feature = labels_feature(classes["labels"])
        found = {split: with_column(data, "labels", labels[split], feature) for split, data in found.items()}
    for which, of_split in _texts(read, columns, train).items():
        found = {split: with_column(data, which, *of_split(split)) for split, data in found.items()}
    return Annotated(found, classes)


def _texts(
    read: Mapping[str, "Dataset"], columns: Mapping[str, str], train: str
) -> dict[str, Callable[[str], tuple[Sequence[Any], Any]]]:
    """Of each canonical column of words that there is, what gives a split's values and their feature."""
    from datasets import List, Value

    words = {which: columns[which] for which in WORDS if which in columns}
    foils = [which for which in FOILS if "caption" in columns and which in read[train].features]

    def words_of(column: str, split: str) -> tuple[Sequence[Any], Any]:
        return read_words(read[split], column), words_feature(read[split].features, column)

    def lists_of(column: str, split: str) -> tuple[Sequence[Any], Any]:
        return read_lists(read[split], column), List(Value("string"))

    return {
        **{which: functools.partial(words_of, column) for which, column in words.items()},
        **{which: functools.partial(lists_of, which) for which in foils},
    }


def row_name(row: int, split: str) -> str:
    """What a row is called in an error."""
    return f"row {row} of the {split} split"


def _is_there(mask: Mapping[str, Any] | None) -> bool:
    return mask is not None and (mask["bytes"] is not None or bool(mask["path"]))


def _with_masks(data: "Dataset", masks: "Dataset", split: str, classes: Classes, settings: "DataSettings") -> "Dataset":
    beside = with_masks(data.select_columns(["image"]), masks.rename_column("image", "mask"), masks._fingerprint)
    names = [row_name(row, split) for row in range(len(data))]
    canonical, key = canonical_masks(beside, names, classes, settings, f"{data._fingerprint} {masks._fingerprint}")
    return with_masks(data, canonical, key)


def _with_image_ids(data: "Dataset", read: "Dataset") -> "Dataset":
    """The split with the set's own image numbers: what is written out speaks of these."""
    return with_column(data, "image_id", read.data.column("image_id").to_pylist(), read.features["image_id"])


def _split_labels(read: "Dataset", split: str, column: str) -> SplitLabels:
    names = getattr(read.features[column].feature, "names", None)
    rows = read.data.column(column).to_pylist()
    known = None if names is None else dict(enumerate(names))
    return SplitLabels([row_name(row, split) for row in range(len(rows))], rows, known)


def _split_objects(data: "Dataset", read: "Dataset", split: str, column: str) -> SplitObjects:
    inside = parts(read.features[column])
    box, category = part_named(inside, BOX_NAMES), part_named(inside, CATEGORY_NAMES)
    if box is None or category is None:
        raise UserError(
            f"The column '{column}' is none of objects: these have a box ({', '.join(BOX_NAMES)}) and a category "
            f"({', '.join(CATEGORY_NAMES)}) each, and it has {', '.join(inside) or 'neither'}."
        )
    crowd = part_named(inside, _CROWD_NAMES)
    kind = inside[category]
    names = getattr(kind, "names", None) or getattr(getattr(kind, "feature", None), "names", None)
    sizes = _sizes(read)
    rows = [
        None if value is None else _image_objects(row_name(row, split), _as_lists(value, (box, category, crowd)), size)
        for row, (value, size) in enumerate(zip(read.data.column(column).to_pylist(), sizes, strict=True))
    ]
    return SplitObjects(undecoded(data), rows, dict(enumerate(names)) if names is not None else None)


def _as_lists(value: Any, keys: Sequence[str | None]) -> list[list[Any] | None]:
    """What is said of the objects under each key: a set keeps lists of each, or a list of objects."""
    if isinstance(value, list):
        return [None if key is None else [each[key] for each in value] for key in keys]
    return [None if key is None else value[key] for key in keys]


def _image_objects(name: str, said: Sequence[list[Any] | None], size: Size | None) -> ImageObjects:
    boxes, categories, crowds = said
    boxes, categories = boxes or [], categories or []
    wrong = next((box for box in boxes if box is None or len(box) != 4), boxes)
    if wrong is not boxes:
        raise UserError(f"A box of {name} is {wrong}: it needs four numbers (data.boxes= says which).")
    if len(boxes) != len(categories) or (crowds and len(crowds) != len(boxes)):
        besides = f" and {len(crowds)} values of iscrowd" if crowds else ""
        raise UserError(f"There are {len(boxes)} boxes in {name}, {len(categories)} categories{besides}.")
    numbers = np.array([[np.nan if each is None else each for each in box] for box in boxes], float).reshape(-1, 4)
    return ImageObjects(name, numbers, categories, [bool(each) for each in crowds] if crowds else None, size)


def _sizes(read: "Dataset") -> Iterable[Size | None]:
    """(height, width) of each row's picture, where the set has whole numbers of these names."""
    if not all(
        getattr(read.features.get(name), "dtype", "").startswith(("int", "uint")) for name in ("height", "width")
    ):
        return [None] * len(read)
    return _stated(read)


def _stated(read: "Dataset") -> Iterator[Size | None]:
    columns = (read.data.column(name).to_pylist() for name in ("height", "width"))
    for height, width in zip(*columns, strict=True):
        yield None if height is None or width is None else (height, width)
