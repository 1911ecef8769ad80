"""Random changes of training images, made on whole batches before the image is written as text."""

from collections.abc import Sequence
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from llmimg.data.decoding import by_shape, stack
from llmimg.data.motion import STREAMS, Fill, Motion
from llmimg.data.rng import integers, uniform
from llmimg.settings import Share, Unit, settings_of


@settings_of("augment")
class AugmentSettings:
    """What may happen to a training image, in this order; each of it is drawn anew for every image and epoch.

    Attributes:
        flip: mirror left and right, every second image.
        shift: move by up to so many whole pixels along both axes.
        fill: what a movement uncovers: `edge` repeats the image's edge, `black` suits a black background.
        rotate: turn by up to so many degrees either way.
        scale: enlarge or shrink by up to this share.
        shear: slant by up to so many degrees either way.
        crop: the smallest share of the area that is cut out and enlarged to the whole; 1 cuts nothing (Szegedy et al.,
            CVPR 2015; sides from 3:4 to 4:3).
        color: change brightness, contrast and, of colour images, saturation by up to this share.
        cutout: side of a square made black somewhere, as a share of the image's shorter side (DeVries and Taylor,
            arXiv:1708.04552).
        mixup: α of the Beta(α, α) that says how much of another image is blended in, its label likewise (Zhang et al.,
            ICLR 2018); 0 blends nothing.
    """

    name: str = "none"
    flip: bool = False
    shift: Annotated[int, Field(ge=0), Unit("pixels")] = 0
    fill: Fill = "edge"
    rotate: Annotated[float, Field(ge=0, le=180), Unit("degrees")] = 0.0
    scale: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    shear: Annotated[float, Field(ge=0, le=45), Unit("degrees")] = 0.0
    crop: Annotated[float, Field(ge=0.01, le=1)] = 1.0
    color: Share = 0.0
    cutout: Share = 0.0
    mixup: Annotated[float, Field(ge=0)] = 0.0

    @property
    def warps(self) -> bool:
        """Whether images are resampled."""
        return self.rotate > 0 or self.scale > 0 or self.shear > 0 or self.crop < 1

    @property
    def active(self) -> bool:
        """Whether images change at all."""
        return self.flip or self.shift > 0 or self.warps or self.color > 0 or self.cutout > 0 or self.mixup > 0


def augment_all(
    images: Sequence[np.ndarray], settings: AugmentSettings, seeds: np.ndarray | Sequence[int]
) -> list[np.ndarray]:
    """`augment` of images uint8 `[H, W, C]` of any sizes."""
    changed: dict[int, np.ndarray] = {}
    seeds = np.asarray(seeds)
    for indices in by_shape(images):
        batch = augment(np.stack([images[index] for index in indices]), settings, seeds[indices])
        for index, image in zip(indices, batch, strict=True):
            changed[index] = image
    return [changed[index] for index in range(len(images))]


def augment(images: np.ndarray, settings: AugmentSettings, seeds: np.ndarray | Sequence[int]) -> np.ndarray:
    """uint8 [N, H, W, C] → the same shape; `seeds` [N] from `example_seeds`. All but `mixup`, which takes two images.

    Nothing to do returns `images` itself.
    """
    seeds = np.asarray(seeds).astype(np.uint64)
    images = Motion.of(settings, images.shape[1:3], seeds).images(images)
    if settings.color:
        images = _recolored(images, settings.color, seeds)
    if settings.cutout:
        images = _cut_out(images, settings.cutout, seeds)
    return images


def _recolored(images: np.ndarray, strength: float, seeds: np.ndarray) -> np.ndarray:
    """Brightness times, contrast about the mean gray times, saturation about gray times 1 ± `strength`, in turn."""
    brightness, contrast, saturation = (
        1 + uniform(seeds, STREAMS[name], -strength, strength) for name in ("brightness", "contrast", "saturation")
    )
    changed = []
    for index, image in enumerate(images):
        image = cv2.convertScaleAbs(image, alpha=brightness[index])
        gray = image if images.shape[3] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        changed.append(
            cv2.addWeighted(image, contrast[index], np.zeros_like(image), 0, (1 - contrast[index]) * float(gray.mean()))
        )
        if images.shape[3] == 3:
            gray = cv2.cvtColor(cv2.cvtColor(changed[-1], cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            changed[-1] = cv2.addWeighted(changed[-1], saturation[index], gray, 1 - saturation[index], 0)
    return np.stack(changed).reshape(images.shape)


def _cut_out(images: np.ndarray, share: float, seeds: np.ndarray) -> np.ndarray:
    """A black square, whose middle lies anywhere in the image, so that part of it may lie outside."""
    height, width = images.shape[1:3]
    side = max(1, round(share * min(height, width)))
    top, left = (
        integers(seeds, stream, size) - side // 2
        for stream, size in ((STREAMS["row"], height), (STREAMS["column"], width))
    )
    rows, columns = np.arange(height) - top[:, None], np.arange(width) - left[:, None]
    inside = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
    return np.where(inside[..., None], 0, images).astype(np.uint8)


def mixing(alpha: float, seeds: np.ndarray, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Whom each image is blended with (int64 [N], below `total`), and how much of itself stays (float64 [N], from ½).

    The share is Beta(α, α)'s, its larger side: which of two is called the first makes no difference.
    """
    from scipy.stats import beta

    shares = beta.ppf(uniform(seeds, STREAMS["share"]), alpha, alpha)
    return integers(seeds, STREAMS["partner"], total), np.maximum(shares, 1 - shares)


def blended(images: Sequence[np.ndarray], partners: Sequence[np.ndarray], shares: np.ndarray) -> list[np.ndarray]:
    """uint8 [H, W, C] each, `shares` [N] of the first and the rest of the second; rounded to whole values.

    Raises:
        UserError: images that differ in size.
    """
    mixed = []
    for one, other, share in zip(images, partners, shares, strict=True):
        one, other = stack([one, other])
        mixed.append(cv2.addWeighted(one, share, other, 1 - share, 0).reshape(one.shape))
    return mixed
