"""Boxes and masks, moved along with their image: what brings it to size, and what augmentation does to it.

Objects are those of a row: {"bbox": [[x, y, width, height], …] in pixels, …}, whose other entries have a value for each
box. What a box loses at a border is clipped; an object whose box has no area left is dropped.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from llmimg.data.augment import AugmentSettings
from llmimg.data.decoding import Decoding
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


def augment_annotations(
    sizes: Sequence[tuple[int, int]],
    settings: AugmentSettings,
    seeds: np.ndarray | Sequence[int],
    objects: Sequence[Objects] | None = None,
    masks: Sequence[np.ndarray] | None = None,
) -> tuple[list[dict[str, list[Any]]] | None, list[np.ndarray] | None]:
    """What lies on images of these sizes (height, width), moved as `augment_all` with the same seeds moves the images:
    (objects, masks), None staying None.

    Colour and cutout leave objects and masks as they are. Where `augment.fill` is black, a mask is 255 where the image
    is uncovered.
    """
    seeds = np.asarray(seeds).astype(np.uint64)
    moved_objects: dict[int, dict[str, list[Any]]] = {}
    moved_masks: dict[int, np.ndarray] = {}
    groups: dict[tuple[int, int], list[int]] = {}
    for index, size in enumerate(sizes):
        groups.setdefault((size[0], size[1]), []).append(index)
    for size, group in groups.items():
        motion = Motion.of(settings, size, seeds[group])
        if objects is not None:
            for place, index in enumerate(group):
                moved_objects[index] = _kept(objects[index], motion.boxes(place, as_corners(objects[index]["bbox"])))
        if masks is not None:
            moved = motion.masks(np.stack([masks[index] for index in group]), VOID)
            moved_masks |= dict(zip(group, moved, strict=True))
    order = range(len(sizes))
    return (
        None if objects is None else [moved_objects[index] for index in order],
        None if masks is None else [moved_masks[index] for index in order],
    )


def _kept(objects: Objects, corners: np.ndarray) -> dict[str, list[Any]]:
    """The objects with new boxes, x0, y0, x1, y1 `[M, 4]`, without those that have no area there."""
    rows = np.flatnonzero((corners[:, 2:] > corners[:, :2]).all(axis=1)).tolist()
    kept = {name: [values[row] for row in rows] for name, values in objects.items() if name != "bbox"}
    return {"bbox": from_corners(corners[rows]).tolist(), **kept}
