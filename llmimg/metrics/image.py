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


def ssim(images: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> float | None:
    """Mean structural similarity (Wang et al. 2004) by scikit-image, −1 to 1; None where a side is below 3 pixels.

    Args:
        images, others: as for `psnr_db`. Windows are 7 pixels a side, or as many as fit.
    """
    from skimage.metrics import structural_similarity

    if min(side for image in images for side in image.shape[:2]) < 3:
        return None
    values = []
    for image, other in zip(images, others, strict=True):
        first, second = np.broadcast_arrays(image, other)
        window = min(7, (min(image.shape[:2]) - 1) // 2 * 2 + 1)
        values.append(structural_similarity(first, second, win_size=window, channel_axis=-1, data_range=255))
    return float(np.mean(values))


def residual_bits(known: Sequence[np.ndarray], images: Sequence[np.ndarray]) -> float:
    """Bits an image that must be said besides a text that gives it back with errors, 0 where nothing is lost.

    The errors are coded value by value, by how often each occurs in other images (with 1/1000 of a count for each that
    might): a code that a reader of the text could use.

    Args:
        known: errors (image − reconstruction, −255 to 255) of the images the code is made from, any shapes.
        images: errors of the images it is used on.
    """
    counts = np.full(511, 1e-3)
    for errors in known:
        counts += np.bincount(errors.astype(np.int64).ravel() + 255, minlength=511)
    if not any(errors.any() for errors in (*known, *images)):
        return 0.0
    bits = -np.log2(counts / counts.sum())
    return float(np.mean([bits[errors.astype(np.int64) + 255].sum() for errors in images]))
