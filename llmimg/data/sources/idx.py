"""IDX files, plain or gzipped: the format that MNIST came in and Fashion-MNIST kept.

A folder holds train-images-idx3-ubyte and train-labels-idx1-ubyte, and where there is a test split t10k-images-… and
t10k-labels-…. The format: two zero bytes, the type (8: uint8), the number of axes, each axis as a big-endian uint32,
and then the values.
"""

import gzip
import math
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmimg.data.columns import from_pixels
from llmimg.data.files import files_below, left_out
from llmimg.errors import UserError
from llmimg.paths import local_path

if TYPE_CHECKING:
    from datasets import Dataset

    from llmimg.data.settings import DataSettings

READS = frozenset({"path", "label_names"})
_PREFIXES = {"train": "train", "test": "t10k"}


def load(
    settings: "DataSettings", needs: Collection[str], notes: list[str], cache: Path | None
) -> dict[str, "Dataset"]:
    """The splits "train" and, where its files are there, "test"."""
    folder = local_path(settings.given_path)
    if not folder.is_dir():
        raise UserError(f"There is no folder '{folder}': data.path= names the one that holds the IDX files.")
    parts, read = {}, []
    for split, prefix in _PREFIXES.items():
        images, labels = _find(folder, f"{prefix}-images", 3), _find(folder, f"{prefix}-labels", 1)
        if images and labels:
            parts[split] = _pair(images, labels)
            read += [images.name, labels.name]
        elif images or labels or split == "train":
            missing = f"{prefix}-labels-idx1-ubyte" if images else f"{prefix}-images-idx3-ubyte"
            raise UserError(f"The folder '{folder}' has no file {missing} (or .gz): data.path= names another.")
    notes += left_out(folder, files_below(folder), read)
    names = settings.label_names or [
        str(label) for label in range(1 + max(labels.max() for _, labels in parts.values()))
    ]
    for split, (_, labels) in parts.items():
        if labels.max() >= len(names):
            raise UserError(f"data.label_names has {len(names)} names, but the {split} labels go up to {labels.max()}.")
    return {split: from_pixels(images, labels, names) for split, (images, labels) in parts.items()}


def read_idx(path: Path, axes: int) -> np.ndarray:
    """The uint8 array of an IDX file with so many axes.

    Raises:
        UserError: naming a file that cannot be read, is of another kind, or is shorter or longer than its header says.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"The file '{path}' cannot be read ({error}): fetch it again.") from error
    start = 4 + 4 * axes
    if data[:4] != bytes([0, 0, 8, axes]) or len(data) < start:
        raise UserError(
            f"The file '{path}' is not IDX of unsigned bytes with {axes} axes: it begins with {data[:4].hex(' ')}, "
            f"not 00 00 08 0{axes}."
        )
    shape = tuple(int(length) for length in np.frombuffer(data, ">u4", axes, offset=4))
    if len(data) != start + math.prod(shape):
        raise UserError(
            f"The file '{path}' holds {len(data) - start:,} bytes of values where its header {list(shape)} says "
            f"{math.prod(shape):,}: fetch it again."
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _find(folder: Path, stem: str, axes: int) -> Path | None:
    for ending in (f"-idx{axes}-ubyte", f".idx{axes}-ubyte"):
        for packed in ("", ".gz"):
            path = folder / f"{stem}{ending}{packed}"
            if path.is_file():
                return path
    return None


def _pair(images_path: Path, labels_path: Path) -> tuple[np.ndarray, np.ndarray]:
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if len(images) != len(labels) or not images.size:
        raise UserError(
            f"'{images_path}' holds {len(images):,} images of {images.shape[1]}x{images.shape[2]} and '{labels_path}' "
            f"{len(labels):,} labels: they must be as many, and not empty."
        )
    return images, labels
