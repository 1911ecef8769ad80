"""Of which class is each part of the image? The answer is a grid of labels, written as text."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import quote

import numpy as np

from llmimg.data.annotations.moving import VOID
from llmimg.data.cells import class_counts, pooled
from llmimg.data.placement import Placement, stretched
from llmimg.errors import UserError
from llmimg.metrics.segmentation import Segmentation
from llmimg.settings import choose, nearest
from llmimg.tasks.contract import DataInfo, Measure, Row, Task
from llmimg.tasks.endings import ending
from llmimg.tasks.figures import Bars, Figure, Gallery, Matrix
from llmimg.tasks.grids import FORMATS, GridText
from llmimg.tasks.mask_images import painted, palette, write_mask
from llmimg.textify import Grammar, Textifier
from llmimg.tokens.sample import Answer, Part

COMMONEST = "commonest"
_MOST_CELLS = 64  # along a side of the grid
_SWATCH = (32, 32, 1)


@dataclass(frozen=True)
class SegmentSettings:
    """conf/task/segment.yaml.

    Attributes:
        grid: rows and columns of the grid of labels, 1 to 64 each.
        format: `rows` writes the number of each row that has something, and of each run of a label the label with its
            first column, and the last one; `runs` writes all rows as labels and run lengths.
        ground: the class that `rows` does not write, by name or number; `commonest` is that of most pixels of the
            training masks, and null writes all.
    """

    grid: tuple[int, int] = (16, 16)
    format: str = "rows"
    ground: str | None = COMMONEST

    def __post_init__(self):
        if not all(1 <= side <= _MOST_CELLS for side in self.grid):
            raise UserError(f"task.grid={list(self.grid)} is out of range: each side takes 1 to {_MOST_CELLS}.")
        choose(self.format, FORMATS, "task.format")
        if self.format != "rows" and self.ground != COMMONEST:
            raise UserError(f"task.format={self.format} writes every class, so that task.ground would do nothing.")


@dataclass(frozen=True, eq=False)
class Mask:
    """Classes of an image.

    Attributes:
        cells: class numbers, uint8 `[h, w]`, 255 for void.
        seen: whether they are spread evenly over what the model sees, rather than over the image.
        size: (height, width) of the image; None fits to any.
        placement: of the image in what the model sees; None where it is that.
        pieces: how many it was written with, where it was.
        problem: why an answer could not be read, or not to its end.
    """

    cells: np.ndarray
    seen: bool = False
    size: tuple[int, int] | None = None
    placement: Placement | None = None
    pieces: int | None = None
    problem: str | None = None

    def on(self, row: Row) -> Self:
        """As it lies on the image of a row."""
        placement = row["placement"] if self.seen else None
        return dataclasses.replace(self, size=tuple(row["size"]), placement=placement)

    def full(self, size: tuple[int, int] | None = None) -> np.ndarray:
        """uint8 `[*size]`, by the nearest cell; void where the model saw nothing. The size is the image's own, if it is
        not given."""
        own = self.size or self.cells.shape
        mask = stretched(self.cells, own if self.placement is None else self.placement.size)
        if self.placement is not None:
            mask = self.placement.inverse(own).mask(mask, VOID)
        return mask if size is None else stretched(mask, size)


@dataclass(frozen=True)
class Segment(Task):
    """A class for each cell of a grid, spread over what the model sees and brought back to the image."""

    Settings: ClassVar[type] = SegmentSettings
    readouts: ClassVar[tuple[str, ...]] = ("generate",)
    columns: ClassVar[tuple[str, ...]] = ("mask",)
    measures: ClassVar[tuple[Measure, ...]] = (
        Measure("mean_iou", "Mean IoU", "intersection over union of truth and prediction, every class counting alike"),
        Measure("pixel_accuracy", "Pixel accuracy", "share of pixels whose class is right"),
        Measure("mean_iou_grid", "Mean IoU on the grid", "the same, on the grid as it was written"),
        Measure("mean_iou_ceiling", "Its ceiling", "mean IoU that the true grid would have, brought to full size"),
        Measure("answer_pieces", "Pieces an answer", "mean length of the answers", "number", False, 0.0, None),
        Measure("unread_answers", "Answers not read", "share that was not read to its end", "share", False, 1.0, 0.0),
    )

    def bind(self, info: DataInfo, textifier: Textifier) -> Self:
        bound = super().bind(info, textifier)
        if len(bound._names) < 2:
            raise UserError(
                "task=segment needs masks of two classes or more, and these data have none: name their column with "
                "data.mask_column=, or take other data."
            )
        bound._text  # noqa: B018 the ground is looked for now, so that a wrong one is told at once
        return bound

    @property
    def _names(self) -> tuple[str, ...]:
        return self.info.classes.get("mask", ())

    @functools.cached_property
    def _numbers(self) -> list[int]:
        """What the source calls each class; its place where it has none."""
        numbers = self.info.numbers.get("mask", (None,) * len(self._names))
        return [place if number is None else number for place, number in enumerate(numbers)]

    @functools.cached_property
    def _ground(self) -> int | None:
        ground, names = self.settings.ground, self._names
        if ground is None or self.settings.format != "rows":
            return None
        if ground in names:
            return names.index(ground)
        if ground in (numbers := [str(number) for number in self._numbers]):
            return numbers.index(ground)
        if ground != COMMONEST:
            raise UserError(f"task.ground={ground} is no class of these masks: {nearest(ground, names)}")
        counts = self.info.counts.get("mask")
        return None if counts is None else int(np.argmax(counts))

    @functools.cached_property
    def _text(self) -> GridText:
        return FORMATS[self.settings.format](self._names, self.settings.grid, self._ground)

    @property
    def grammar(self) -> Grammar:
        return self._text.grammar

    @property
    def cells(self) -> np.ndarray | None:
        return self._text.cells

    def budget(self, row: Row) -> int | None:
        rows, columns = self.settings.grid
        return None if self.cells is None else rows * columns

    @property
    def longest(self) -> int:
        return self._text.longest

    def answer(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        return (self._text.write(self._grid(row)),)

    def _grid(self, row: Row, mask: np.ndarray | None = None) -> np.ndarray:
        """The truth of a row, or a mask on its image, on the grid over what the model sees."""
        mask = row["mask"] if mask is None else mask
        if mask.shape != tuple(row["size"]) or ((mask >= len(self._names)) & (mask != VOID)).any():
            raise UserError(
                f"The mask of {row['id']} is not of its image's size, or has a number that is of none of the "
                f"{len(self._names)} classes."
            )
        mask = mask if row["placement"] is None else row["placement"].mask(mask, VOID)
        return pooled(mask, self.settings.grid, len(self._names), self._ground)

    def truth(self, row: Row) -> Mask:
        return Mask(row["mask"], size=tuple(row["size"]))

    def read(self, answer: Answer, row: Row) -> Mask:
        problem = answer.problem or ending(answer.finish) or None
        pieces = np.empty(0, np.int64) if answer.pieces is None else answer.pieces
        if answer.pieces is None:
            problem = problem or "not read"
        cells = self._text.read(pieces, finished=problem is None)
        return Mask(cells, seen=True, pieces=len(pieces), problem=problem).on(row)

    def metrics(self, predictions: Sequence[Mask], rows: Sequence[Row], intervals: bool = True) -> dict[str, float]:
        truths = (self._grid(row) for row in rows)
        on_grid = self._score(truths, (self._on_grid(*pair) for pair in zip(predictions, rows, strict=True)))
        ceiling = self._full(rows, (Mask(self._grid(row), seen=True) for row in rows))
        found = self._full(rows, predictions).metrics(intervals)
        found |= {"mean_iou_grid": on_grid.values()["mean_iou"], "mean_iou_ceiling": ceiling.values()["mean_iou"]}
        pieces = [mask.pieces for mask in predictions if mask.pieces is not None]
        if pieces:
            found |= {"answer_pieces": float(np.mean(pieces))}
            found |= {"unread_answers": float(np.mean([mask.problem is not None for mask in predictions]))}
        return found

    def _on_grid(self, prediction: Mask, row: Row) -> np.ndarray:
        return prediction.cells if prediction.seen else self._grid(row, prediction.on(row).full())

    def _full(self, rows: Sequence[Row], predictions: Sequence[Mask] | Iterator[Mask]) -> Segmentation:
        found = (mask.on(row).full() for mask, row in zip(predictions, rows, strict=True))
        return self._score((row["mask"] for row in rows), found)

    def _score(self, truths: Iterator[np.ndarray], found: Iterator[np.ndarray]) -> Segmentation:
        return Segmentation(truths, found, len(self._names), VOID)

    def per_row(self, predictions: Sequence[Mask], rows: Sequence[Row]) -> np.ndarray:
        return self._full(rows, predictions).per_row()

    def table(self, predictions: Sequence[Mask], rows: Sequence[Row]) -> dict[str, Sequence[Any]]:
        told = super().table([mask.on(row) for mask, row in zip(predictions, rows, strict=True)], rows)
        pieces, problems = ([getattr(mask, name) for mask in predictions] for name in ("pieces", "problem"))
        return told | {"pieces": pieces, "problem": [problem or "" for problem in problems]}

    def text(self, prediction: Mask) -> str:
        """The shares of its classes, the largest first."""
        shares = sorted(self._shares(prediction).items(), key=lambda item: -item[1])
        return ", ".join(f"{name} {share:.1%}" for name, share in shares if share)

    def plain(self, prediction: Mask) -> dict[str, Any]:
        """The share of pixels that each class has; those that are of none are void."""
        shares = self._shares(prediction)
        return {"void": shares.pop("void"), "classes": shares}

    def _shares(self, prediction: Mask) -> dict[str, float]:
        mask = prediction.full()
        counts = np.bincount(mask.reshape(-1), minlength=VOID + 1)[[*range(len(self._names)), VOID]]
        return dict(zip((*self._names, "void"), (counts / mask.size).tolist(), strict=True))

    def figures(self, predictions: Sequence[Mask], rows: Sequence[Row]) -> list[Figure]:
        score = self._full(rows, predictions)
        ceiling = self._full(rows, (Mask(self._grid(row), seen=True) for row in rows))
        by_class = score.by_class()
        truth = np.maximum(score.confusion.sum(axis=1, keepdims=True), 1)
        return [
            Bars(
                "IoU by class",
                self._names,
                {"IoU": by_class["iou"], "ceiling": ceiling.by_class()["iou"], "pixels": by_class["pixels"]},
                {"IoU": "share", "ceiling": "share", "pixels": "count"},
                "Of the pixels that are of a class, or are said to be, the share that is and is said so; and what the "
                "true grid would have.",
            ),
            Matrix(
                "Pixels by class",
                score.confusion / truth,
                self._names,
                (*self._names, "void"),
                meaning="Of the pixels of each true class, the shares that are said to be of each.",
            ),
            Gallery(
                "Colours",
                tuple(np.full(_SWATCH, 1, np.uint8) * colour for colour in palette()[[*range(len(self._names)), VOID]]),
                (*self._names, "void"),
            ),
        ]

    def draw(self, image: np.ndarray, prediction: Mask) -> np.ndarray:
        return painted(image, prediction.full(image.shape[:2]))

    def export(self, predictions: Sequence[Mask], rows: Sequence[Row], folder: Path) -> None:
        """PNG files of the source's own class numbers, called by the rows' ids."""
        for mask, row in zip(predictions, rows, strict=True):
            write_mask(folder / f"{quote(str(row['id']), safe=' ')}.png", mask.on(row).full(), self._numbers)

    def constant(self, rows: Sequence[Row]) -> Mask:
        """The commonest class of each cell."""
        cells = np.arange(np.prod(self.settings.grid)).reshape(self.settings.grid)
        counts = sum(class_counts(self._grid(row), cells, cells.size, len(self._names)) for row in rows)
        commonest = np.where(counts.any(axis=1), counts.argmax(axis=1), VOID)
        return Mask(commonest.astype(np.uint8).reshape(cells.shape), seen=True)
