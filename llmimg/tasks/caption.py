"""What is to be seen, in words? `"…image… caption: A small red circle, right of it a large blue square."`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from llmimg.metrics.words import bleu, caption_bleu, folded
from llmimg.settings import settings_of
from llmimg.tasks.base import TASKS, Row
from llmimg.tasks.measure import LOSS, ByRows, Measure, Table
from llmimg.tasks.settings import AnswerSettings
from llmimg.tasks.templates import Prompts
from llmimg.tasks.words import AnsweredInWords, Words, texts_of
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
        own = texts_of(row["caption"])
        return self.words(own[0 if seed is None else int(np.random.default_rng([seed, 2]).integers(len(own)))])

    def truth(self, row: Row) -> Words:
        return Words(texts_of(row["caption"])[0], 1.0)

    def metrics(self, predictions: Sequence[Words], rows: Sequence[Row], intervals: bool = True) -> dict[str, float]:
        found = super().metrics(predictions, rows, intervals)
        said, known = [each.text or "" for each in predictions], [texts_of(row["caption"]) for row in rows]
        return {**found, "bleu": bleu(said, known), "unread_answers": self.unread(predictions)}

    @classmethod
    def headline(cls, table: Table) -> ByRows:
        return np.asarray(table["exact"], np.float64)

    def per_row(self, predictions: Sequence[Words], rows: Sequence[Row]) -> np.ndarray:
        pairs = zip(predictions, rows, strict=True)
        return np.array([caption_bleu(each.text or "", texts_of(row["caption"])) for each, row in pairs], np.float64)

    def table(self, predictions: Sequence[Words], rows: Sequence[Row]) -> Table:
        pairs = zip(predictions, rows, strict=True)
        exact = [folded(each.text or "") in map(folded, texts_of(row["caption"])) for each, row in pairs]
        return {**super().table(predictions, rows), "exact": np.array(exact, np.float64)}
