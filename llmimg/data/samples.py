"""An image's file, array or PIL image → its samples: uint8, or integers of more than 8 bits.

A plain 8-bit PNG goes through OpenCV, which gives the same pixels as Pillow in half the time; 16-bit colour does too,
because Pillow drops its low byte; all else through Pillow.
"""

import io
import re
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from llmimg.data.depth import REMEDY, to_8_bits
from llmimg.data.files import raster_formats
from llmimg.data.misread import as_stored, check_sign, clear_level, jpeg2000_bits, wide_planes
from llmimg.data.placement import WHITE
from llmimg.errors import UserError
from llmimg.paths import local_path

# Images are decoded in worker processes, one a core: OpenCV's own threads would only crowd them, and a pool of threads
# that was started before a fork hangs after it.
cv2.setNumThreads(1)

_PNG = b"\x89PNG\r\n\x1a\n"
_ORIENTATION = 0x0112  # EXIF's tag
# What EXIF's orientations 2 to 8 do to pixels [H, W, C].
TURNS = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: np.rot90(pixels),
}
_SCALED = "scaled"  # a portable map that says its white: Pillow brings it to 0..255 or 0..65535


@dataclass(frozen=True)
class Wide:
    """Integers [H, W, C] of more than 8 bits, C = 1 to 4 (2 and 4 end with alpha), and the transparent colour."""

    samples: np.ndarray
    clear: tuple[int, ...] | None = None

    def to_8_bits(self, white: int | None) -> np.ndarray:
        pixels = to_8_bits(self.samples, white)
        if pixels.shape[2] in (2, 4):
            return _over_white(pixels[:, :, :-1], pixels[:, :, -1:])
        if self.clear is not None:
            pixels[(self.samples == self.clear).all(axis=2)] = WHITE
        return pixels


def opened(item: Any) -> np.ndarray | Wide:
    """uint8 [H, W, C], C = 1 or 3, or samples of more than 8 bits; `item` is as of `llmimg.data.decode`."""
    if isinstance(item, np.ndarray):
        return _from_array(item)
    if isinstance(item, Image.Image):
        return from_pillow(item)
    if isinstance(item, str | Path):
        item = local_path(item).read_bytes()
    if not isinstance(item, bytes | bytearray | memoryview):
        raise UserError(f"an image cannot be a {type(item).__name__}")
    data = bytes(item)
    channels = png_channels(data)
    if channels:
        flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
        if pixels is not None:
            return pixels.reshape(*pixels.shape[:2], channels)
    with Image.open(io.BytesIO(data), formats=raster_formats()) as image:
        return from_pillow(image, data)


def opened_if_wide(item: bytes | str | Path) -> Wide | None:
    """The samples of a file (its bytes or path) that have more than 8 bits; one that has none is not decoded."""
    data = item if isinstance(item, bytes) else local_path(item).read_bytes()
    with Image.open(io.BytesIO(data), formats=raster_formats()) as image:
        if not image.mode.startswith("I") and ";16" not in _stored(image):
            return None
        pixels = from_pillow(image, data)
    return pixels if isinstance(pixels, Wide) else None


def may_be_wide(head: bytes) -> bool:
    """Whether a file that begins so (32 bytes) may have more than 8 bits a sample; most kinds of file cannot."""
    if head.startswith(_PNG):
        return head[24:25] == b"\x10"
    return not head.startswith((b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"qoif"))


def _from_array(array: np.ndarray) -> np.ndarray | Wide:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.dtype.kind not in "biu" or array.ndim != 3 or array.shape[2] not in (1, 3) or not array.size:
        raise UserError(
            "an array must be uint8, or of other integers, [H, W], [H, W, 1] or [H, W, 3], and this one is "
            f"{array.dtype} {list(array.shape)}"
        )
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * WHITE
    return array if array.dtype == np.uint8 else Wide(array)


def png_channels(data: bytes) -> int | None:
    """The channels of a PNG that is nothing but 8-bit gray or RGB samples, whole and with right checksums; else None.

    Any other chunk (transparency, gamma, EXIF, text that may hold EXIF, animation) may be read differently by
    different readers, and OpenCV writes to stderr about broken files: those are Pillow's.
    """
    if data[:16] != _PNG + b"\x00\x00\x00\rIHDR" or len(data) < 33:
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


def from_pillow(image: Image.Image, data: bytes | None = None) -> np.ndarray | Wide:
    """The samples of a PIL image, turned as its EXIF says; `data` is the file that it was opened from."""
    if getattr(image, "is_animated", False):
        image.seek(0)
    kind = _stored(image)
    clear_level(image)
    image.load()
    check_sign(image)
    pixels = _wide_colour(image, kind, data) if ";16" in kind else _by_pillow(image, kind, data)
    turn = TURNS.get(orientation(image) or 1)
    if turn is None:
        return pixels
    if isinstance(pixels, Wide):
        return replace(pixels, samples=turn(pixels.samples))
    return np.ascontiguousarray(turn(pixels))


def _by_pillow(image: Image.Image, kind: str, data: bytes | None) -> np.ndarray | Wide:
    if image.mode.startswith("I"):
        clear = image.info.get("transparency")
        samples = np.asarray(image).astype(np.int64)[:, :, None]
        if kind == _SCALED:
            return (samples >> 8).astype(np.uint8)
        return Wide(as_stored(image, samples, data), (clear,) if isinstance(clear, int) else None)
    if image.mode == "F":
        raise UserError(f"its samples are floating-point numbers of no stated range; {REMEDY}")
    gray = image.mode in ("1", "L", "LA", "La")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        pixels = np.asarray(image.convert("LA" if gray else "RGBA"))
        return _over_white(pixels[:, :, :-1], pixels[:, :, -1:])
    pixels = np.array(image.convert("L" if gray else "RGB"))
    return pixels[:, :, None] if gray else pixels


def _stored(image: Image.Image) -> str:
    """How the samples of an image that is not read yet are stored, where Pillow's mode does not say it: "RGB;16B" and
    others with ";16" of 16 bits a sample, of which Pillow would drop the low byte."""
    if wide_planes(image):
        return f"{image.mode};16 in planes"
    if not image.mode.startswith("I") and (bits := jpeg2000_bits(image)) > 8:
        return f"{image.mode};16 of {bits}"
    for tile in getattr(image, "tile", ()):
        kind, *more = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        if tile.codec_name.startswith("ppm") and more and more[0] != 255:
            if more[0] == 65535:
                return f"{kind};16" if kind != "L" else ""
            return _SCALED
        if not image.mode.startswith("I") and re.search(r"(?<!BGR);16[BLN]?$", str(kind)):
            return str(kind)
    return ""


def _wide_colour(image: Image.Image, kind: str, data: bytes | None) -> Wide:
    """The samples of an image that Pillow gives 8 bits of, by OpenCV."""
    whole = None
    if data is not None and not kind.endswith("planes") and image.mode in ("L", "LA", "RGB", "RGBA", "RGBX"):
        whole = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if whole is None or whole.dtype != np.uint16 or whole.shape[:2] != image.size[::-1]:
        raise UserError(f"it has 16 bits a sample ({kind}), of which only 8 could be read; {REMEDY}")
    samples = whole.reshape(*whole.shape[:2], -1).astype(np.int64)
    bands = kind.split(";")[0]  # OpenCV may give more: colour for gray, and a transparent colour as alpha
    order = {"L": [0], "LA": [0, -1], "RGB": [2, 1, 0], "RGBX": [2, 1, 0], "RGBA": [2, 1, 0, 3]}[bands]
    samples = samples[:, :, order]
    if " of " in kind:  # as Pillow brings gray to 16 bits
        samples <<= 16 - int(kind.split(" of ")[1])
    clear = image.info.get("transparency")
    return Wide(samples, clear if isinstance(clear, tuple) else None)


def orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # metadata that cannot be read are no reason to lose the image
        return None


def _over_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(v·a + 255·(255 - a)) / 255, rounded."""
    opacity = alpha.astype(np.uint32)
    return ((pixels * opacity + WHITE * (255 - opacity) + 127) // 255).astype(np.uint8)
