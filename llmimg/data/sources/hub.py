"""Any image classification set that `datasets.load_dataset` reads: from the Hugging Face Hub, or a local folder laid
out like one of its repositories.

Columns are found by feature type (Image, ClassLabel) where no name is given. A label column of integers or text is
brought to ClassLabel (`llmimg.data.labels`), one of nested lists of numbers to images (`llmimg.data.pixel_columns`).
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmimg.data.annotations.found import annotation_columns, columns_needed, image_column, label_column
from llmimg.data.annotations.hub import annotate
from llmimg.data.columns import Source, fingerprint, rows
from llmimg.data.contents import file_hashes
from llmimg.data.file_classes import check_classes, missing_parts
from llmimg.data.hub_folder import HubFolder, config_names, load_folder
from llmimg.data.labels import classes
from llmimg.data.pixel_columns import as_images, holds_numbers
from llmimg.data.roles import choose_splits
from llmimg.data.sources import BOXES, COLUMNS, MASKS
from llmimg.errors import UserError
from llmimg.nearest import did_you_mean
from llmimg.paths import local_path

if TYPE_CHECKING:
    from datasets import Dataset

    from llmimg.data.settings import DataSettings

READS = frozenset({"path", "config", "revision", *COLUMNS, "label_names", "boxes", "box_unit", *BOXES, *MASKS})


def load(settings: "DataSettings", needs: Collection[str], notes: list[str], cache: Path | None) -> Source:
    """Every split of the data set, by the data set's own names; where there are annotations, those that are used."""
    from datasets import ClassLabel

    root = _local(settings)
    read = _fetch(settings, root, notes, cache)
    features = next(iter(read.splits.values())).features
    needs = columns_needed(settings, features, needs)
    image = image_column(settings, features, needs)
    annotations = annotation_columns(settings, features, image, needs)
    if root is not None:
        label = label_column(settings, features, needs)
        check_classes(root, read.opened, {*annotations.values(), *([] if label is None else [label])}, features)
    splits = {str(split): data for split, data in read.splits.items()}
    if annotations:  # what is wrong with a split that is not used does not matter
        splits = {split: splits[split] for split in choose_splits(splits, settings).values() if split is not None}
    names, numbers = _labels(settings, needs, annotations, splits, notes)
    found, masks, used = {}, {}, set()
    for split, data in splits.items():
        contents = read.contents or _kept_contents(data, cache)
        images, below = _files(settings, read, root, data, image, fingerprint(contents, split), 255)
        if "mask" in annotations:
            of_masks = fingerprint(contents, split, "mask")
            masks[split], besides = _files(settings, read, root, data, annotations["mask"], of_masks, 1)
            used.update(besides)
        used.update(below)
        key = fingerprint(contents, split, image, *below, *names, numbers[split].astype("<i8").tobytes())
        images = images.add_column("label", numbers[split], feature=ClassLabel(names=names))
        found[split] = images.add_column("id", rows(len(data)), new_fingerprint=key)
    if root is not None:
        notes += read.left_out(root, used) + missing_parts(read.opened)
    annotated = annotate(found, splits, masks, annotations, settings, notes)
    return Source(annotated.splits, annotated.classes)


def _labels(
    settings: "DataSettings",
    needs: Collection[str],
    annotations: Collection[str],
    splits: Mapping[str, "Dataset"],
    notes: list[str],
) -> tuple[list[str], dict[str, np.ndarray]]:
    """The classes' names, and of each split the class numbers of its images; −1 where none are needed nor found."""
    label = label_column(settings, next(iter(splits.values())).features, needs)
    if label is None:
        return [], {split: np.full(len(data), -1, np.int64) for split, data in splits.items()}
    if {"objects", "mask"} & set(annotations) and "label" not in needs:
        settings = replace(settings, label_names=None)  # these are of what lies on the images
    return classes(settings, label, splits, notes)


def _files(
    settings: "DataSettings", read: HubFolder, root: Path | None, data: "Dataset", column: str, key: str, true: int
) -> tuple["Dataset", list[str]]:
    """A column of images as the column `image` alone, undecoded, and where each lies, below the set's folder."""
    data = _images(settings, data, column, key, true)
    below = [os.path.relpath(path, read.path) if _is_below(path, read.path) else path for path in _paths(data)]
    if root is not None and _is_by_path(data):  # a path in a table is one below its folder, wherever we are started
        data = _with_paths(data, [str(root / path) if path else None for path in below])
    return data, below


def _kept_contents(data: "Dataset", cache: Path | None) -> str:
    """A hash of what `datasets` keeps of a set from the hub, which may be changed there."""
    return fingerprint(data._fingerprint, *file_hashes([file["filename"] for file in data.cache_files], cache))


def _local(settings: "DataSettings") -> Path | None:
    """The folder that `data.path` names, or None where it is a hub id."""
    root = local_path(settings.given_path)
    if root.is_dir():
        if settings.revision is not None:
            raise UserError(f"data.revision is for hub ids, and data.path={root} is a local folder: set it to null.")
        return root.absolute()
    if root.is_absolute() or settings.given_path.startswith((".", "~")) or settings.given_path.count("/") > 1:
        raise UserError(f"There is no folder '{root}': data.path= is a local folder, or a hub id such as 'owner/name'.")
    return None


def _fetch(settings: "DataSettings", root: Path | None, notes: list[str], cache: Path | None) -> HubFolder:
    from datasets import get_dataset_config_names, load_dataset
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub.utils import httpx  # whichever version of it the hub's client speaks through

    path = settings.given_path if root is None else str(root)
    try:
        if root is not None:
            return load_folder(root, settings.config, notes, cache)
        return HubFolder(load_dataset(path, settings.config, revision=settings.revision), "", "")
    except DatasetNotFoundError as error:
        raise UserError(f"The hub has no data set '{path}' for you ({_line(error)}): check data.path=.") from error
    except (OSError, ValueError, RuntimeError, DatasetsError, httpx.HTTPError) as error:
        if root is None and isinstance(error, ConnectionError | httpx.HTTPError):
            raise UserError(
                f"The hub cannot be reached for '{path}', and nothing of it is stored here: give data.path= a local "
                "folder that holds the data set, or connect to the network."
            ) from error
        if isinstance(error, ValueError) and "config" in str(error).lower():
            known = config_names(root, cache) if root else get_dataset_config_names(path, settings.revision)
            if settings.config not in known:
                hint = did_you_mean(settings.config or "", known)
                wrong = f"no variant '{settings.config}'" if settings.config else "several variants"
                raise UserError(f"'{path}' has {wrong}; data.config= names one: {hint}") from error
        why = f" {_line(error.__cause__)}" if isinstance(error.__cause__, Exception) else ""
        raise UserError(f"The data set '{path}' cannot be loaded: {_line(error)}{why}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _images(settings: "DataSettings", data: "Dataset", image: str, key: str, true: int) -> "Dataset":
    """The images alone, as the column `image`, undecoded."""
    from datasets import Image

    if holds_numbers(data.data.column(image).type):
        data = as_images(data, image, key, settings.broken == "skip", true)
    data = data.select_columns([image])
    if image != "image":
        data = data.rename_column(image, "image")
    try:
        return data.cast_column("image", Image(decode=False))
    except (TypeError, ValueError, NotImplementedError) as error:  # Arrow's errors are among these
        raise UserError(f"The column '{image}' does not hold images: data.image_column= names another.") from error


def _paths(data: "Dataset") -> list[str]:
    """Where each image lies, or is said to; empty text where nothing is said."""
    return [path or "" for chunk in data.data.column("image").chunks for path in chunk.field("path").to_pylist()]


def _is_by_path(data: "Dataset") -> bool:
    return all(chunk.field("bytes").null_count == len(chunk) for chunk in data.data.column("image").chunks)


def _is_below(path: str, folder: str) -> bool:
    return bool(folder) and path.startswith(folder + os.sep)


def _with_paths(data: "Dataset", paths: list[str | None]) -> "Dataset":
    """Images that are files, by these paths."""
    import pyarrow as pa
    from datasets import Dataset, DatasetInfo, Features, Image
    from datasets.table import InMemoryTable

    features = Features({"image": Image(decode=False)})
    table = pa.table({"image": [{"bytes": None, "path": path} for path in paths]}, schema=features.arrow_schema)
    return Dataset(InMemoryTable(table), info=DatasetInfo(features=features), fingerprint=data._fingerprint)
