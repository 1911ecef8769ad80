"""Of which class is each part of the image? `"…image… mask: row3 car 0-4 tree 9-15 …"` (`grids`)."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field

from llmimg.data.annotations.moving import VOID
from llmimg.data.cells import class_counts, pooled
from llmimg.errors import UserError
from llmimg.metrics.segmentation import Segmentation, mean_iou_of
from llmimg.nearest import did_you_mean
from llmimg.paths import file_name
from llmimg.settings import one_of, settings_of
from llmimg.tasks.base import TASKS, Row, Task
from llmimg.tasks.endings import ending
from llmimg.tasks.figures import Bars, Figure, Gallery, Matrix
from llmimg.tasks.grids import FORMATS, GridText
from llmimg.tasks.info import DataInfo
from llmimg.tasks.mask_images import Mask, draw_mask, swatches, write_mask
from llmimg.tasks.measure import ByRows, Measure, Table, Weights
from llmimg.tasks.settings import AnswerSettings
from llmimg.tasks.templates import Prompts
from llmimg.textify import Grammar, Textifier
from llmimg.tokens.sample import Answer, Part

COMMONEST = "commonest"
Cells = Annotated[int, Field(ge=1, le=64)]  # along a side of the grid


@settings_of("task")
class SegmentSettings(AnswerSettings):
    """conf/task/segment.yaml.

    Attributes:
        grid: rows and columns of the grid of labels, 1 to 64 each.
        format: `rows` writes the number of each row that has something, and of each run of a label the label with its
            first column, and the last one; `runs` writes all rows as labels and run lengths.
        ground: the class that `rows` does not write, by name or number; `commonest` is that of most pixels of the
            training masks, and null writes all.
    """

    prompts: Prompts = ("{image}\nmask:",)
    grid: tuple[Cells, Cells] = (16, 16)
    format: Annotated[str, one_of(FORMATS)] = "rows"
    ground: str | None = COMMONEST

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format != "rows" and self.ground != COMMONEST:
            raise UserError(f"task.format={self.format} writes every class, so that task.ground would do nothing.")


@TASKS.register("segment")
@dataclass(frozen=True)
class Segment(Task):
    """A class for each cell of a grid, spread over what the model sees and brought back to the image."""

    Settings = SegmentSettings
    readouts = ("generate",)
    columns = ("mask",)
    measures = (
        Measure("mean_iou", "Mean IoU", "intersection over union of truth and prediction, every class counting alike"),
        Measure("pixel_accuracy", "Pixel accuracy", "share of pixels whose class is right"),
        Measure("mean_iou_grid", "Mean IoU, grid", "mean IoU of the grid as it was written, and the true one"),
        Measure("mean_iou_ceiling", "Mean IoU, ceiling", "mean IoU that the true grid has, brought to full size"),
        Measure("answer_pieces", "Pieces an answer", "mean length of the answers", "number", False, 0.0, None),
        Measure(
            "unread_answers", "Answers that break off", "share that was not read to the end", "share", False, 1.0, 0.0
        ),
    )
    row_measure = Measure("score", "Mean IoU", "mean IoU of an image by itself")

    def bind(self, info: DataInfo, textifier: Textifier) -> Self:
        bound = super().bind(info, textifier)
        if len(bound.names) < 2:
            raise UserError(
                "task=segment needs masks of two classes or more, and these data have none: name their column with "
                "data.mask_column=, or take other data."
            )
        bound.words  # noqa: B018 the ground is looked for now, so that a wrong one is told at once
        return bound

    @property
    def names(self) -> tuple[str, ...]:
        """The classes of masks."""
        return tuple(self.info.classes.get("mask", ()))

    @functools.cached_property
    def _numbers(self) -> list[int]:
        """What the source calls each class; its index where it has none."""
        numbers = self.info.numbers.get("mask", (None,) * len(self.names))
        return [index if number is None else number for index, number in enumerate(numbers)]

    @functools.cached_property
    def _ground(self) -> int | None:
        """The class that other things stand on: as it is called, or the commonest, where that is known."""
        ground, names = self.settings.ground, self.names
        if ground in names:
            return names.index(ground)
        if ground in (numbers := [str(number) for number in self._numbers]):
            return numbers.index(ground)
        if ground not in (None, COMMONEST):
            raise UserError(f"task.ground={ground} is no class of these masks: {did_you_mean(ground, names)}")
        counts = self.info.counts.get("mask")
        return None if counts is None else int(np.argmax(counts))

    @functools.cached_property
    def words(self) -> GridText:
        """What an answer is written with."""
        left_out = None if self.settings.ground is None or self.settings.format != "rows" else self._ground
        return FORMATS[self.settings.format](self.names, self.settings.grid, left_out)

    @property
    def grammar(self) -> Grammar:
        return self.words.grammar

    def appearance(self) -> np.ndarray:
        """Places and lengths are their numbers; a class is like itself alone."""
        return self.words.appearance()

    @property
    def cells(self) -> np.ndarray | None:
        return self.words.cells

    def budget(self, row: Row) -> int | None:
        rows, columns = self.settings.grid
        return None if self.cells is None else rows * columns

    @property
    def longest(self) -> int:
        return self.words.longest

    def check(self, rows: Iterable[Row]) -> None:
        self.check_scored(rows, "train")

    def check_scored(self, rows: Iterable[Row], split: str) -> None:
        if all((row["mask"] == VOID).all() for row in rows):
            raise UserError(f"All masks of the {split} split are void, which says nothing of any class: see data.void.")

    def answer(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        return (self.words.write(self._grid(row)),)

    def _grid(self, row: Row, mask: np.ndarray | None = None) -> np.ndarray:
        """The truth of a row, or a mask on its image, on the grid over what the model sees."""
        mask = row["mask"] if mask is None else mask
        if mask.shape != tuple(row["size"]) or ((mask >= len(self.names)) & (mask != VOID)).any():
            raise UserError(
                f"The mask of {row['id']} is not of its image's size, or has a number that is of none of the "
                f"{len(self.names)} classes."
            )
        mask = mask if row.get("placement") is None else row["placement"].mask(mask, VOID)
        return pooled(mask, self.settings.grid, len(self.names), self._ground)

    def truth(self, row: Row) -> Mask:
        return Mask(row["mask"], size=tuple(row["size"]))

    def read(self, answer: Answer, row: Row) -> Mask:
        problem = answer.problem or ending(answer.finish) or None
        pieces = answer.pieces
        if pieces is None:
            problem, pieces = problem or "There is no answer.", np.empty(0, np.int64)
        cells = self.words.read(pieces, finished=problem is None)
        return Mask(cells, seen=True, pieces=len(pieces), problem=problem).on(row)

    def metrics(self, predictions: Sequence[Mask], rows: Sequence[Row], intervals: bool = True) -> dict[str, float]:
        grids = [self._grid(row) for row in rows]
        on_grid = self._score(iter(grids), (self._on_grid(*pair) for pair in zip(predictions, rows, strict=True)))
        ceiling = self._full(rows, (Mask(grid, seen=True) for grid in grids))
        found = self._full(rows, predictions).metrics(intervals)
        found |= {"mean_iou_grid": on_grid.values()["mean_iou"], "mean_iou_ceiling": ceiling.values()["mean_iou"]}
        pieces = [mask.pieces for mask in predictions if mask.pieces is not None]
        if pieces:
            found |= {"answer_pieces": float(np.mean(pieces))}
            found |= {"unread_answers": float(np.mean([mask.problem is not None for mask in predictions]))}
        return found

    def _on_grid(self, prediction: Mask, row: Row) -> np.ndarray:
        if prediction.seen and prediction.cells.shape == tuple(self.settings.grid):
            return prediction.cells
        return self._grid(row, prediction.on(row).full())

    def _full(self, rows: Sequence[Row], predictions: Sequence[Mask] | Iterator[Mask]) -> Segmentation:
        found = (mask.on(row).full() for mask, row in zip(predictions, rows, strict=True))
        return self._score((row["mask"] for row in rows), found)

    def _score(self, truths: Iterator[np.ndarray], found: Iterator[np.ndarray]) -> Segmentation:
        return Segmentation(truths, found, len(self.names), VOID)

    def per_row(self, predictions: Sequence[Mask], rows: Sequence[Row]) -> np.ndarray:
        return self._full(rows, predictions).per_row()

    def table(self, predictions: Sequence[Mask], rows: Sequence[Row]) -> Table:
        """Besides what every table has, of each class the pixels that it has, that are said to be of it, and that are
        both; how long the answer was, and why it was not read to the end."""
        score = self._full(rows, predictions)
        return {
            "truth": [self.text(self.truth(row)) for row in rows],
            "prediction": [self.text(mask.on(row)) for mask, row in zip(predictions, rows, strict=True)],
            "score": score.per_row(),
            "true_pixels": score.truth.tolist(),
            "found_pixels": score.predicted.tolist(),
            "right_pixels": score.hits.tolist(),
            "pieces": [mask.pieces for mask in predictions],
            "problem": [mask.problem for mask in predictions],
        }

    @classmethod
    def headline(cls, table: Table) -> ByRows:
        counts = [np.array(list(map(list, table[f"{name}_pixels"]))) for name in ("right", "true", "found")]

        def mean_iou(weights: Weights = None) -> float:
            return mean_iou_of(*(each.sum(axis=0) if weights is None else weights @ each for each in counts))

        return mean_iou

    def text(self, prediction: Mask) -> str:
        """The shares of its classes, the largest first."""
        shares = prediction.shares(len(self.names))
        names = (*self.names, "void")
        return ", ".join(f"{names[index]} {shares[index]:.1%}" for index in np.argsort(-shares) if shares[index])

    def as_json(self, prediction: Mask) -> dict[str, Any]:
        """The share of pixels that each class has; those that are of none are void."""
        *shares, void = prediction.shares(len(self.names)).tolist()
        return {"void": void, "classes": dict(zip(self.names, shares, strict=True))}

    def figures(self, predictions: Sequence[Mask], rows: Sequence[Row]) -> list[Figure]:
        ceiling = self._full(rows, (Mask(self._grid(row), seen=True) for row in rows))
        score = self._full(rows, predictions)
        found = score.by_class()
        columns = {"IoU": found["iou"], "ceiling": ceiling.by_class()["iou"], "pixels": found["pixels"].astype(float)}
        units = {"IoU": "share", "ceiling": "share", "pixels": "count"}
        meaning = "The ceiling is what the true grid would have, brought to full size; empty without a pixel."
        told = (*self.names, "void")
        colours = zip(told, swatches(len(self.names)), strict=True)
        captions, images = zip(*[each for index, each in enumerate(colours) if index != self._ground], strict=True)
        note = "" if self._ground is None else f"In drawings; {self.names[self._ground]} is left without one."
        return [
            Bars("IoU by class", self.names, columns, units, meaning),
            Matrix("Pixels by class", score.confusion.astype(float), self.names, told, counted="pixels"),
            Gallery("Colours of classes", images, captions, note),
        ]

    def draw(self, image: np.ndarray, prediction: Mask) -> np.ndarray:
        return draw_mask(image, prediction.full(image.shape[:2]), len(self.names), self._ground)

    def export(self, predictions: Sequence[Mask], rows: Sequence[Row], folder: Path) -> None:
        """PNG files of the source's own class numbers, called by the rows' ids: `/` is `%2F` there, and so on."""
        for mask, row in zip(predictions, rows, strict=True):
            write_mask(folder / f"{file_name(str(row['id']))}.png", mask.on(row).full(), self._numbers)

    def on(self, prediction: Mask, row: Row) -> Mask:
        return dataclasses.replace(prediction, seen=True).on(row)

    def constant(self, rows: Sequence[Row]) -> Mask:
        """The commonest class of each cell."""
        cells = np.arange(np.prod(self.settings.grid)).reshape(self.settings.grid)
        counts = np.zeros((cells.size, len(self.names)), np.int64)
        for row in rows:
            counts += class_counts(self._grid(row), cells, cells.size, len(self.names))
        commonest = np.where(counts.any(axis=1), counts.argmax(axis=1), VOID)
        return Mask(commonest.astype(np.uint8).reshape(cells.shape), seen=True)
