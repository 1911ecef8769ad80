"""How near an image is to another."""

from collections.abc import Sequence

import numpy as np

LOSSLESS_DB = 100.0


def psnr_db(images: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> float:
    """Peak signal-to-noise ratio over all pixels of all images, in decibels; 100 where nothing differs.

    Args:
        images: uint8 `[H, W, C]` each.
        others: the same sizes; where only one of two is gray, it is compared with each channel of the other.
    """
    errors = [np.square(image.astype(np.float64) - other).ravel() for image, other in zip(images, others, strict=True)]
    error = np.concatenate(errors).mean()
    return LOSSLESS_DB if error == 0 else min(LOSSLESS_DB, float(10 * np.log10(255**2 / error)))
