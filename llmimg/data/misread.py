"""Files whose samples Pillow gives otherwise than they are stored, without a word: put right, or refused."""

import re

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from llmimg.data.depth import REMEDY
from llmimg.errors import UserError

# Tags of TIFF.
_BITS, _WHITE_IS, _PLANES, _SIGNED = 258, 262, 284, 339
_FITS_SCALE = re.compile(rb"^(BZERO|BSCALE) *= *([^ /]+)")
# What a gray PNG's levels of fewer bits are multiplied by when they are read; its transparent level is not.
_LEVELS = {"L;2": 85, "L;4": 17}


def wide_planes(image: Image.Image) -> bool:
    """Whether an image that is not read yet is a TIFF of more than 8 bits a sample with a plane for each channel, of
    which Pillow makes noise."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(_PLANES) == 2 and len(tags.get(_BITS, ())) > 1 and max(tags[_BITS]) > 8


def clear_level(image: Image.Image) -> None:
    """Bring the transparent level of a gray PNG that is not read yet to the scale of its pixels, in place."""
    clear = image.info.get("transparency")
    if isinstance(image, ImageFile) and image.format == "PNG" and image.mode == "L" and isinstance(clear, int):
        image.info["transparency"] = clear * max(_LEVELS.get(str(tile.args), 1) for tile in image.tile)


def check_sign(image: Image.Image) -> None:
    """Refuse 8-bit samples that a TIFF says to have a sign and Pillow reads without one.

    Raises:
        UserError: saying so.
    """
    signed = 2 in getattr(image, "tag_v2", {}).get(_SIGNED, ())
    if signed and image.mode == "L" and np.asarray(image).max() > 127:
        raise UserError(f"its samples have a sign, and some are below 0, which has no stated range; {REMEDY}")


def as_stored(image: Image.Image, samples: np.ndarray, data: bytes | None) -> np.ndarray:
    """The samples of more than 8 bits of a gray image, int64, as its file means them.

    Args:
        samples: as Pillow gives them, int64.
        data: the file, where the image was opened from one.

    Raises:
        UserError: FITS whose numbers are to be scaled.
    """
    tags = getattr(image, "tag_v2", {})
    if tags.get(_WHITE_IS) == 0:  # white is zero
        return 2 ** tags[_BITS][0] - 1 - samples
    if image.format != "FITS":
        return samples
    cards = [_FITS_SCALE.match((data or b"")[start : start + 80]) for start in range(0, len(data or b""), 80)]
    if any(float(card[2]) != (card[1] == b"BSCALE") for card in cards if card):
        raise UserError(f"its samples are to be scaled (BZERO, BSCALE), which is not done here; {REMEDY}")
    return samples.astype(np.int16).astype(np.int64) if image.mode.startswith("I;16") else samples


def jpeg2000_bits(image: Image.Image) -> int:
    """The bits of a sample of a JPEG 2000 image that is not read yet, 8 where it is none: of more than 8 in colour
    Pillow rounds up, and white becomes black."""
    if image.format != "JPEG2000" or not isinstance(image, ImageFile) or image.fp is None:
        return 8
    position = image.fp.tell()
    image.fp.seek(0)
    _, marker, sizes = image.fp.read().partition(b"\xff\x4f\xff\x51")  # the beginning of the codestream, and SIZ
    image.fp.seek(position)
    return (sizes[38] & 0x7F) + 1 if marker and len(sizes) > 38 else 8
