"""Which test images the report shows, each beside what the model read."""

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import numpy as np

from llmimg.report.record import Example
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import Layout

SHOWN = 8


def evenly(count: int) -> np.ndarray:
    """Up to `SHOWN` places out of `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(SHOWN, count)).round().astype(int))


def surest_mistakes(table: Mapping[str, Sequence[Any]]) -> np.ndarray:
    """Up to `SHOWN` places of wrong predictions, the most probable first."""
    wrong = np.flatnonzero(np.array(table["label"]) != np.array(table["prediction"]))
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
    examples = []
    images, _ = encoder.decoding(dataset[rows[places]]["image"])
    back = encoder.way_back(images) or [None] * len(images)
    for place, image, other in zip(places, images, back, strict=True):
        pieces = encoder.textifier.write(image[None])
        tokens = len(encoder.vocabulary.lookup(pieces).values)
        examples.append(
            Example(
                id=str(table["id"][place]),
                image=image,
                text=encoder.textifier.texts(pieces)[0],
                tokens=min(tokens, layout.room),
                cut=max(tokens - layout.room, 0),
                way_back=other,
                label=table["label"][place],
                prediction=table["prediction"][place],
                probability=float(max(table["probabilities"][place])),
            )
        )
    return examples
