"""Any image classification set that `datasets.load_dataset` reads: from the Hugging Face Hub, or a local folder laid
out like one of its repositories.

Columns are found by feature type (Image, ClassLabel) where no name is given. A label column of integers or text is
brought to ClassLabel: classes are its values over all splits, sorted; negative integers and null are unlabelled.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmimg.data.columns import fingerprint, rows
from llmimg.errors import UserError
from llmimg.settings import nearest

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict, Features

    from llmimg.data.settings import DataSettings

READS = frozenset({"path", "config", "revision", "image_column", "label_column", "label_names"})


def load(settings: "DataSettings", notes: list[str], cache: Path | None) -> dict[str, "Dataset"]:
    """Every split of the data set, by the data set's own names."""
    from datasets import ClassLabel, Image

    splits = _fetch(settings)
    features = next(iter(splits.values())).features
    image = _column(settings, "image", features, Image)
    label = _column(settings, "label", features, ClassLabel)
    names, numbers = _classes(settings, label, splits)
    return {split: _canonical(data, image, names, numbers[split]) for split, data in splits.items()}


def _fetch(settings: "DataSettings") -> "DatasetDict":
    from datasets import get_dataset_config_names, load_dataset
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub.utils import httpx  # whichever version of it the hub's client speaks through

    path = os.path.expanduser(settings.path)
    local = os.path.isdir(path)
    if not local and (os.path.isabs(path) or path.startswith(".") or path.count("/") > 1):
        raise UserError(f"There is no folder '{path}': data.path= is a local folder, or a hub id such as 'owner/name'.")
    if local and settings.revision is not None:
        raise UserError(f"data.revision is for hub ids, and data.path={path} is a local folder: set it to null.")
    try:
        return load_dataset(path, settings.config, revision=settings.revision)
    except DatasetNotFoundError as error:
        raise UserError(f"The hub has no data set '{path}' for you ({_line(error)}): check data.path=.") from error
    except (OSError, ValueError, RuntimeError, DatasetsError, httpx.HTTPError) as error:
        if not local and isinstance(error, ConnectionError | httpx.HTTPError):
            raise UserError(
                f"The hub cannot be reached for '{path}', and nothing of it is stored here: give data.path= a local "
                "folder that holds the data set, or connect to the network."
            ) from error
        if isinstance(error, ValueError) and "config" in str(error).lower():
            known = get_dataset_config_names(path, revision=settings.revision)
            if settings.config not in known:
                hint = nearest(settings.config or "", known)
                wrong = f"no variant '{settings.config}'" if settings.config else "several variants"
                raise UserError(f"'{path}' has {wrong}; data.config= names one: {hint}") from error
        raise UserError(f"The data set '{path}' cannot be loaded: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _column(settings: "DataSettings", which: str, features: "Features", kind: type) -> str:
    """The name of the image or label column."""
    wanted = getattr(settings, f"{which}_column")
    if wanted is not None:
        if wanted not in features:
            raise UserError(
                f"'{settings.path}' has no column '{wanted}' (data.{which}_column): {nearest(wanted, features)}"
            )
        return wanted
    found = [name for name, feature in features.items() if isinstance(feature, kind)]
    if len(found) != 1:
        which_ones = (
            f"several columns of type {kind.__name__} ({', '.join(found)})"
            if found
            else f"none of type {kind.__name__}"
        )
        raise UserError(
            f"'{settings.path}' has {which_ones}: name the one to use with data.{which}_column=. "
            f"Its columns: {', '.join(features)}."
        )
    return found[0]


def _classes(
    settings: "DataSettings", label: str, splits: Mapping[str, "Dataset"]
) -> tuple[list[str], dict[str, np.ndarray]]:
    """The classes' names, and the class number of each row (int64, -1: unlabelled) of each split."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from datasets import ClassLabel

    feature = next(iter(splits.values())).features[label]
    columns = {split: data.data.column(label) for split, data in splits.items()}
    given = list(settings.label_names or ())
    if isinstance(feature, ClassLabel):
        if given and len(given) != feature.num_classes:
            raise UserError(
                f"data.label_names has {len(given)} names, but '{label}' has {feature.num_classes} classes."
            )
        return given or feature.names, {name: pc.fill_null(column, -1).to_numpy() for name, column in columns.items()}

    kind = next(iter(columns.values())).type
    whole = pa.types.is_integer(kind)
    if not (whole or pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise UserError(
            f"The column '{label}' cannot be a class, its type is {kind}: data.label_column= names another."
        )
    found = {value for column in columns.values() for value in column.unique().to_pylist() if value is not None}
    found = {value for value in found if not (whole and value < 0)}
    known = (list(range(len(given))) if whole else given) if given else sorted(found)
    stray = found.difference(known)
    if stray:
        raise UserError(f"The column '{label}' holds {min(stray)!r}, for which data.label_names has no name.")
    values = pa.array(known, kind)
    numbers = {name: pc.fill_null(pc.index_in(column, values), -1) for name, column in columns.items()}
    return given or [str(value) for value in known], {name: column.to_numpy() for name, column in numbers.items()}


def _canonical(data: "Dataset", image: str, names: list[str], numbers: np.ndarray) -> "Dataset":
    from datasets import ClassLabel, Image

    key = fingerprint(data._fingerprint, image, *names, numbers.astype("<i8").tobytes())
    data = data.select_columns([image])
    if image != "image":
        data = data.rename_column(image, "image")
    try:
        data = data.cast_column("image", Image(decode=False))
    except (TypeError, ValueError, NotImplementedError) as error:  # Arrow's errors are among these
        raise UserError(f"The column '{image}' does not hold images: data.image_column= names another.") from error
    data = data.add_column("label", numbers.astype(np.int64), feature=ClassLabel(names=names))
    return data.add_column("id", rows(len(data)), new_fingerprint=key)
