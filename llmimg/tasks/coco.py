"""Objects as COCO's JSON, in the source's own numbers of images and categories: what its tools and servers read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llmimg.atomic import replacing
from llmimg.metrics.boxes import Objects
from llmimg.tasks.base import Row


def category_numbers(names: Sequence[str], numbers: Sequence[int | None] | None) -> list[int]:
    """The number that each class is written by: the source's own; from 1 on where it has not one for each."""
    own = [number for number in numbers or () if number is not None]
    return own if len(own) == len(names) else list(range(1, len(names) + 1))


def image_numbers(rows: Sequence[Row]) -> list[int]:
    """The number that each image is written by: the source's own; from 1 on where these are not one for each."""
    own = {row["image_id"]: None for row in rows if row.get("image_id") is not None}
    return list(own if len(own) == len(rows) else range(1, len(rows) + 1))


def write_coco(
    folder: Path,
    rows: Sequence[Row],
    found: Sequence[Objects],
    truth: Sequence[Objects] | None,
    names: Sequence[str],
    categories: Sequence[int],
) -> None:
    """Write `detections.json`, COCO's list of results, and where the truth is known `annotations.json`, what they are
    of. Numbers of annotations begin at 1, as 0 is the tools' word for "found by none" (cocodataset/cocoapi#638).

    Args:
        rows: with `size`, `id` and, where the source has them, `image_id`.
        found: the detections of each row, with scores.
        truth: the objects of each row.
        names, categories: of the classes, and their numbers in the files.
    """
    images = image_numbers(rows)
    results = [
        own | {"score": float(score)}
        for image, objects in zip(images, found, strict=True)
        for own, score in zip(_boxes(image, objects, categories), objects.known_scores, strict=True)
    ]
    _write(folder / "detections.json", results)
    if truth is None:
        return
    annotations = [
        own | {"area": own["bbox"][2] * own["bbox"][3], "iscrowd": int(crowd)}
        for image, objects in zip(images, truth, strict=True)
        for own, crowd in zip(_boxes(image, objects, categories), objects.crowded, strict=True)
    ]
    described = [
        {"id": image, "file_name": str(row.get("id")), "height": row["size"][0], "width": row["size"][1]}
        for image, row in zip(images, rows, strict=True)
    ]
    _write(
        folder / "annotations.json",
        {
            "images": described,
            "categories": [{"id": number, "name": name} for number, name in zip(categories, names, strict=True)],
            "annotations": [{"id": number, **each} for number, each in enumerate(annotations, 1)],
        },
    )


def _boxes(image: int, objects: Objects, categories: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {"image_id": image, "category_id": categories[each], "bbox": box}
        for each, box in zip(objects.classes, objects.boxes.tolist(), strict=True)
    ]


def _write(file: Path, content: Any) -> None:
    with replacing(file) as part:
        part.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
