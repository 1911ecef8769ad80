"""How an image lies: its size as stored, how EXIF turns it, and on which of the two pictures annotations were made."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from llmimg.data.files import raster_formats
from llmimg.data.samples import TURNS, orientation
from llmimg.paths import local_path

Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Lying:
    """An image's size (height, width) as stored, and its EXIF orientation, 1 to 8."""

    stored: Size
    orientation: int = 1

    @property
    def turned(self) -> Size:
        """(height, width) of the image as decoded."""
        return self.stored[::-1] if self.orientation >= 5 else self.stored

    @property
    def telling(self) -> bool:
        """Whether a size tells which of the two pictures it is of; else both have the same."""
        return self.orientation == 1 or self.turned != self.stored

    def is_unturned(self, size: Size) -> bool | None:
        """Whether annotations of a picture of `size` were made on the stored picture, which decoding turns; None where
        they fit to neither. Where both have that size, they are taken to lie on the turned one."""
        if size == self.turned:
            return False
        return True if size == self.stored else None

    def turned_mask(self, mask: np.ndarray) -> np.ndarray:
        """[H, W] on the stored picture → the same on the turned one."""
        turn = TURNS.get(self.orientation)
        return mask if turn is None else turn(mask[..., None])[..., 0]

    def turned_boxes(self, corners: np.ndarray) -> np.ndarray:
        """Boxes x0, y0, x1, y1 [N, 4] on the stored picture → the same on the turned one."""
        height, width = self.stored
        x0, y0, x1, y1 = np.asarray(corners, float).reshape(-1, 4).T
        if self.orientation in (2, 3, 7, 8):  # what EXIF mirrors left and right before it swaps the axes
            x0, x1 = width - x1, width - x0
        if self.orientation in (3, 4, 6, 7):
            y0, y1 = height - y1, height - y0
        sides = (y0, x0, y1, x1) if self.orientation >= 5 else (x0, y0, x1, y1)
        return np.stack(sides, axis=1)


def lying(item: Mapping[str, Any]) -> Lying | None:
    """How an image {"bytes", "path"} lies, by the head of its file; None where that cannot be read."""
    try:
        source = io.BytesIO(item["bytes"]) if item["bytes"] is not None else local_path(item["path"])
        with Image.open(source, formats=raster_formats()) as image:
            found = orientation(image)
            return Lying(image.size[::-1], found if found in TURNS else 1)
    except Exception:  # Pillow's readers answer broken files with nearly every kind of exception
        return None
