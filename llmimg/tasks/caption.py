"""What is to be seen, in words? `"…image… caption: A small red circle, right of it a large blue square."`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from llmimg.metrics.intervals import with_intervals
from llmimg.metrics.words import bleu, caption_bleu, folded
from llmimg.settings import settings_of
from llmimg.tasks.base import TASKS, Row
from llmimg.tasks.measure import LOSS, ByRows, Measure, Table, Weights, of_rows
from llmimg.tasks.settings import AnswerSettings
from llmimg.tasks.templates import Prompts
from llmimg.tasks.words import AnsweredInWords, Words, drawn, texts_of
from llmimg.tokens.sample import Part


@settings_of("task")
class CaptionSettings(AnswerSettings):
    """conf/task/caption.yaml."""

    ends = True

    prompts: Prompts = ("{image}\ncaption: {answer}",)


@TASKS.register("caption")
@dataclass(frozen=True)
class Captioning(AnsweredInWords):
    """Captions in open text, held against one or several of an image's own. Of several, training learns one drawn by
    seed."""

    settings: CaptionSettings
    said = "caption"
    Settings = CaptionSettings
    readouts = ("generate",)
    columns = ("caption",)
    measures: ClassVar = (
        Measure("exact_match", "Exact match", "share of captions that are one of their image's own"),
        Measure("bleu", "BLEU", "runs of up to four words shared with the images' own captions", "number", best=100),
        LOSS,
        Measure("unread_answers", "Captions that break off", "share without words or an end", "share", False, 1.0, 0.0),
    )
    row_measure: ClassVar = Measure("score", "BLEU", "of a caption by itself, smoothed", "number", best=100)

    def answer(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        return self.words(drawn(texts_of(row["caption"]), seed), seed)

    def variants(self, row: Row) -> Iterable[Row]:
        return ({**row, "caption": each} for each in texts_of(row["caption"]))

    def truth(self, row: Row) -> Words:
        return Words(texts_of(row["caption"])[0], 1.0)

    def metrics(self, predictions: Sequence[Words], rows: Sequence[Row], intervals: bool = True) -> dict[str, float]:
        exact = self._exact(predictions, rows)

        def values(weights: Weights = None) -> dict[str, float]:
            return {"exact_match": of_rows(exact, weights)}

        found = with_intervals(values, len(rows)) if intervals else values()
        said, known = [each.text or "" for each in predictions], [texts_of(row["caption"]) for row in rows]
        return {**found, "bleu": bleu(said, known), "unread_answers": self.unread(predictions)}

    @classmethod
    def headline(cls, table: Table) -> ByRows:
        return np.asarray(table["exact"], np.float64)

    def per_row(self, predictions: Sequence[Words], rows: Sequence[Row]) -> np.ndarray:
        pairs = zip(predictions, rows, strict=True)
        return np.array([caption_bleu(each.text or "", texts_of(row["caption"])) for each, row in pairs], np.float64)

    def table(self, predictions: Sequence[Words], rows: Sequence[Row]) -> Table:
        return {**super().table(predictions, rows), "exact": self._exact(predictions, rows)}

    def _exact(self, predictions: Sequence[Words], rows: Sequence[Row]) -> np.ndarray:
        """Whether each is one of its image's own, float64 `[N]`."""
        pairs = zip(predictions, rows, strict=True)
        exact = [folded(each.text or "") in map(folded, texts_of(row["caption"])) for each, row in pairs]
        return np.array(exact, np.float64)
