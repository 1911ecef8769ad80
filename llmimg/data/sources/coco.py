"""Boxes as COCO's JSON files have them (Lin et al., ECCV 2014), beside the images.

A JSON file is a split: `instances_train2017.json` is `train`, and one that lies in `valid/` is `valid`; one that says
nothing of the kind is `train`. Images are found by their `file_name` at the end of their path below ROOT. Rows have the
file's own image number as `image_id`.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmimg.data.annotations.assembly import with_column
from llmimg.data.annotations.filed import TRAIN, image_files, root_of, source_of_objects, used_splits
from llmimg.data.annotations.objects import ImageObjects
from llmimg.data.columns import Source
from llmimg.data.files import files_below, is_image, left_out
from llmimg.errors import UserError

if TYPE_CHECKING:
    from llmimg.data.settings import DataSettings

READS = frozenset({"path", "label_names", "bad_boxes"})
_SPLITS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")
_OTHERS = re.compile(r"(captions|person_keypoints|image_info|panoptic|stuff)_.*")  # COCO's files of other tasks


def load(settings: "DataSettings", needs: Collection[str], notes: list[str], cache: Path | None) -> Source:
    """Every split that is used, with the columns `objects` and `image_id`."""
    from datasets import Value

    root = root_of(settings, "COCO's JSON files and their images")
    lying = files_below(root)
    files = _splits(root, lying)
    found, rows, known, numbers, read = {}, {}, {}, {}, []
    for split in used_splits(files, settings):
        said = _read(root / files[split])
        try:
            images = _images(root, files[split], split, said["images"], lying)
            rows[split] = _objects(root / files[split], said, images)
            known[split] = {int(each["id"]): str(each["name"]) for each in said["categories"]}
            numbers[split] = [int(each["id"]) for each in said["images"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"An entry of '{root / files[split]}' is not as COCO has it: {error!r}.") from error
        found[split] = image_files(root, images, [files[split]], cache)
        read += [*images, files[split]]
    notes += left_out(root, [file for file in lying if not _is_other(file)], read)
    source = source_of_objects(found, rows, known, settings, notes, "xywh", "pixels")
    splits = {name: with_column(data, "image_id", numbers[name], Value("int64")) for name, data in source.items()}
    return Source(splits, source.classes)


def _is_other(file: str) -> bool:
    return file.endswith(".json") and bool(_OTHERS.fullmatch(file.rpartition("/")[2]))


def _splits(root: Path, lying: Collection[str]) -> dict[str, str]:
    """The JSON file of each split.

    Raises:
        UserError: none, or two of one split.
    """
    found: dict[str, str] = {}
    for file in lying:
        if not file.endswith(".json") or _is_other(file):
            continue
        words = re.split(r"[/_. -]|(?<=[a-z])\d", file.lower())
        split = next((word for word in words[::-1] if word in _SPLITS), TRAIN)
        other = found.setdefault(split, file)
        if other != file:
            raise UserError(f"'{other}' and '{file}' in '{root}' are both of the {split} split: leave one.")
    if not found:
        raise UserError(f"There is no JSON file of COCO's below '{root}'.")
    return found


def _read(file: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        said = json.loads(file.read_bytes())
    except ValueError as error:
        raise UserError(f"'{file}' is no JSON: {error}.") from error
    missing = [key for key in ("images", "annotations", "categories") if not isinstance(said, dict) or key not in said]
    if missing:
        raise UserError(f"'{file}' is none of COCO's files of objects: it has no {' and no '.join(missing)}.")
    return said


def _images(root: Path, file: str, split: str, said: Sequence[Mapping[str, Any]], lying: Collection[str]) -> list[str]:
    """The file below the root of each image: that ends with its name, and of several one that lies beside the JSON
    file or in a folder of the split's name.

    Raises:
        UserError: images that are not there, or of which several might be meant.
    """
    ends: dict[str, list[str]] = {}
    for each in filter(is_image, lying):
        ends.setdefault(each.rpartition("/")[2], []).append(each)
    found, missing = [], []
    beside = file.rpartition("/")[0]
    for image in said:
        name = str(image["file_name"]).replace("\\", "/").removeprefix("./").lstrip("/")
        fitting = [each for each in ends.get(name.rpartition("/")[2], ()) if f"/{each}".endswith(f"/{name}")]
        if len(fitting) > 1:
            near = [each for each in fitting if each == f"{beside}/{name}".lstrip("/")] or [
                each for each in fitting if re.search(rf"(^|[/_-]){split}\d*/", each.lower())
            ]
            fitting = near or fitting
        if len(fitting) > 1:
            raise UserError(f"The image '{name}' of '{root / file}' may be '{fitting[0]}' or '{fitting[1]}'.")
        found += fitting
        missing += [name] * (not fitting)
    if missing:
        raise UserError(
            f"{len(missing):,} of {len(said):,} images of '{root / file}' are not there (such as '{missing[0]}')."
        )
    return found


def _objects(file: Path, said: Mapping[str, Any], images: Sequence[str]) -> list[ImageObjects]:
    """What is said of each image, in the order of the file's images.

    Raises:
        UserError: two images of one number, or an object without a box, or of no image.
    """
    of_image: dict[int, list[Mapping[str, Any]]] = {int(image["id"]): [] for image in said["images"]}
    if len(of_image) < len(said["images"]):
        raise UserError(f"Two images of '{file}' have one number.")
    for index, each in enumerate(said["annotations"]):
        if len(each.get("bbox") or ()) != 4:
            raise UserError(f"Annotation {index} of '{file}' has no bbox of four numbers.")
        if int(each["image_id"]) not in of_image:
            raise UserError(f"Annotation {index} of '{file}' is of image {each['image_id']}, which it does not have.")
        of_image[int(each["image_id"])].append(each)
    rows = []
    crowds = any("iscrowd" in each for each in said["annotations"])
    for image, name in zip(said["images"], images, strict=True):
        things = of_image[int(image["id"])]
        rows.append(
            ImageObjects(
                f"'{name}'",
                np.array([each["bbox"] for each in things], float).reshape(-1, 4),
                [int(each["category_id"]) for each in things],
                [bool(each.get("iscrowd", 0)) for each in things] if crowds else None,
                (image["height"], image["width"]) if image.get("height") and image.get("width") else None,
            )
        )
    return rows
