"""Masks of any make → class numbers, uint8 [H, W], kept as PNG; 255 is void."""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from llmimg.data.annotations.classes import Classes, chosen_classes, no_class
from llmimg.data.annotations.lying import lying
from llmimg.data.annotations.moving import VOID
from llmimg.data.files import raster_formats
from llmimg.errors import UserError
from llmimg.paths import local_path

if TYPE_CHECKING:
    from datasets import Dataset

    from llmimg.data.settings import DataSettings

_PNG_DEPTH = 24  # where a PNG says how many bits a sample has
_LARGEST = 2**16
_COUNTED = 1000  # masks: more change the shares no longer


def mask_numbers(item: Mapping[str, Any], colors: Sequence[Sequence[int]] | None = None) -> np.ndarray:
    """A mask {"bytes", "path"} → the number of each pixel, int64 [H, W], as its file holds it: of a palette the index,
    never the colour; of gray the value.

    Args:
        colors: of a mask in colour, red, green and blue of each number.

    Raises:
        UserError: why it is no mask, without naming it.
    """
    data = item["bytes"] if item["bytes"] is not None else local_path(item["path"]).read_bytes()
    with Image.open(io.BytesIO(data), formats=raster_formats()) as image:
        if image.mode in ("RGBA", "LA", "PA") and image.getchannel("A").getextrema() != (255, 255):
            raise UserError("it is in part transparent, which says no class")
        if image.mode in ("RGB", "RGBA"):
            return _by_color(np.asarray(image)[..., :3], colors)
        if image.format == "JPEG":
            raise UserError("it is a JPEG, which does not keep numbers as they were: masks are PNG files")
        if image.mode not in ("1", "L", "LA", "P", "PA", "I", "I;16", "I;16B", "I;16L"):
            raise UserError(f"its pixels are of mode {image.mode}, which are no class numbers")
        numbers = np.asarray(image).astype(np.int64)
        numbers = numbers[..., 0] if numbers.ndim == 3 else numbers
        if image.format == "PNG" and image.mode == "L" and data[_PNG_DEPTH] in (2, 4):
            numbers //= 255 // (2 ** data[_PNG_DEPTH] - 1)  # Pillow stretches 0 to 3, or to 15, to 0 to 255
    low, high = int(numbers.min()), int(numbers.max())
    if low < 0 or high >= _LARGEST:
        raise UserError(f"its numbers go from {low:,} to {high:,}, and class numbers from 0 to {_LARGEST - 1:,}")
    return numbers


def _by_color(pixels: np.ndarray, colors: Sequence[Sequence[int]] | None) -> np.ndarray:
    if colors is None:
        raise UserError("it is in colour: say with data.mask_colors= which colour is which class")
    weights = np.array([1 << 16, 1 << 8, 1])
    table = {int(np.dot(color, weights)): number for number, color in reversed(list(enumerate(colors)))}
    found, inverse, counts = np.unique(pixels.astype(np.int64) @ weights, return_inverse=True, return_counts=True)
    stray = [index for index, code in enumerate(found) if int(code) not in table]
    if stray:
        most = int(found[max(stray, key=lambda index: counts[index])])
        raise UserError(
            f"{int(counts[stray].sum()):,} of its pixels are of {len(stray):,} colours that data.mask_colors does not "
            f"have, most of them [{most >> 16}, {most >> 8 & 255}, {most & 255}] (JPEG and soft edges make such)"
        )
    return np.array([table[int(code)] for code in found])[inverse].reshape(pixels.shape[:2])


def mask_classes(masks: Iterable[tuple[str, Mapping[str, Any]]], settings: "DataSettings") -> Classes:
    """The classes of masks: `data.label_names`, or the numbers that occur in the training split's; never the void one.

    Args:
        masks: of the training split, each with what its row is called.

    Raises:
        UserError: fewer than two classes, or more than 255; or a mask that cannot be read.
    """
    numbers: set[int] = set()
    if settings.label_names is None:
        for name, item in masks:
            numbers.update(np.unique(_guarded(name, item, settings)).tolist())
    _, by_number = chosen_classes(None, (), settings.label_names)
    known = {each: str(each) for each in sorted(numbers)} if by_number is None else dict(by_number)
    if settings.void is not None:
        known.pop(settings.void, None)
    classes = Classes.of(known)
    if not 2 <= len(classes.names) <= VOID:
        hint = " Where 255 is a class, set data.void=null." if settings.void == VOID else ""
        raise UserError(f"Masks need 2 to 255 classes, and these have {len(classes.names)}.{hint}")
    return classes


def canonical_masks(
    data: "Dataset", names: Sequence[str], classes: Classes, settings: "DataSettings", key: str
) -> tuple["Dataset", str]:
    """The column `mask` of a split alone, as PNG of one channel of the indices in `classes`, and its fingerprint.

    Args:
        data: with the columns `image` and `mask`, undecoded; a mask of None stays None.
        names: what each row is called in an error.
        key: what the rows hold, as a fingerprint.

    Raises:
        UserError: a mask that cannot be read, has another size than its image, or a number of no class: with its row.
    """
    from datasets import Features, Image

    from llmimg.data.columns import fingerprint

    code = [file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py"))]
    key = fingerprint(key, repr((classes, settings.void, settings.mask_colors, settings.broken)), *code)
    masks = data.select_columns(["image", "mask"]).map(
        _encode,
        with_indices=True,
        batched=True,
        batch_size=100,
        fn_kwargs={"names": names, "classes": classes, "settings": settings},
        remove_columns=["image"],
        features=Features({"mask": Image(decode=False)}),
        new_fingerprint=key,
    )
    return masks, key


def class_pixels(data: "Dataset", classes: int) -> tuple[int, ...]:
    """How many pixels each class has in the canonical column `mask`: of 1,000 rows, evenly taken, if there are more."""
    chosen = np.unique(np.linspace(0, len(data) - 1, min(len(data), _COUNTED)).round().astype(int))
    masks = data.select_columns("mask")[chosen]["mask"]
    counts = np.zeros(VOID + 1, np.int64)
    for mask in masks:
        counts += np.bincount(mask_numbers(mask).reshape(-1), minlength=VOID + 1)
    return tuple(counts[:classes].tolist())


def _encode(
    batch: dict[str, list[Any]], rows: list[int], names: Sequence[str], classes: Classes, settings: "DataSettings"
) -> dict[str, list[Any]]:
    indices = _indices(classes, settings.void)
    found = []
    for row, image, mask in zip(rows, batch["image"], batch["mask"], strict=True):
        if mask is None or (mask["bytes"] is None and mask["path"] is None):
            found.append(None)
            continue
        name = names[row]
        pixels = _as_indices(name, _guarded(name, mask, settings), indices, classes)
        data = cv2.imencode(".png", _on_the_image(name, image, pixels), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
        found.append({"bytes": data.tobytes(), "path": None})
    return {"mask": found}


def _indices(classes: Classes, void: int | None) -> np.ndarray:
    """Of each number that a mask may have its index in the classes, 255 for the void one, and −1: int64 [65536]."""
    indices = np.full(_LARGEST, -1, np.int64)
    indices[[number for number in classes.numbers if number is not None]] = np.arange(len(classes.names))
    if void is not None:
        indices[void] = VOID
    return indices


def _as_indices(name: str, numbers: np.ndarray, indices: np.ndarray, classes: Classes) -> np.ndarray:
    found = indices[numbers]
    if (found < 0).any():
        stray = numbers[found < 0]
        raise UserError(
            f"The mask of {name} has {len(stray):,} pixels of {no_class(int(stray[0]), classes)}. Is it void "
            "(data.void=), or has it a name (data.label_names=)?"
        )
    return found.astype(np.uint8)


def _on_the_image(name: str, image: Mapping[str, Any], mask: np.ndarray) -> np.ndarray:
    """The mask as it lies on the image as decoded."""
    lies = lying(image)
    if lies is None:  # that it cannot be read is said where it is decoded
        return mask
    unturned = lies.is_unturned(mask.shape)
    if unturned is None:
        raise UserError(
            f"The mask of {name} is {mask.shape[1]} wide and {mask.shape[0]} high, and its image {lies.turned[1]} wide "
            f"and {lies.turned[0]} high: they must be of one size."
        )
    return np.ascontiguousarray(lies.turned_mask(mask)) if unturned else mask


def _guarded(name: str, item: Mapping[str, Any], settings: "DataSettings") -> np.ndarray:
    try:
        return mask_numbers(item, settings.mask_colors)
    except UserError as error:
        reason = str(error)
    except Exception as error:  # Pillow's readers answer broken files with nearly every kind of exception
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or repr(error)
    raise UserError(f"The mask of {name} cannot be read: {reason.rstrip('.')}.")
