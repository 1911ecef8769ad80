"""scikit-learn's handwritten digits: 1,797 gray images of 8x8, ten classes, no split of their own.

They are the test part of UCI's "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998). Their values
0..16 become v · 255 / 16, rounded.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from llmimg.data.columns import from_pixels

if TYPE_CHECKING:
    from pathlib import Path

    from datasets import Dataset

    from llmimg.data.settings import DataSettings

READS = frozenset()


def load(
    settings: "DataSettings", needs: Collection[str], notes: list[str], cache: "Path | None"
) -> dict[str, "Dataset"]:
    """All digits, as one split "train"."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = np.round(pixels.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    return {"train": from_pixels(images, np.asarray(labels), [str(number) for number in range(10)])}
