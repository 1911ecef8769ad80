"""Test images beside what the model read of them."""

from dataclasses import replace

import datasets
import numpy as np

from llmimg.tasks.figures import Shown
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import Layout

_TRUNCATED = 128  # the gray of pixels whose text was truncated


def shown_texts(
    data: datasets.Dataset, numbers: np.ndarray, given: np.ndarray, encoder: Encoder, layout: Layout
) -> list[Shown]:
    """Rows of a split as a language model reads them.

    Args:
        given: the row whose image stands for that of each, int64; −1 is no image.
    """
    if not len(numbers):
        return []
    images = encoder.decoding.whole(data[numbers]["image"])
    if (given < 0).any():
        return [Shown(image) for image in images]
    others = images if (given == numbers).all() else encoder.decoding.whole(data[given]["image"])
    return [replace(_shown(other, encoder, layout), image=image) for image, other in zip(images, others, strict=True)]


def _shown(image: np.ndarray, encoder: Encoder, layout: Layout) -> Shown:
    textifier, lookup = encoder.textifier, encoder.vocabulary.lookup
    pieces = textifier.write(image[None])
    tokens, read = len(lookup.spans(pieces)), encoder.pieces_read(pieces, layout.room)
    back = textifier.read(pieces, *image.shape[:2])
    if back is not None:
        back = back[0].copy()
        boxes = textifier.boxes(pieces, image[None])
        for left, top, right, bottom in boxes[read:]:
            back[top:bottom, left:right] = _TRUNCATED
    return Shown(
        image=image,
        text=textifier.lexicon.text(pieces.values[:read]),
        unread=textifier.lexicon.text(pieces.values[read:]),
        tokens=min(tokens, layout.room),
        cut=max(tokens - layout.room, 0),
        reconstruction=back,
    )
