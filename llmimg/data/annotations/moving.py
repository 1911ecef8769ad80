"""Boxes and masks, moved along with their image: what brings it to size, and what augmentation does to it.

Objects are those of a row: {"bbox": [[x, y, width, height], …] in pixels, …}, whose other entries have a value for each
box. What a box loses at a border is clipped; an object whose box has no area left is dropped.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from llmimg.data.augment import AugmentSettings, augment
from llmimg.data.decoding import Decoding, by_shape
from llmimg.data.motion import Motion, as_corners, from_corners

VOID = 255  # in a mask: of no class

Objects = Mapping[str, Sequence[Any]]


def fitted(
    decoding: Decoding, size: tuple[int, int], objects: Objects | None = None, mask: np.ndarray | None = None
) -> tuple[dict[str, list[Any]] | None, np.ndarray | None]:
    """What lies on an image of `size` (height, width) → the same on `decoding.fitted(image)`; None stays None.

    Args:
        mask: class numbers, uint8 `[H, W]`; each pixel takes its nearest one's, and what `pad` leaves uncovered is 255.
    """
    placement = decoding.placement(size)
    if objects is not None:
        corners = as_corners(objects["bbox"])
        objects = _kept(objects, corners if placement is None else placement.boxes(corners))
    return objects, mask if mask is None or placement is None else placement.mask(mask, VOID)


def augment_rows(
    images: Sequence[np.ndarray],
    settings: AugmentSettings,
    seeds: np.ndarray | Sequence[int],
    objects: Sequence[Objects] | None = None,
    masks: Sequence[np.ndarray] | None = None,
) -> tuple[list[np.ndarray], list[dict[str, list[Any]]] | None, list[np.ndarray] | None]:
    """`augment` of images uint8 `[H, W, C]`, and what lies on each: (images, objects, masks), None staying None.

    Colour and cutout leave objects and masks as they are. Where `augment.fill` is black, a mask is 255 where the image
    is uncovered.
    """
    seeds = np.asarray(seeds).astype(np.uint64)
    changed: dict[int, np.ndarray] = {}
    moved_objects: dict[int, dict[str, list[Any]]] = {}
    moved_masks: dict[int, np.ndarray] = {}
    for group in by_shape(images):
        batch = np.stack([images[number] for number in group])
        motion = Motion.of(settings, batch.shape[1:3], seeds[group])
        new_masks = None if masks is None else motion.masks(np.stack([masks[number] for number in group]), VOID)
        for index, (number, image) in enumerate(zip(group, augment(batch, settings, seeds[group]), strict=True)):
            changed[number] = image
            if objects is not None:
                moved_objects[number] = _kept(objects[number], motion.boxes(index, as_corners(objects[number]["bbox"])))
            if new_masks is not None:
                moved_masks[number] = new_masks[index]
    numbers = range(len(images))
    return (
        [changed[number] for number in numbers],
        None if objects is None else [moved_objects[number] for number in numbers],
        None if masks is None else [moved_masks[number] for number in numbers],
    )


def _kept(objects: Objects, corners: np.ndarray) -> dict[str, list[Any]]:
    """The objects with new boxes, x0, y0, x1, y1 `[M, 4]`, without those that have no area there."""
    rows = np.flatnonzero((corners[:, 2:] > corners[:, :2]).all(axis=1)).tolist()
    kept = {name: [values[row] for row in rows] for name, values in objects.items() if name != "bbox"}
    return {"bbox": from_corners(corners[rows]).tolist(), **kept}
