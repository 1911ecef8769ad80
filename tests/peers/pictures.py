"""Images sorted by class, of odd sizes, some of them broken; and their text, written by hand."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

CLASSES = {"cat": (5, 7), "hot dog": (6, 6), "hot rod": (4, 4)}
COUNTS = {"train": 12, "validation": 6, "test": 8}
LEVELS = 8


class Picture(NamedTuple):
    id: str
    pixels: np.ndarray  # uint8 [H, W]
    label: int


def draw_pictures(root: Path) -> dict[str, list[Picture]]:
    """ROOT/SPLIT/CLASS/*.png, and of each split the images that can be read, in the order of its rows."""
    rng, splits = np.random.default_rng(0), {}
    for split, count in COUNTS.items():
        splits[split] = []
        for label, (name, size) in enumerate(CLASSES.items()):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                file = root / split / name / f"{index:02}.png"
                if index == 3:
                    file.write_bytes(b"no image")
                    continue
                pixels = np.clip(rng.normal(60 + 60 * label, 60, size), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(file)
                splits[split].append(Picture(file.relative_to(root).as_posix(), pixels, label))
    return splits


def text_of(pixels: np.ndarray) -> str:
    """What `textify=gray textify.levels=8` is to write."""
    return " ".join(str(int(value) * LEVELS // 256) for row in pixels for value in row)


def image_of(levels: list[int], size: tuple[int, int]) -> np.ndarray:
    """What so many levels give back: the middle of each, and black where there are none."""
    image = np.zeros(size[0] * size[1], np.uint8)
    for index, level in enumerate(levels):
        values = [value for value in range(256) if value * LEVELS // 256 == level]
        image[index] = (values[0] + values[-1]) // 2
    return image.reshape(size)


def middle(pixels: np.ndarray, size: int) -> np.ndarray:
    """What `data.size=[size,size] data.fit=middle` is to leave."""
    top, left = ((side - size) // 2 for side in pixels.shape)
    return pixels[top : top + size, left : left + size]


def flat(images: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([image.ravel() for image in images])


def ssim(image: np.ndarray, other: np.ndarray) -> float:
    """Wang et al. 2004 by their formula, over every whole window of 7 pixels a side, or as many as fit and are odd."""
    side = min(7, (min(image.shape) - 1) // 2 * 2 + 1)
    values = []
    for top in range(image.shape[0] - side + 1):
        for left in range(image.shape[1] - side + 1):
            x, y = (each[top : top + side, left : left + side].astype(float).ravel() for each in (image, other))
            (xx, xy), (_, yy) = np.cov(x, y)
            one, two = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            alike = (2 * x.mean() * y.mean() + one) * (2 * xy + two)
            values.append(alike / ((x.mean() ** 2 + y.mean() ** 2 + one) * (xx + yy + two)))
    return float(np.mean(values))
