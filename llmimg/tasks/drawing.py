"""What was found, drawn on its image: enlarged by a whole factor, so that the smallest images can be read."""

import colorsys
import math
from collections.abc import Sequence

import numpy as np

from llmimg.metrics.boxes import Objects

_LEAST = 256  # pixels of the longer side of a drawing
_GOLDEN = (math.sqrt(5) - 1) / 2  # steps of it around the circle of hues never come near each other soon


def enlarged(image: np.ndarray) -> tuple[np.ndarray, int]:
    """uint8 `[H, W, C]`, C = 1 or 3 → `[H · f, W · f, 3]` and f: the smallest whole number that makes the longer side
    256 pixels or more; each pixel becomes f × f alike."""
    factor = max(1, -(-_LEAST // max(image.shape[:2])))
    wide = np.repeat(np.repeat(image, factor, axis=0), factor, axis=1)
    return np.array(np.broadcast_to(wide, (*wide.shape[:2], 3))), factor


def class_colours(count: int) -> np.ndarray:
    """A bright colour for each class, uint8 `[count, 3]`; the first ones are the furthest from each other."""
    hues = [(0.33 + index * _GOLDEN) % 1 for index in range(count)]
    return np.array([[255 * part for part in colorsys.hsv_to_rgb(hue, 0.75, 1)] for hue in hues]).astype(np.uint8)


def draw_boxes(image: np.ndarray, objects: Objects, names: Sequence[str]) -> np.ndarray:
    """The boxes of objects, their classes and scores, on the image uint8 `[H, W, C]`, enlarged: uint8 `[H', W', 3]`.

    A class whose name has other than ASCII's characters, which OpenCV cannot write, is called by its number.
    """
    import cv2

    drawn, factor = enlarged(image)
    colours = class_colours(len(names)).tolist()
    thick = max(1, round(max(drawn.shape) / 400))
    order = np.argsort(-objects.boxes[:, 2] * objects.boxes[:, 3], kind="stable")  # small ones on top
    corners = np.rint(np.concatenate([objects.boxes[:, :2], objects.boxes[:, :2] + objects.boxes[:, 2:]], 1) * factor)
    for index in order:
        left, top, right, bottom = corners[index].astype(int).tolist()
        cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), colours[objects.classes[index]], thick)
    for index in order:
        label = names[objects.classes[index]]
        label = label if label.isascii() else f"class {objects.classes[index]}"
        if objects.scores is not None:
            label += f" {objects.scores[index]:.2f}"
        _write(drawn, label, corners[index].astype(int).tolist(), colours[objects.classes[index]])
    return drawn


def _write(drawn: np.ndarray, label: str, corners: Sequence[int], colour: Sequence[int]) -> None:
    """A label on a ground of its colour: above its box, or inside where the image ends there."""
    import cv2

    scale = 0.4 * max(1.0, max(drawn.shape) / 640)
    (width, height), below = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    height += below + 1
    left = max(0, min(corners[0], drawn.shape[1] - width))
    top = corners[1] - height if corners[1] >= height else corners[1]
    cv2.rectangle(drawn, (left, top), (left + width, top + height - 1), colour, cv2.FILLED)
    origin = (left, top + height - below)
    cv2.putText(drawn, label, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1, cv2.LINE_AA)
