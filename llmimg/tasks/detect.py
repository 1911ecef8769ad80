"""Which objects are in the image, and where? `"…image… objects: y4 x7 y20 x15 cat y0 x3 …"` (`object_words`)."""

import collections
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field

from llmimg.data.motion import as_corners
from llmimg.errors import UserError
from llmimg.metrics.boxes import Objects, non_maximum_suppression
from llmimg.settings import Share, Unit, settings_of
from llmimg.tasks.base import TASKS, Row, Task
from llmimg.tasks.detections import (
    MEASURES,
    Detections,
    checked_corners,
    has_area,
    json_objects,
    no_objects,
    on_image,
    read_written,
    seen_size,
    sure,
    written,
)
from llmimg.tasks.figures import Figure
from llmimg.tasks.info import DataInfo
from llmimg.tasks.measure import ByRows, Measure, Table
from llmimg.tasks.object_words import LENGTH, ObjectWords, confidence
from llmimg.tasks.settings import AnswerSettings
from llmimg.tasks.templates import Prompts
from llmimg.textify import Grammar, Textifier
from llmimg.tokens.sample import Answer, Part, Pieces

if TYPE_CHECKING:
    from llmimg.metrics.detection import Detection


@settings_of("task")
class DetectSettings(AnswerSettings):
    """conf/task/detect.yaml.

    Attributes:
        bins: parts that each side of the image is divided into, 2 or more. A corner is at the nearest of the bins + 1
            edges: at most half a bin off, and exact where it is at a whole pixel and the side has `bins` pixels.
        most: objects that are written of one image, at most.
        order: of the objects in an answer to learn: `sorted`, in reading order (by their upper left corner), or
            `random`, anew in every epoch. Where nothing is learned, as in a validation loss, they are sorted.
        duplicates: overlap (IoU), 0 to 1: what overlaps a surer box of its class by more is dropped; null keeps all.
    """

    prompts: Prompts = ("{image}\nobjects:",)
    bins: Annotated[int, Field(ge=2)] = 32
    most: Annotated[int, Field(ge=1), Unit("objects")] = 10
    order: Literal["sorted", "random"] = "sorted"
    duplicates: Share | None = None

    @property
    def varied(self) -> bool:
        return self.order == "random" or super().varied


@settings_of()
class DetectBounds:
    """Which boxes `predict` gives.

    Attributes:
        score: the least.
        most: how many, of an image, at most: the surest; None gives all.
    """

    score: Share = 0.0
    most: Annotated[int, Field(ge=1), Unit("objects")] | None = None


@TASKS.register("detect")
@dataclass(frozen=True)
class Detect(Task):
    """Objects in boxes, with scores. A row's are as `llmimg.data.columns` has them; crowds (`iscrowd`) are not learned,
    and count neither for nor against."""

    Settings, Bounds = DetectSettings, DetectBounds
    readouts = ("generate",)
    columns = ("objects",)
    measures = MEASURES
    row_measure = Measure("score", "F1", "F1 of an image's objects and what was found, at the overlap 0.5")
    exact = False

    @property
    def names(self) -> tuple[str, ...]:
        """The classes of objects."""
        return tuple(self.info.classes.get("objects", ()))

    @functools.cached_property
    def words(self) -> ObjectWords:
        """What an answer is written with."""
        return ObjectWords(self.names, self.settings.bins)

    def bind(self, info: DataInfo, textifier: Textifier) -> Self:
        bound = super().bind(info, textifier)
        if not bound.names:
            raise UserError(
                "task=detect needs objects, and these data have none: choose data with boxes, or say with "
                "data.objects_column= where they stand."
            )
        if (mistaken := bound.words.mistaken()) is not None:
            raise UserError(
                f"The class '{mistaken}' has a word that is a coordinate in an answer, as y0 to x{self.settings.bins} "
                "are: call it otherwise with data.label_names."
            )
        return bound

    @property
    def grammar(self) -> Grammar:
        return self.words.grammar

    def appearance(self) -> np.ndarray:
        """Places are their numbers, down and to the right; classes look like nothing."""
        return self.words.appearance()

    @property
    def cells(self) -> np.ndarray:
        return self.words.completing

    def budget(self, row: Row) -> int:
        return self.settings.most

    @property
    def longest(self) -> int:
        return LENGTH * self.settings.most

    def check(self, rows: Iterable[Row]) -> None:
        counts = [(row["id"], len(self._to_find(row))) for row in rows]
        full = [(row, count) for row, count in counts if count > self.settings.most]
        if full:
            most, first = max(count for _, count in full), full[0][0]
            raise UserError(
                f"{len(full):,} of {len(counts):,} training images have more objects than task.most="
                f"{self.settings.most}, the first is row {first}: set task.most={most}, as many as the fullest has, or "
                "leave them out."
            )

    def check_scored(self, rows: Iterable[Row], split: str) -> None:
        if not any(len(self._to_find(row)) for row in rows):
            raise UserError(f"No image of the {split} split has an object, so that nothing can be found there.")

    def answer(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        objects = self._to_find(row)
        corners = checked_corners(objects, row["size"], self.names, row["id"])
        if row.get("placement") is not None:
            corners = row["placement"].boxes(corners)
        seen = has_area(corners)
        if seed is not None and seen.sum() > self.settings.most:
            raise UserError(f"Row {row['id']} has {seen.sum()} objects, more than task.most={self.settings.most}.")
        pieces = self.words.write(corners[seen], objects.classes[seen], seen_size(row))
        if seed is not None and self.settings.order == "random":
            pieces = np.random.default_rng(int(seed)).permutation(pieces)
        else:
            pieces = pieces[np.lexsort(pieces.T[::-1])]
        return (Pieces(pieces.reshape(-1)),)

    def truth(self, row: Row) -> Detections:
        known = row["objects"]
        return Detections(Objects(known["bbox"], known["category"], crowd=known.get("iscrowd")), row["size"])

    def read(self, answer: Answer, row: Row) -> Detections:
        """Where the answer has no log-probabilities, every box is sure (1)."""
        if answer.pieces is None:
            return Detections(no_objects(), row["size"], problem=answer.problem or "There is no answer.")
        whole = len(answer.pieces) // LENGTH * LENGTH
        corners, classes = self.words.read(answer.pieces[:whole].reshape(-1, LENGTH), seen_size(row))
        known = answer.log_probabilities
        scores = np.ones(len(corners)) if known is None else confidence(known[:whole].reshape(-1, LENGTH))
        found, degenerate = on_image(corners, classes, scores, row)
        if self.settings.duplicates is not None:
            found = found[non_maximum_suppression(found, self.settings.duplicates)]
        broken = "The last object breaks off." if whole < len(answer.pieces) else None
        return Detections(found, row["size"], degenerate, answer.problem or broken)

    def metrics(
        self, predictions: Sequence[Detections], rows: Sequence[Row], intervals: bool = True
    ) -> dict[str, float]:
        return self._scored(predictions, rows).metrics(intervals) | {
            "degenerate_boxes": float(np.mean([each.degenerate for each in predictions])),
            "unread_answers": float(np.mean([each.problem is not None for each in predictions])),
        }

    def per_row(self, predictions: Sequence[Detections], rows: Sequence[Row]) -> np.ndarray:
        """F1 at the overlap 0.5: 1 where nothing is, and nothing is found."""
        return self._scored(predictions, rows).per_row()

    def table(self, predictions: Sequence[Detections], rows: Sequence[Row]) -> Table:
        """Besides what every table has, `true_objects` and `found_objects` as JSON, and what was not read."""
        truths = [self.truth(row) for row in rows]
        return {
            "truth": [self.text(each) for each in truths],
            "prediction": [self.text(each) for each in predictions],
            "score": self.per_row(predictions, rows),
            "true_objects": [written(each.objects, self.names) for each in truths],
            "found_objects": [written(each, self.names) for each in self._found(predictions, rows)],
            "degenerate_boxes": [each.degenerate for each in predictions],
            "problem": [each.problem for each in predictions],
        }

    @classmethod
    def headline(cls, table: Table) -> ByRows:
        from llmimg.metrics.detection import Detection

        numbers: dict[str, int] = {}
        truth, found = (read_written(table[name], numbers) for name in ("true_objects", "found_objects"))
        return Detection(truth, found, len(numbers)).mean_average_precision

    def text(self, prediction: Detections) -> str:
        counts = collections.Counter(prediction.objects.classes.tolist())
        return ", ".join(f"{counts[each]} {self.names[each]}" for each in sorted(counts)) or "nothing"

    def as_json(self, prediction: Detections) -> dict[str, Any]:
        """Boxes to a hundredth of a pixel, scores to four decimals."""
        found = json_objects(prediction.objects, self.names)
        for each in found:
            each["box"] = [round(number, 2) for number in each["box"]]
            each |= {"score": round(each["score"], 4)} if "score" in each else {}
        return {"objects": found}

    def bounded(self, prediction: Detections, bounds: DetectBounds) -> Detections:
        return prediction.surest(bounds.score, bounds.most)

    def figures(self, predictions: Sequence[Detections], rows: Sequence[Row]) -> list[Figure]:
        from llmimg.tasks.detection_figures import detection_figures

        truth = [self.truth(row).objects for row in rows]
        return detection_figures(truth, self._found(predictions, rows), self.names, [row["size"] for row in rows])

    def draw(self, image: np.ndarray, prediction: Detections) -> np.ndarray:
        from llmimg.tasks.drawing import draw_boxes

        return draw_boxes(image, prediction.on(image.shape[:2]), self.names)

    def export(self, predictions: Sequence[Detections], rows: Sequence[Row], folder: Path) -> None:
        """COCO's results as `detections.json`; where the rows have objects, these as `annotations.json`."""
        from llmimg.tasks.coco import category_numbers, write_coco

        known = all(row.get("objects") is not None for row in rows)
        truth = [self.truth(row).objects for row in rows] if known else None
        categories = category_numbers(self.names, self.info.numbers.get("objects"))
        write_coco(folder, rows, self._found(predictions, rows), truth, self.names, categories)

    def on(self, prediction: Detections, row: Row) -> Detections:
        """Without crowds, which no answer has."""
        found = sure(prediction.on(seen_size(row)))
        found = found[~found.crowded]
        found, degenerate = on_image(as_corners(found.boxes), found.classes, found.known_scores, row)
        return Detections(found, row["size"], degenerate)

    def constant(self, rows: Sequence[Row]) -> Detections:
        """Of each class the mean of its boxes, as sure as the share of images that it is in: AP is a mean over classes,
        and a box takes nothing from those that are surer."""
        every = [Detections(self._to_find(row), row["size"]).on((1, 1)) for row in rows]
        boxes, classes = (np.concatenate([getattr(each, name) for each in every]) for name in ("boxes", "classes"))
        there = np.array([np.bincount(each.classes, minlength=len(self.names)) > 0 for each in every]).mean(axis=0)
        surest = [each for each in np.argsort(-there, kind="stable") if there[each]][: self.settings.most]
        means = [boxes[classes == each].mean(axis=0) for each in surest]
        return Detections(Objects(np.array(means), np.array(surest, np.int64), there[surest]), (1, 1))

    def _to_find(self, row: Row) -> Objects:
        objects = self.truth(row).objects
        return objects[~objects.crowded]

    def _found(self, predictions: Sequence[Detections], rows: Sequence[Row]) -> list[Objects]:
        return [sure(each.on(row["size"])) for each, row in zip(predictions, rows, strict=True)]

    def _scored(self, predictions: Sequence[Detections], rows: Sequence[Row]) -> "Detection":
        from llmimg.metrics.detection import Detection, sizes_in

        truth = [self.truth(row).objects for row in rows]
        return Detection(
            truth, self._found(predictions, rows), len(self.names), sizes_in([row["size"] for row in rows])
        )
