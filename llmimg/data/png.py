"""Arrays → PNG files without compression, in a few microseconds each: small images take longer to compress, and by most
writers to write at all, than all else that is done to them."""

import struct
import zlib
from pathlib import Path

import numpy as np

from llmimg.atomic import replacing

_GRAY, _RGB = 0, 2  # PNG's colour types


def png_files(images: np.ndarray) -> list[bytes]:
    """uint8 [N, H, W] (gray) or [N, H, W, C], C = 1 or 3 (RGB) → N files that hold them without loss."""
    count, height, width = images.shape[:3]
    channels = images.shape[3] if images.ndim == 4 else 1
    lines = np.zeros((count, height, 1 + width * channels), np.uint8)  # each begins with its filter, which is none
    lines[:, :, 1:] = images.reshape(count, height, -1)
    kind = struct.pack(">IIBBBBB", width, height, 8, _GRAY if channels == 1 else _RGB, 0, 0, 0)
    start, end = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", kind), _chunk(b"IEND", b"")
    return [start + _chunk(b"IDAT", zlib.compress(image, 0)) + end for image in lines]


def write_png(file: Path, image: np.ndarray) -> None:
    """Write one image, uint8 `[H, W, C]`, C = 1 or 3, whole or not at all."""
    with replacing(file) as part:
        part.write_bytes(png_files(image[None])[0])


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))
