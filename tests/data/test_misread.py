"""Files whose samples Pillow gives otherwise than they are stored."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from llmimg.data import decode, wide_samples
from llmimg.errors import UserError

RNG = np.random.default_rng(0)
WIDE = RNG.integers(0, 65536, (6, 7), dtype=np.uint16)
COLOUR = RNG.integers(0, 65536, (64, 64, 3), dtype=np.uint16)


def tiff(samples, **more):
    """Uncompressed samples [H, W] or [C, H, W] in planes, with these tags."""
    planes = samples.ndim
    channels = 1 if planes == 2 else len(samples)
    bits = samples.dtype.itemsize * 8
    stream = io.BytesIO()
    height, width = samples.shape[-2:]
    each = samples.nbytes // channels
    extra = 8 + 2 + 12 * 11 + 4  # behind the header and the directory: bits, signs, offsets and sizes, then the samples
    sizes = {"bits": 2 * channels, "sign": 2 * channels, "offsets": 4 * channels, "counts": 4 * channels}
    at, offset = {}, extra
    for name, size in sizes.items():
        at[name], offset = offset, offset + size
    offsets = [offset + each * number for number in range(channels)]
    one = channels == 1
    sign = more.get("sign", 1)
    entries = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, channels, bits if one else at["bits"]),
        (259, 3, 1, 1),
        (262, 3, 1, more.get("photometric", 1 if one else 2)),
        (273, 4, channels, offsets[0] if one else at["offsets"]),
        (277, 3, 1, channels),
        (278, 3, 1, height),
        (279, 4, channels, each if one else at["counts"]),
        (284, 3, 1, 1 if one else 2),
        (339, 3, channels, sign if one else at["sign"]),
    ]
    stream.write(b"II*\0" + struct.pack("<IH", 8, len(entries)))
    for tag, kind, count, value in entries:
        stream.write(struct.pack("<HHI", tag, kind, count) + struct.pack("<I", value))
    stream.write(struct.pack("<I", 0))
    stream.write(struct.pack(f"<{channels}H", *[bits] * channels) + struct.pack(f"<{channels}H", *[sign] * channels))
    stream.write(struct.pack(f"<{channels}I", *offsets) + struct.pack(f"<{channels}I", *[each] * channels))
    stream.write(samples.tobytes())
    return stream.getvalue()


def test_where_white_is_zero_in_16_bits():
    file = tiff(WIDE, photometric=0)
    assert np.array_equal(wide_samples(file)[..., 0], 65535 - WIDE.astype(int))
    assert np.array_equal(decode(file, white=65535)[..., 0], (65535 - WIDE) >> 8)
    assert np.array_equal(decode(tiff(WIDE), white=65535)[..., 0], WIDE >> 8)


def test_planes_of_16_bits_are_refused():
    planes = np.ascontiguousarray(COLOUR.transpose(2, 0, 1))
    with pytest.raises(UserError, match="16 bits a sample"):
        decode(tiff(planes), white=65535)
    eight = (planes >> 8).astype(np.uint8)
    assert np.array_equal(decode(tiff(eight)), eight.transpose(1, 2, 0))


def test_samples_with_a_sign_are_not_read_without():
    samples = np.array([[-3, 100]], np.int8)
    with pytest.raises(UserError, match="have a sign"):
        decode(tiff(samples, sign=2))
    assert decode(tiff(np.abs(samples), sign=2))[..., 0].tolist() == [[3, 100]]


@pytest.mark.parametrize(("bits", "level"), [(1, 255), (2, 85), (4, 17)])
def test_a_transparent_level_of_few_bits(bits, level):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    levels = np.arange(8) % 2**bits
    row = np.packbits(((levels[:, None] >> np.arange(bits)[::-1]) & 1).astype(np.uint8).ravel()).tobytes()
    file = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 1, bits, 0, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(">H", 1))
        + chunk(b"IDAT", zlib.compress(b"\0" + row))
        + chunk(b"IEND", b"")
    )
    assert decode(file).ravel().tolist() == [255 if each == 1 else each * level for each in levels]


@pytest.mark.parametrize("bits", [8, 16])
def test_white_in_jpeg_2000_does_not_become_black(bits):
    pixels = COLOUR if bits == 16 else (COLOUR >> 8).astype(np.uint8)
    pixels[0] = 2**bits - 1
    whole = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]
    file = cv2.imencode(".jp2", pixels[..., ::-1], whole)[1].tobytes()
    assert (wide_samples(file) is None) == (bits == 8)
    assert np.array_equal(decode(file, white=65535), pixels >> (bits - 8))


@pytest.mark.parametrize(("zero", "said"), [(None, "go down to"), (32768, "to be scaled")])
def test_astronomers_16_bits_have_a_sign(zero, said):
    cards = {"SIMPLE": "T", "BITPIX": "16", "NAXIS": "2", "NAXIS1": "7", "NAXIS2": "6"}
    if zero is not None:
        cards["BZERO"] = str(zero)
    head = "".join(f"{name:8}= {value:>20}".ljust(80) for name, value in cards.items()) + "END".ljust(80)
    file = head.ljust(2880).encode() + (WIDE.astype(int) - 32768).astype(">i2").tobytes().ljust(2880, b"\0")
    with Image.open(io.BytesIO(file)) as image:
        assert image.format == "FITS"
    with pytest.raises(UserError, match=said):
        decode(file, white=65535)
