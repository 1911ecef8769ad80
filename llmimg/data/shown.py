"""Whose image a model gets for each row: a control of what its answers owe to the image."""

from typing import Literal

import numpy as np

from llmimg.errors import UserError

Shown = Literal["own", "shuffled", "none"]


def images_shown(how: str, whole: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The row of a split whose image stands for that of each row, int64 `[count]`; −1 is no image at all.

    Args:
        how: of `Shown`.
        whole: the rows whose image is not broken, int64, ascending: only these are exchanged.
        seed: of the exchange, in which no row keeps its own.

    Raises:
        UserError: where there is no other image.
    """
    shown = np.arange(count)
    if how == "none":
        shown[:] = -1
    if how == "shuffled":
        if len(whole) < 2:
            raise UserError("data.images=shuffled needs two images in every split: raise data.test_samples and others.")
        order = np.random.default_rng(seed).permutation(whole)
        shown[order] = np.roll(order, 1)  # one circle through all
    return shown


def notes_of_images(how: str) -> list[str]:
    """What a reader must know of a run whose rows have not their own images."""
    told = {
        "shuffled": "Every row, of training too, was given the image of another row of its split",
        "none": "No row, of training neither, was given an image",
    }
    if how not in told:
        return []
    return [
        f"{told[how]} (data.images={how}): its scores are what can be answered without seeing. What is said of texts "
        "and their fidelity is said of the images' own."
    ]
