"""Samples of more than 8 bits → uint8, by the value that counts as white.

A file of 16 or 32 bits a sample may hold 8, 10, 12, 14 or 16 bits: formats say how wide a sample is stored, and few say
how far it goes. What counts as white is therefore found from the samples of the training split: the largest of the
smallest of these depths that holds them all.
"""

import numpy as np

from llmimg.errors import UserError

DEPTHS = (8, 10, 12, 14, 16)  # bits
FEWEST = 32  # values below this say nothing: they may be 0..15 of 16 levels, or the darkest of 256
REMEDY = "save the images with 8 bits a sample"


def check_white(white: int | None) -> None:
    """Refuse a value that is not the largest of one of `DEPTHS`.

    Raises:
        UserError: saying so.
    """
    if white is not None and white not in [2**bits - 1 for bits in DEPTHS]:
        raise UserError(f"The value that counts as white is {white}: it must be the largest of {DEPTHS} bits.")


def white_for(largest: int) -> int:
    """255, 1023, 4095, 16383 or 65535: what counts as white where no sample is larger than `largest`.

    Raises:
        UserError: where that cannot be known, because the samples go beyond 16 bits or stay below 5.
    """
    if largest < FEWEST:
        raise UserError(
            f"the largest of its samples is {largest}, and what counts as white cannot be known from that; {REMEDY}"
        )
    for bits in DEPTHS:
        if largest < 2**bits:
            return 2**bits - 1
    raise UserError(f"its samples go up to {largest:,}, beyond 16 bits: they are numbers of no stated range; {REMEDY}")


def to_8_bits(samples: np.ndarray, white: int | None) -> np.ndarray:
    """Integers 0..white of any dtype and shape → uint8, their eight highest bits; 0..255 stay as they are.

    Raises:
        UserError: samples below 0 or beyond `white`, or no `white`.
    """
    smallest, largest = int(samples.min()), int(samples.max())
    if smallest < 0:
        raise UserError(f"its samples go down to {smallest}: numbers below 0 have no stated range; {REMEDY}")
    if white is None:
        raise UserError(
            f"its samples have more than 8 bits (up to {largest:,}), and no training image says what counts as white "
            f"there; {REMEDY}"
        )
    if largest > white:
        raise UserError(
            f"its samples go up to {largest:,}, beyond {white:,}, which counts as white because no training image goes "
            f"further; {REMEDY}"
        )
    return (samples.astype(np.int64) >> (white.bit_length() - 8)).astype(np.uint8)
