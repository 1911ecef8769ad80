"""Which of a split's captions belongs to an image, and which of its images to a caption? By the likelihood of each
caption behind each image's text."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from llmimg.metrics.ranks import Scores, ranked, recall
from llmimg.metrics.words import folded
from llmimg.settings import settings_of
from llmimg.tasks.base import TASKS, Row
from llmimg.tasks.figures import Bars, Figure
from llmimg.tasks.foils import EXTRAS, check_foils, margins_of, shares_beaten
from llmimg.tasks.measure import ByRows, Measure, Table, Weights, of_rows
from llmimg.tasks.settings import AnswerSettings
from llmimg.tasks.templates import Prompts
from llmimg.tasks.words import WordsTask, drawn, texts_of
from llmimg.tokens.sample import Answer, Part

AT = (1, 5, 10)
_WAYS = {"image_to_text": "Image to text", "text_to_image": "Text to image"}
_SHOWN = 5  # captions of each image that are kept, the likeliest


@settings_of("task")
class RetrieveSettings(AnswerSettings):
    """conf/task/retrieve.yaml."""

    prompts: Prompts = ("{image}\ncaption:",)


@dataclass(frozen=True)
class Ranking:
    """Where an image and its captions come among all of a split.

    Attributes:
        to_text: the rank of the best of its own captions, from 1.
        to_image: of each of its own captions the rank of its image, or of the best of several that have it.
        found: the captions that rank first, and the log-likelihood or similarity of each.
        nats: what its own captions cost, on average.
        found_by: what the numbers of `found` are: log-likelihoods, or cosines.
        margins: by how much the best of its own captions is above each of its foils.
    """

    to_text: int
    to_image: tuple[int, ...]
    found: tuple[tuple[str, float], ...]
    nats: float = 0.0
    found_by: str = "log_likelihood"
    margins: tuple[float, ...] = ()


@TASKS.register("retrieve")
@dataclass(frozen=True)
class Retrieval(WordsTask):
    """Images by captions, and captions by images. It learns to write captions; of a split, all captions are scored
    behind all images. A caption that several images have is right for each of them, as any of an image's is for it."""

    pool: tuple[str, ...] = ()

    settings: RetrieveSettings
    said = "captions"
    Settings = RetrieveSettings
    readouts = ("score", "contrastive")
    columns = ("caption",)
    extras = EXTRAS
    asks = ("caption",)
    by_split = True
    measures: ClassVar = (
        Measure("recall_at_1", "Recall at 1", "share whose own comes first, both ways on average"),
        *(
            Measure(f"{way}_recall_at_{k}", f"{title}, recall at {k}", f"share whose own is among the first {k}")
            for way, title in _WAYS.items()
            for k in AT
        ),
        *(
            Measure(f"{way}_median_rank", f"{title}, median rank", "where its own comes", "number", False, None, 1)
            for way, title in _WAYS.items()
        ),
        Measure(
            "foils_beaten", "Foils beaten", "share whose own caption is above all of its foils", while_training=False
        ),
        Measure("loss", "Loss", "mean surprise at an image's own caption", "nats", False, None, 0.0),
    )
    row_measure: ClassVar = Measure("score", "Reciprocal rank", "1 / rank of an image's own caption, and of itself")

    def of_split(self, rows: Iterable[Row]) -> Self:
        forms: dict[str, str] = {}
        for text in (each for row in rows for each in texts_of(row["caption"])):
            forms.setdefault(folded(text), text)
        return dataclasses.replace(self, pool=tuple(forms.values()))

    @property
    def held_against(self) -> tuple[tuple[Part, ...], ...]:
        return tuple(self.words(text) for text in self.pool)

    def answer(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        return self.words(drawn(texts_of(row["caption"]), seed), seed)

    def foils(self, row: Row) -> tuple[tuple[Part, ...], ...]:
        return tuple(self.words(text) for text in row.get("foils") or ())

    def check_scored(self, rows: Iterable[Row], split: str) -> None:
        check_foils(rows, split)

    def variants(self, row: Row) -> Iterable[Row]:
        return ({**row, "caption": each} for each in texts_of(row["caption"]))

    def read_all(self, answers: Sequence[Answer], rows: Sequence[Row]) -> list[Ranking]:
        """A caption's likelihood behind an image ranks captions beside its mean over all images, and images beside the
        mean over all captions: else common captions would come first, or images that make every caption likely."""
        scores = [np.asarray(answer.scores) for answer in answers]
        behind_all = _log_mean(scores) if len(rows) > 1 else np.float64(0)
        of_all = np.array([np.logaddexp.reduce(each, dtype=np.float64) for each in scores])
        found = self.ranked(
            lambda images: np.stack(scores[images]) - behind_all,
            lambda texts: np.stack([each[texts] for each in scores], axis=1) - of_all,
            rows,
        )
        told = []
        for each, row, answer in zip(found, rows, answers, strict=True):
            likely = np.asarray(answer.scores)
            said = tuple((text, float(likely[self._numbers[folded(text)]])) for text, _ in each.found)
            own = [likely[self._numbers[folded(text)]] for text in texts_of(row["caption"])]
            nats = -float(np.mean(own, dtype=np.float64))
            told.append(dataclasses.replace(each, found=said, nats=nats, margins=margins_of(row, own, answer.foils)))
        return told

    def read_vectors(
        self, images: np.ndarray, texts: np.ndarray, foils: np.ndarray, rows: Sequence[Row]
    ) -> list[Ranking]:
        """By the cosines of their angles."""
        lengths = [np.linalg.norm(each.astype(np.float64), axis=1, keepdims=True) for each in (images, texts)]
        images, texts = (each / length for each, length in zip((images, texts), lengths, strict=True))
        temperature = float(1 / np.mean(np.concatenate(lengths)) ** 2)

        def cosines(these: np.ndarray, those: np.ndarray) -> np.ndarray:
            return (these @ those.T).astype(np.float32).astype(np.float64)  # equal where vectors are

        found = self.ranked(
            lambda some: cosines(images[some], texts), lambda some: cosines(texts[some], images), rows, temperature
        )
        told = []
        for each, row, image, wrong in zip(found, rows, images, foils, strict=True):
            own = [texts[self._numbers[folded(text)]] for text in texts_of(row["caption"])]
            wrong = wrong / np.linalg.norm(wrong.astype(np.float64), axis=1, keepdims=True)
            margins = margins_of(row, cosines(np.stack(own), image), cosines(wrong, image))
            told.append(dataclasses.replace(each, found_by="similarity", margins=margins))
        return told

    def ranked(
        self, texts_of_images: Scores, images_of_texts: Scores, rows: Sequence[Row], temperature: float = 1.0
    ) -> list[Ranking]:
        """What comes of scores of all texts for some images `[images, pool]`, and of all images for some texts
        `[texts, N]`; neither is there as a whole. What is right costs the mean of both ways, as softmax takes the
        scores, divided by the temperature."""
        own = [[self._numbers[folded(text)] for text in texts_of(row["caption"])] for row in rows]
        having: list[list[int]] = [[] for _ in self.pool]
        for row, texts in enumerate(own):
            for text in texts:
                having[text].append(row)
        to_image = list(ranked(images_of_texts, having, len(rows), temperature=temperature))
        return [
            Ranking(
                each.rank,
                tuple(to_image[text].rank for text in texts),
                tuple((self.pool[text], float(score)) for text, score in zip(each.first, each.scores, strict=True)),
                (each.nats + float(np.mean([to_image[text].nats for text in texts]))) / 2,
            )
            for each, texts in zip(ranked(texts_of_images, own, len(self.pool), _SHOWN, temperature), own, strict=True)
        ]

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {folded(text): number for number, text in enumerate(self.pool)}

    def read(self, answer: Answer, row: Row) -> Ranking:
        (found,) = self.read_all([answer], [row])
        return found

    def truth(self, row: Row) -> Ranking:
        own = texts_of(row["caption"])
        return Ranking(1, (1,) * len(own), tuple((text, 0.0) for text in own))

    def metrics(self, predictions: Sequence[Ranking], rows: Sequence[Row], intervals: bool = True) -> dict[str, float]:
        from llmimg.metrics.intervals import with_intervals

        table = _ranks(predictions)

        def values(weights: Weights = None) -> dict[str, float]:
            first = {self.measures[0].key: of_rows(self.headline(table), weights)}
            return first | {
                f"{way}_recall_at_{k}": of_rows(recall(table[f"{way}_ranks"], k), weights) for way in _WAYS for k in AT
            }

        found = with_intervals(values, len(rows)) if intervals else values()
        found["loss"] = float(np.mean([each.nats for each in predictions]))
        beaten = shares_beaten([each.margins for each in predictions], rows)
        found |= {f"foils_beaten_{kind}".rstrip("_"): share for kind, share in beaten.items()}
        return found | {f"{way}_median_rank": float(np.median(np.concatenate(table[f"{way}_ranks"]))) for way in _WAYS}

    @classmethod
    def headline(cls, table: Table) -> ByRows:
        return np.mean([recall(table[f"{way}_ranks"], 1) for way in _WAYS], axis=0)

    def per_row(self, predictions: Sequence[Ranking], rows: Sequence[Row]) -> np.ndarray:
        table = _ranks(predictions)
        return np.mean([[np.mean(1 / np.asarray(each)) for each in table[f"{way}_ranks"]] for way in _WAYS], axis=0)

    def table(self, predictions: Sequence[Ranking], rows: Sequence[Row]) -> Table:
        """Besides what every table has, the ranks both ways, and by how much foils are beaten where there are some."""
        margins = [list(each.margins) for each in predictions]
        return {
            **super().table(predictions, rows),
            **_ranks(predictions),
            **({"foil_margins": margins} if any(margins) else {}),
        }

    @classmethod
    def remark(cls, row: Mapping[str, Any]) -> str:
        return f"its own comes as number {min(row['image_to_text_ranks'])}"

    def text(self, prediction: Ranking) -> str:
        return prediction.found[0][0] if prediction.found else ""

    def as_json(self, prediction: Ranking) -> dict[str, Any]:
        """The captions that come first, and how likely each is behind the image, in nats, or how similar to it."""
        return {
            self.said: [{"caption": text, prediction.found_by: round(score, 4)} for text, score in prediction.found]
        }

    def figures(self, predictions: Sequence[Ranking], rows: Sequence[Row]) -> list[Figure]:
        table = _ranks(predictions)
        found = {way: [float(np.mean(recall(table[f"{way}_ranks"], k))) for k in AT] for way in _WAYS}
        columns = {way.replace("_", " "): np.array(found[way]) for way in _WAYS}
        names = tuple(f"recall at {k}" for k in AT)
        shown: list[Figure] = [Bars("Found among the first", names, columns, dict.fromkeys(columns, "share"))]
        if beaten := shares_beaten([each.margins for each in predictions], rows):
            names = tuple(kind or "all of an image's" for kind in beaten)
            shares = {"foils beaten": np.array([*beaten.values()])}
            shown.append(Bars("Foils beaten", names, shares, {"foils beaten": "share"}))
        return shown


def _ranks(predictions: Sequence[Ranking]) -> dict[str, list[list[int]]]:
    """The ranks both ways of each image, by the names of predictions.parquet."""
    return {
        "image_to_text_ranks": [[each.to_text] for each in predictions],
        "text_to_image_ranks": [list(each.to_image) for each in predictions],
    }


def _log_mean(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Over all images, as far as ranks go: without the count."""
    total = np.full(scores[0].shape, -np.inf) if scores else np.empty(0)
    for each in scores:
        np.logaddexp(total, each, out=total)
    return total
