"""Boxes as their source writes them → x0, y0, x1, y1 in pixels; and boxes that cannot be right."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from llmimg.errors import UserError

Layout = Literal["xywh", "xyxy", "cxcywh"]
BoxUnit = Literal["pixels", "shares"]
BadBoxes = Literal["error", "clip", "drop"]
_SLACK = 1.0  # pixels that a box may go past the border without being wrong: sums of rounded numbers do
_SHARES_UP_TO = 1.05  # shares are rounded too
_FITS = 1e-3


def as_pixels(boxes: np.ndarray, layout: str, size: tuple[int, int] | None) -> np.ndarray:
    """Boxes [N, 4] in a `Layout` → x0, y0, x1, y1, float64 [N, 4].

    Args:
        size: (height, width) of the picture that they are shares of; None where they are pixels.
    """
    first, second = boxes[:, :2], boxes[:, 2:]
    if layout == "xywh":
        second = first + second
    elif layout == "cxcywh":
        first, second = first - second / 2, first + second / 2
    corners = np.concatenate([first, second], axis=1)
    return corners if size is None else corners * np.tile([size[1], size[0]], 2)


def unit_of(boxes: Iterable[np.ndarray]) -> str:
    """Whether boxes of many images are pixels or shares: none of a picture's shares goes far beyond 1.

    Raises:
        UserError: most do not, and some do.
    """
    numbers = np.concatenate([np.zeros((0, 4)), *boxes])
    small = np.abs(numbers[np.isfinite(numbers).all(axis=1)]).max(axis=1, initial=0) <= _SHARES_UP_TO
    if not len(small):
        return "pixels"
    if small.all():
        return "shares"
    if small.mean() > 0.5:
        raise UserError(
            f"{int(small.sum()):,} of {len(small):,} boxes look like shares of the image, and the others do not: say "
            "which they are with data.box_unit=pixels or shares."
        )
    return "pixels"


@dataclass
class BoxCheck:
    """Clips boxes that go past the border by less than a pixel, and does as `policy` says with those that cannot be
    right: that go further, have no area, or are no numbers.

    `clip` cuts at the border what goes further; what has no area then cannot be clipped, and is dropped.
    """

    policy: str
    counted: Counter = field(default_factory=Counter)
    first: str = ""

    def __call__(self, corners: np.ndarray, size: tuple[int, int], name: str) -> tuple[np.ndarray, np.ndarray]:
        """Boxes x0, y0, x1, y1 [N, 4] of the image `name` of `size` (height, width) → the same inside of it, and the
        indices of those that are kept, int64, ascending."""
        bounds = np.array([0, 0, size[1], size[0]], float)
        number = np.all(np.isfinite(corners), axis=1)
        clipped = np.clip(np.where(number[:, None], corners, 0), 0, np.tile(bounds[2:], 2))
        beyond = np.where(number, np.abs(np.where(number[:, None], corners, 0) - clipped).max(axis=1, initial=0), 0)
        with np.errstate(invalid="ignore"):
            area = number & (corners[:, 2:] > corners[:, :2]).all(axis=1)
        left = (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
        far = area & (beyond >= _SLACK)
        bad = ~area | far | ~left
        self.counted["slightly"] += int((~bad & (beyond > _FITS)).sum())
        self.counted["boxes"] += int(bad.sum())
        self.counted["images"] += bool(bad.any())
        self.counted["dropped"] += int((bad if self.policy == "drop" else ~area | ~left).sum())
        if bad.any() and not self.first:
            index = int(np.flatnonzero(bad)[0])
            self.first = f"{name}, box {index}: {_why(corners[index], beyond[index], bool(area[index]), size)}"
        return clipped, np.flatnonzero(~bad if self.policy == "drop" else area & left)

    def told(self, split: str) -> list[str]:
        """Sentences on what was done to the boxes of a split."""
        notes = []
        bad, images = self.counted["boxes"], self.counted["images"]
        if bad:
            clipped = bad - self.counted["dropped"]
            notes.append(
                f"{bad:,} boxes of {images:,} images of the {split} split could not be right: {clipped:,} were clipped "
                f"at the border and {self.counted['dropped']:,} dropped (data.bad_boxes={self.policy}). The first is "
                f"of {self.first}."
            )
        if slightly := self.counted["slightly"]:
            notes.append(f"{slightly:,} boxes of the {split} split went past the border by less than a pixel: clipped.")
        return notes


def refuse_bad(checks: Mapping[str, BoxCheck]) -> None:
    """Refuse boxes that cannot be right.

    Args:
        checks: split → the check that all its boxes went through.

    Raises:
        UserError: there are some, and the policy is `error`; it counts all and shows the first.
    """
    bad = {split: check for split, check in checks.items() if check.policy == "error" and check.first}
    if bad:
        boxes, images = (sum(check.counted[what] for check in bad.values()) for what in ("boxes", "images"))
        where = " and ".join(f"{split} ({check.counted['boxes']:,})" for split, check in bad.items())
        raise UserError(
            f"{boxes:,} boxes of {images:,} images cannot be right, in the splits {where}. The first is of "
            f"{next(iter(bad.values())).first}. Mend them, say with data.boxes= what their numbers are, or set "
            "data.bad_boxes=clip or drop."
        )


def _why(corners: np.ndarray, beyond: float, area: bool, size: tuple[int, int]) -> str:
    shown = ", ".join(f"{value:g}" for value in corners)
    if not np.isfinite(corners).all():
        return f"its corners are no numbers ({shown})"
    if not area:
        return f"it has no area (corners {shown})"
    return (
        f"it goes {beyond:g} pixels past the border (corners {shown}; the image is {size[1]} wide and {size[0]} high)"
    )
