"""Which test images the report shows, each beside what the model read."""

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import numpy as np

from llmimg.report.record import Example
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import Layout

SHOWN = 8
_UNREAD = 128  # the gray of pixels whose text the model did not get to read


def evenly(count: int) -> np.ndarray:
    """Up to `SHOWN` places out of `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(SHOWN, count)).round().astype(int))


def surest_mistakes(table: Mapping[str, Sequence[Any]]) -> np.ndarray:
    """Up to `SHOWN` places of wrong predictions, the most probable first where that is known."""
    if "prediction" not in table:
        return np.empty(0, np.int64)
    wrong = np.flatnonzero(np.array(table["label"]) != np.array(table["prediction"]))
    if "probabilities" not in table:
        return wrong[:SHOWN]
    sureness = np.array([max(table["probabilities"][place]) for place in wrong])
    return wrong[np.argsort(-sureness, kind="stable")][:SHOWN]


def make_examples(
    places: np.ndarray,
    rows: np.ndarray,
    dataset: datasets.Dataset,
    table: Mapping[str, Sequence[Any]],
    encoder: Encoder,
    layout: Layout,
) -> list[Example]:
    """Examples of the test split.

    Args:
        places: which rows of `table`.
        rows: for each row of `table` its row in `dataset`.
        table: the columns of predictions.parquet.
    """
    if not len(places):
        return []
    images, _ = encoder.decoding(dataset[rows[places]]["image"])
    return [_example(int(place), image, table, encoder, layout) for place, image in zip(places, images, strict=True)]


def _example(
    place: int, image: np.ndarray, table: Mapping[str, Sequence[Any]], encoder: Encoder, layout: Layout
) -> Example:
    textifier, lookup = encoder.textifier, encoder.vocabulary.lookup
    pieces = textifier.write(image[None])
    tokens, read = len(lookup.spans(pieces)), encoder.pieces_read(pieces, layout.room)
    back = textifier.read(pieces, *image.shape[:2])
    if back is not None:
        back = back[0].copy()
        boxes = textifier.boxes(pieces, image[None])
        for left, top, right, bottom in boxes[read:]:
            back[top:bottom, left:right] = _UNREAD
    return Example(
        id=str(table["id"][place]),
        image=image,
        text=textifier.lexicon.text(pieces.values[:read]),
        unread=textifier.lexicon.text(pieces.values[read:]),
        tokens=min(tokens, layout.room),
        cut=max(tokens - layout.room, 0),
        reconstruction=back,
        label=table["label"][place] if "label" in table else "",
        prediction=table["prediction"][place] if "prediction" in table else "",
        probability=float(max(table["probabilities"][place])) if "probabilities" in table else float("nan"),
        log_likelihood=float(table["log_likelihood"][place]),
    )
