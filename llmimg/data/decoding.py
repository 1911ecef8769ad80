"""Anything that holds an image → uint8 [H, W, C], by stated rules.

- Grayscale stays C = 1; everything else becomes C = 3, RGB.
- The orientation in EXIF (or XMP) is applied; where those cannot be read, the image stays as stored.
- Alpha, and a palette's or PNG's transparent colour, is laid over white.
- Palette, CMYK, YCbCr, LAB and HSV become RGB as Pillow converts them; 1 bit becomes 0 and 255.
- Of 16-bit samples the high byte is taken (v // 256), gray and colour alike, as libpng's `strip_16` does. 32-bit and
  floating-point samples have no stated range and are refused (32-bit ones that keep to 0..65535 count as 16-bit).
- Of an animation the first frame is taken. Colour profiles and gamma are not applied.

A plain 8-bit PNG goes through OpenCV, which gives the same pixels as Pillow in half the time; all else through Pillow.
"""

import io
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from llmimg.data.placement import FITS, WHITE, check_size, place
from llmimg.errors import UserError
from llmimg.settings import choose

# Images are decoded in worker processes, one a core: OpenCV's own threads would only crowd them, and a pool of threads
# that was started before a fork hangs after it.
cv2.setNumThreads(1)

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112  # EXIF's tag


@dataclass(frozen=True)
class Decoding:
    """Images of any kind → uint8 arrays of one size: all that shapes pixels before they are written as text.

    `size` is (height, width), or None to leave sizes as they are; `fit` is one of `placement.FITS`.
    """

    size: tuple[int, int] | None = None
    fit: str = "stretch"

    def __post_init__(self) -> None:
        check_size(self.size)
        choose(self.fit, dict.fromkeys(FITS), "data.fit")

    def __call__(
        self, items: Sequence[Any], names: Sequence[str] | None = None
    ) -> tuple[list[np.ndarray | None], dict[int, str]]:
        """Decode a batch: (images, problems).

        `items` are what `decode` takes. `images[i]` is uint8 [H, W, C], or None where item i could not be decoded;
        then `problems[i]` says why, naming the item by its path or by `names[i]` (for instance its `id`).
        """
        images: list[np.ndarray | None] = []
        problems: dict[int, str] = {}
        for position, item in enumerate(items):
            try:
                image = decode(item, names[position] if names is not None else f"number {position}")
                images.append(self.fitted(image))
            except UserError as error:
                images.append(None)
                problems[position] = str(error)
        return images, problems

    def fitted(self, image: np.ndarray) -> np.ndarray:
        """uint8 [H, W, C] → uint8 [*size, C]; what `pad` leaves uncovered is white."""
        old = image.shape[:2]
        if self.size is None or old == tuple(self.size):
            return image
        return place(old, tuple(self.size), self.fit).image(image, WHITE)


def decode(item: Any, name: str | None = None) -> np.ndarray:
    """One image → uint8 [H, W, C], C = 1 or 3.

    `item` is the `datasets` library's {"bytes", "path"}, a file's bytes, a path, a PIL image, or a uint8 array [H, W]
    or [H, W, C]. `name` tells in an error which image it was, where the item has no path.

    Raises:
        UserError: naming an image that is missing, broken, too large (Pillow's limit on decompression bombs), or of a
            kind that no rule covers.
    """
    if isinstance(item, Mapping):
        data, path = item.get("bytes"), item.get("path")
        item, name = (path, path or name) if data is None else (data, name or path)
    elif isinstance(item, str | Path):
        name = str(item)
    try:
        return _decoded(item)
    except UserError as error:
        reason = str(error)
    except Image.DecompressionBombError as error:
        reason = f"it is larger than Pillow's limit on decompression bombs allows ({error})"
    except Exception as error:  # Pillow's readers answer broken files with nearly every kind of exception
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or repr(error)
    raise UserError(f"The image {name or 'given'} cannot be read: {reason.rstrip('.')}.")


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
    """The places, int64 each, of images of one size and number of channels, in the order in which those occur."""
    places: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        places.setdefault(image.shape, []).append(index)
    return [np.array(each) for each in places.values()]


def _decoded(item: Any) -> np.ndarray:
    if isinstance(item, np.ndarray):
        return _checked(item)
    if isinstance(item, Image.Image):
        return _from_pillow(item)
    if isinstance(item, str | Path):
        item = Path(os.path.expanduser(item)).read_bytes()
    if not isinstance(item, bytes | bytearray | memoryview):
        raise UserError(f"an image cannot be a {type(item).__name__}")
    data = bytes(item)
    channels = _plain_png(data)
    if channels:
        flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
        if pixels is not None:
            return pixels.reshape(*pixels.shape[:2], channels)
    with Image.open(io.BytesIO(data)) as image:
        return _from_pillow(image)


def _checked(array: np.ndarray) -> np.ndarray:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in (1, 3) or not array.size:
        raise UserError(
            f"an array must be uint8 [H, W], [H, W, 1] or [H, W, 3], and this one is {array.dtype} {list(array.shape)}"
        )
    return array


def _plain_png(data: bytes) -> int | None:
    """The channels of a PNG that is nothing but 8-bit gray or RGB samples, whole and with right checksums; else None.

    Any other chunk (transparency, gamma, EXIF, text that may hold EXIF, animation) may be read differently by
    different readers, and OpenCV writes to stderr about broken files: those are Pillow's.
    """
    if data[:16] != b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" or len(data) < 33:
        return None
    width, height, *kind = struct.unpack_from(">IIBBBBB", data, 16)
    if kind not in ([8, 0, 0, 0, 0], [8, 2, 0, 0, 0]) or not (0 < width <= 8192 and 0 < height <= 8192):
        return None  # the bound keeps within the limits of both readers on an image's size
    view, position, expected = memoryview(data), 8, b"IHDR"
    while position + 12 <= len(data):
        length, found = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data) or zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            return None
        if found == b"IEND":
            return 1 if kind[1] == 0 else 3
        if found != expected:
            return None
        position, expected = end, b"IDAT"
    return None


def _from_pillow(image: Image.Image) -> np.ndarray:
    if getattr(image, "is_animated", False):
        image.seek(0)
    image.load()
    turn = _TURNS.get(_orientation(image))
    if turn is not None:
        image = image.transpose(turn)
    if image.mode.startswith("I"):
        return _from_16_bits(image)
    if image.mode == "F":
        raise UserError("its samples are floating-point numbers of no stated range; save it with 8 bits a sample")
    gray = image.mode in ("1", "L", "LA", "La")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        pixels = np.asarray(image.convert("LA" if gray else "RGBA"))
        return _over_white(pixels[:, :, :-1], pixels[:, :, -1:])
    pixels = np.array(image.convert("L" if gray else "RGB"))
    return pixels[:, :, None] if gray else pixels


def _orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # metadata that cannot be read are no reason to lose the image
        return None


def _from_16_bits(image: Image.Image) -> np.ndarray:
    samples = np.asarray(image).astype(np.int64)
    if samples.min() < 0 or samples.max() > 65535:
        raise UserError("its samples are 32-bit numbers of no stated range; save it with 8 or 16 bits a sample")
    pixels = (samples // 256).astype(np.uint8)
    if isinstance(image.info.get("transparency"), int):
        pixels[samples == image.info["transparency"]] = WHITE
    return pixels[:, :, None]


def _over_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(v·a + 255·(255 - a)) / 255, rounded."""
    opacity = alpha.astype(np.uint32)
    return ((pixels * opacity + WHITE * (255 - opacity) + 127) // 255).astype(np.uint8)
