"""Anything that holds an image → uint8 [H, W, C], by stated rules.

- Grayscale stays C = 1; everything else becomes C = 3, RGB.
- The orientation in EXIF (or XMP) is applied; where those cannot be read, the image stays as stored.
- Alpha, and a palette's or PNG's transparent colour, is laid over white.
- Palette, CMYK, YCbCr, LAB and HSV become RGB as Pillow converts them; 1 bit becomes 0 and 255.
- Samples of more than 8 bits (16-bit gray and colour, 32-bit integers, arrays of integers) go by the value that counts
  as white, which the training split tells (`llmimg.data.depth`): of 16 bits the high byte is taken, as libpng's
  `strip_16` does, and 0..255 stay as they are. Beyond that value, below 0, or where no training image tells it, they
  are refused; so are floating-point samples, and 16 bits a sample in CMYK or with premultiplied alpha.
- Of an animation the first frame is taken. Colour profiles and gamma are not applied.

How files are opened is in `llmimg.data.samples`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from llmimg.data.broken import refuse_broken
from llmimg.data.depth import check_white
from llmimg.data.identity import pixel_hash
from llmimg.data.placement import WHITE, Fit, Placement, Size, placement_of
from llmimg.data.samples import Wide, opened, opened_if_wide
from llmimg.errors import UserError
from llmimg.settings import settings_of

_ADDRESS = re.compile(r" ?<[^<>]* at 0x[0-9a-fA-F]+>")  # Pillow names the object in memory that it read from


@settings_of("data")
class Decoding:
    """Images of any kind → uint8 arrays of one size: all that shapes pixels before they are written as text.

    `size` is (height, width), or None to leave sizes as they are; `fit` is one of `placement.Fit`; `white` is what
    counts as white in samples of more than 8 bits (see `llmimg.data.depth`), or None where training images have none.
    """

    size: Size | None = None
    fit: Fit = "stretch"
    white: int | None = None

    def __post_init__(self) -> None:
        check_white(self.white)

    def __call__(
        self, items: Sequence[Any], names: Sequence[str] | None = None
    ) -> tuple[list[np.ndarray | None], dict[int, str]]:
        """Decode a batch: (images, problems).

        `items` are what `decode` takes. `images[i]` is uint8 [H, W, C], or None where item i could not be decoded;
        then `problems[i]` says why, naming the item by its path or by `names[i]` (for instance its `id`).
        """
        images, problems = [], {}
        for position, image in enumerate(self._read(items, names)):
            images.append(None if isinstance(image, UserError) else self.fitted(image))
            if isinstance(image, UserError):
                problems[position] = str(image)
        return images, problems

    def whole(self, items: Sequence[Any], names: Sequence[str] | None = None) -> list[np.ndarray]:
        """Decode a batch of which none is broken.

        Raises:
            UserError: one is.
        """
        images, problems = self(items, names)
        refuse_broken(problems)
        return [image for image in images if image is not None]

    def hashed(
        self, items: Sequence[Any], names: Sequence[str] | None = None
    ) -> tuple[list[np.ndarray | None], dict[int, str], list[str | None]]:
        """Decode a batch, and hash the pixels of each image before it is brought to size: (images, problems, hashes);
        None instead of a broken image's hash."""
        images, problems, hashes = [], {}, []
        for position, image in enumerate(self._read(items, names)):
            broken = isinstance(image, UserError)
            images.append(None if broken else self.fitted(image))
            hashes.append(None if broken else pixel_hash(image))
            if broken:
                problems[position] = str(image)
        return images, problems, hashes

    def _read(self, items: Sequence[Any], names: Sequence[str] | None) -> Iterator[np.ndarray | UserError]:
        """Images as they are stored, one after the other, or why one cannot be read."""
        for position, item in enumerate(items):
            try:
                yield decode(item, names[position] if names is not None else f"number {position}", self.white)
            except UserError as error:
                yield error

    def fitted(self, image: np.ndarray) -> np.ndarray:
        """uint8 [H, W, C] → uint8 [*size, C]; what `pad` leaves uncovered is white."""
        placement = self.placement(image.shape[:2])
        return image if placement is None else placement.image(image, WHITE)

    def placement(self, old: tuple[int, int]) -> Placement | None:
        """Where an image of `old` (height, width) comes to lie, so that what lies on it can be moved along; None where
        it stays as it is."""
        if self.size is None or tuple(old) == tuple(self.size):
            return None
        return placement_of(tuple(old), tuple(self.size), self.fit)


def decode(item: Any, name: str | None = None, white: int | None = None) -> np.ndarray:
    """One image → uint8 [H, W, C], C = 1 or 3.

    `item` is the `datasets` library's {"bytes", "path"}, a file's bytes, a path, a PIL image, or an array of integers
    or bool [H, W] or [H, W, C]. `name` tells in an error which image it was, where the item has no path; `white` is as
    of `Decoding`.

    Raises:
        UserError: naming an image that is missing, broken, too large (Pillow's limit on decompression bombs), or of a
            kind that no rule covers.
    """
    named, item = _named(item, name)
    return _guarded(named, lambda: _decoded(item, white))


def wide_samples(item: bytes | str | Path, name: str | None = None) -> np.ndarray | None:
    """The samples of a file (its bytes or path) that have more than 8 bits each, integers [H, W, C] with alpha among
    the C; None where they have 8.

    `name` and errors are as of `decode`.
    """
    wide = _guarded(name or (None if isinstance(item, bytes) else str(item)), lambda: opened_if_wide(item))
    return None if wide is None else wide.samples


def stack(images: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 [H, W, C] of one size → uint8 [N, H, W, C]; where gray and colour meet, gray is repeated to three channels.

    Raises:
        UserError: images of different sizes.
    """
    sizes = sorted({image.shape[:2] for image in images})
    if len(sizes) > 1:
        shown = ", ".join(f"{height}x{width}" for height, width in sizes[:3])
        raise UserError(f"The images differ in size ({shown}{', …' * (len(sizes) > 3)}): set data.size=.")
    channels = max(image.shape[2] for image in images)
    return np.stack([np.broadcast_to(image, (*image.shape[:2], channels)) for image in images])


def by_shape(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The indices, int64 each, of images of one size and number of channels, in the order in which those occur."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(image.shape, []).append(index)
    return [np.array(each) for each in groups.values()]


def _named(item: Any, name: str | None) -> tuple[str | None, Any]:
    """What to call an item in an error, and the item without its wrapping."""
    if isinstance(item, Mapping):
        data, path = item.get("bytes"), item.get("path")
        return (path or name, path) if data is None else (name or path, data)
    return (str(item), item) if isinstance(item, str | Path) else (name, item)


def _guarded(name: str | None, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except UserError as error:
        reason = str(error)
    except Image.DecompressionBombError as error:
        reason = f"it is larger than Pillow's limit on decompression bombs allows ({error})"
    except Exception as error:  # Pillow's readers answer broken files with nearly every kind of exception
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or repr(error)
        reason = _ADDRESS.sub("", reason)
    raise UserError(f"The image {name or 'given'} cannot be read: {reason.rstrip('.')}.")


def _decoded(item: Any, white: int | None) -> np.ndarray:
    pixels = opened(item)
    return pixels.to_8_bits(white) if isinstance(pixels, Wide) else pixels
