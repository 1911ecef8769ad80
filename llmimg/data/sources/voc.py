"""Boxes as Pascal VOC's tools keep them: beside each image an XML file of the same stem.

Images and XML files lie together, or in folders called JPEGImages (or images) and Annotations. ImageSets/Main/SPLIT.txt
lists the stems of a split, as VOC's own does; without such lists a split is the first other folder on an image's way.

Corners count pixels from 1, both included (Everingham et al., IJCV 2010); many tools count them from 0, the far ones
excluded. A set in which some corner is 0 is of the second kind, and it is said so.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from llmimg.data.annotations.filed import (
    Key,
    alone,
    by_key,
    image_files,
    images_below,
    key_of,
    root_of,
    source_of_objects,
    split_of,
    used_splits,
)
from llmimg.data.annotations.objects import ImageObjects
from llmimg.data.columns import Source
from llmimg.data.files import files_below, left_out
from llmimg.errors import UserError

if TYPE_CHECKING:
    from llmimg.data.settings import DataSettings

READS = frozenset({"path", "label_names", "bad_boxes"})
_KINDS = ("jpegimages", "images", "annotations")
_LISTS = "ImageSets/Main/"
_SPLITS = ("train", "val", "test")  # of a list's name; others, as trainval and cat_train, are not read
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def load(settings: "DataSettings", needs: Collection[str], notes: list[str], cache: Path | None) -> Source:
    """Every split that is used, with the column `objects`; images without an XML file say nothing of theirs."""
    root = root_of(settings, "images and their XML files")
    lying = files_below(root)
    lists = [file for file in lying if file in {f"{_LISTS}{split}.txt" for split in _SPLITS}]
    besides = [file for file in lying if file.startswith(("ImageSets/", "SegmentationClass/", "SegmentationObject/"))]
    rest = [file for file in lying if file not in besides]
    images = images_below(root, rest, _KINDS)
    texts = by_key((file for file in rest if file.lower().endswith(".xml")), _KINDS)
    notes += alone("images", images, texts, "have no XML file")
    notes += alone("XML files", texts, images, "have no image, and were left out")
    listed = _listed(root, lists, images)
    splits = used_splits(listed, settings)
    rows, found, read = {}, {}, []
    for split in splits:
        files = [images[key] for key in listed[split]]
        paired = [texts.get(key_of(file, _KINDS)) for file in files]
        rows[split] = [
            _objects(root, file, text) if text is not None else None for file, text in zip(files, paired, strict=True)
        ]
        about = [*lists, *filter(None, paired)]
        found[split] = image_files(root, files, about, cache)
        read += [*files, *about]
    notes += left_out(root, rest, read)
    rows = _from_zero(rows, notes)
    return source_of_objects(found, rows, dict.fromkeys(found), settings, notes, "xyxy", "pixels")


def _listed(root: Path, lists: Iterable[str], images: Mapping[Key, str]) -> dict[str, list[Key]]:
    """The images of each split.

    Raises:
        UserError: a list that names an image which is not there.
    """
    found: dict[str, list[Key]] = {}
    for file in lists:
        stems = [line.split()[0] for line in (root / file).read_text(encoding="utf-8").splitlines() if line.strip()]
        missing = [stem for stem in stems if (stem,) not in images]
        if missing:
            raise UserError(
                f"{len(missing):,} of {len(stems):,} images of '{root / file}' are not there (such as '{missing[0]}')."
            )
        found[Path(file).stem] = [(stem,) for stem in stems]
    if not found:
        for key in images:
            found.setdefault(split_of(key), []).append(key)
    return found


def _objects(root: Path, image: str, text: str) -> ImageObjects:
    """What an image's XML file says; corners as they stand there.

    Raises:
        UserError: a file that is no XML, or an object without a name or box.
    """
    try:
        said = ElementTree.parse(root / text).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"'{root / text}' is no XML: {error}.") from error
    boxes, categories = [], []
    for index, thing in enumerate(said.iter("object")):
        box = thing.find("bndbox")
        values = [None if box is None else box.findtext(corner) for corner in _CORNERS]
        name = (thing.findtext("name") or "").strip()
        try:
            boxes.append([float(value or "") for value in values])
        except (TypeError, ValueError) as error:
            raise UserError(
                f"Object {index} of '{root / text}' has no box of four numbers ({', '.join(_CORNERS)})."
            ) from error
        categories.append(name or None)
    height, width = (_above_0(said.findtext(f"size/{side}")) for side in ("height", "width"))
    return ImageObjects(
        f"'{image}'",
        np.array(boxes, float).reshape(-1, 4),
        categories,
        size=None if height is None or width is None else (height, width),
    )


def _above_0(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdigit() and int(text) > 0 else None


def _from_zero(rows: Mapping[str, list[ImageObjects | None]], notes: list[str]) -> dict[str, list[ImageObjects | None]]:
    """Corners from 0, the far ones excluded."""
    boxes = [row.boxes for each in rows.values() for row in each if row is not None and len(row.boxes)]
    if any((each[:, :2] == 0).any() for each in boxes):
        notes.append("Some boxes begin at 0: the corners in all XML files were taken to count from 0, and not from 1.")
        return dict(rows)
    shift = np.array([1, 1, 0, 0])
    return {
        split: [row and ImageObjects(row.name, row.boxes - shift, row.categories, row.crowds, row.size) for row in each]
        for split, each in rows.items()
    }
