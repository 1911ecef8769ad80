"""Boxes as YOLO's tools keep them: beside each image a text file of the same stem, a line an object.

A line is `class middle_x middle_y width height` in shares of the image, or `class x y x y …`, a polygon, of which the
box around it is taken. Images lie in ROOT/images/SPLIT, ROOT/SPLIT/images, ROOT/images or ROOT, their text files beside
them or where `labels` stands instead of `images`. An image without a text file has no object, as YOLO has it. Names of
the numbers are those under `names` in a YAML file of ROOT, or the lines of its classes.txt or obj.names.
"""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmimg.data.annotations.filed import (
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
_KINDS = ("images", "labels")
_NAMES = ("classes.txt", "obj.names")


def load(settings: "DataSettings", needs: Collection[str], notes: list[str], cache: Path | None) -> Source:
    """Every split that is used, with the column `objects`."""
    root = root_of(settings, "images and their text files")
    lying = files_below(root)
    images = images_below(root, lying, _KINDS)
    named, names = _names(root, lying)
    texts = by_key((file for file in lying if file.endswith(".txt") and file not in _NAMES), _KINDS)
    notes += alone("images", images, texts, "have no text file, and count as without an object")
    notes += alone("text files", texts, images, "have no image, and were left out")
    splits = used_splits(map(split_of, images), settings)
    files = {split: [file for key, file in images.items() if split_of(key) == split] for split in splits}
    known = [] if named is None else [named]
    found, rows, besides = {}, {}, [*known]
    for split, lines in files.items():
        paired = [texts.get(key_of(file, _KINDS)) for file in lines]
        rows[split] = [_objects(root, file, text) for file, text in zip(lines, paired, strict=True)]
        texts_read = [text for text in paired if text is not None]
        besides += texts_read
        found[split] = image_files(root, lines, [*known, *texts_read], cache)
    read = [file for each in files.values() for file in each]
    about = [file for file in lying if "/" not in file and file.endswith((".yaml", ".yml", ".md"))]
    notes += left_out(root, lying, [*read, *besides, *about])
    return source_of_objects(found, rows, dict.fromkeys(found, names), settings, notes, "cxcywh", "shares")


def _names(root: Path, lying: Collection[str]) -> tuple[str | None, dict[int, str] | None]:
    """The file that names the numbers, and the names; None where there is none.

    Raises:
        UserError: a file that cannot be read as YAML.
    """
    import yaml

    for file in sorted(each for each in lying if "/" not in each and each.endswith((".yaml", ".yml"))):
        try:
            said: Any = yaml.safe_load((root / file).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"'{root / file}' is no YAML: {' '.join(str(error).split())}.") from error
        names = said.get("names") if isinstance(said, dict) else None
        if isinstance(names, list):
            return file, {number: str(name) for number, name in enumerate(names)}
        if isinstance(names, dict):
            return file, {int(number): str(name) for number, name in names.items()}
    for file in _NAMES:
        if file in lying:
            lines = (root / file).read_text(encoding="utf-8").splitlines()
            return file, dict(enumerate(line.strip() for line in lines if line.strip()))
    return None, None


def _objects(root: Path, image: str, text: str | None) -> ImageObjects:
    """What an image's text file says.

    Raises:
        UserError: a line that is none of an object, by its file and number.
    """
    boxes, categories = [], []
    if text is None:
        return ImageObjects(f"'{image}'", np.zeros((0, 4)), [])
    lines = (root / text).read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        values = line.split()
        if not values:
            continue
        try:
            category, numbers = int(values[0]), [float(value) for value in values[1:]]
        except ValueError:
            category, numbers = -1, []
        if category < 0 or len(numbers) < 4 or len(numbers) % 2:
            raise UserError(
                f"Line {number} of '{root / text}' is '{line.strip()}': a line is a class number and four shares of "
                "the image, or the corners of a polygon."
            )
        boxes.append(numbers if len(numbers) == 4 else _around(numbers))
        categories.append(category)
    return ImageObjects(f"'{image}'", np.array(boxes, float).reshape(-1, 4), categories)


def _around(corners: list[float]) -> list[float]:
    """The middle, width and height of the box around a polygon."""
    xs, ys = corners[::2], corners[1::2]
    return [(min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)]
