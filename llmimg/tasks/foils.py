"""Captions that are like an image's own and not right, with one thing changed: whether they are told from it."""

import collections
from collections.abc import Iterable, Sequence

import numpy as np

from llmimg.errors import UserError
from llmimg.metrics.words import folded
from llmimg.tasks.base import Row
from llmimg.tasks.words import texts_of

EXTRAS = ("foils", "foil_kinds")  # columns

Margins = Sequence[float]  # by how much the best of a row's own captions is above each of its foils


def check_foils(rows: Iterable[Row], split: str) -> None:
    """Refuse foils that are not what they are said to be.

    Raises:
        UserError: naming the first row.
    """
    for row in rows:
        foils, kinds = row.get("foils") or (), row.get("foil_kinds")
        if kinds and len(kinds) != len(foils):
            raise UserError(
                f"Row {row['id']} of the {split} split has {len(foils)} foils and {len(kinds)} foil_kinds: give each "
                "foil its kind, or leave foil_kinds out."
            )
        if right := {*map(folded, foils)} & {*map(folded, texts_of(row["caption"]))}:
            raise UserError(
                f"Row {row['id']} of the {split} split has its own caption among its foils ({min(right)!r}): a foil is "
                "a caption that is not right."
            )


def margins_of(row: Row, own: Sequence[float] | np.ndarray, foils: np.ndarray | None) -> tuple[float, ...]:
    """A row's margins.

    Args:
        own: the scores of its own captions.
        foils: those of its foils, float `[F]`, what fills up behind them; None where they were not scored.
    """
    count = len(row.get("foils") or ())
    return () if foils is None else tuple(float(max(own)) - float(each) for each in foils[:count])


def shares_beaten(margins: Sequence[Margins], rows: Sequence[Row]) -> dict[str, float]:
    """The share of rows, of those that have foils, whose own caption is above all of them, as `""`; and of the foils of
    each kind the share that are beaten. What is as good is not beaten."""
    every = [min(each) > 0 for each in margins if each]
    if not every:
        return {}
    found: dict[str, list[bool]] = collections.defaultdict(list)
    for each, row in zip(margins, rows, strict=True):
        for kind, margin in zip(row.get("foil_kinds") or (), each, strict=False):
            found[kind].append(margin > 0)
    return {"": float(np.mean(every)), **{kind: float(np.mean(beaten)) for kind, beaten in sorted(found.items())}}
