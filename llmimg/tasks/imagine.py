"""An image from its class: `"7: " → "0 3 15 …"`, the image's own text, read back by the textifier."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from llmimg.data.png import write_png
from llmimg.errors import UserError
from llmimg.metrics.intervals import with_intervals
from llmimg.nearest import did_you_mean
from llmimg.paths import file_name
from llmimg.settings import settings_of
from llmimg.tasks.base import TASKS, Row
from llmimg.tasks.classify import Classify, Label
from llmimg.tasks.figures import Figure
from llmimg.tasks.image_task import ImageTask
from llmimg.tasks.info import DataInfo
from llmimg.tasks.measure import LOSS, ByRows, Measure, Table, Weights, of_rows
from llmimg.tasks.settings import AnswerSettings
from llmimg.tasks.templates import Prompts
from llmimg.textify import Ragged, Textifier
from llmimg.tokens.sample import Answer, ImageSlot, Part

BITS = np.log2(np.e)  # a nat


@settings_of("task")
class ImagineSettings(AnswerSettings):
    """conf/task/imagine.yaml."""

    fields = ("label",)

    prompts: Prompts = ("{label}: {answer}",)


@dataclass(frozen=True, eq=False)
class Imagined:
    """An image that was written for a class, or the class that a true one is likeliest of.

    Attributes:
        label: the class, by name.
        image: uint8 `[H, W, C]`; None where there is none.
        nats: what the row's true image costs given its class; None where that is not known.
        problem: why the image is not whole.
        taken: what class the true image was taken for, where that was asked; then `label` is that.
    """

    label: str
    image: np.ndarray | None = None
    nats: float | None = None
    problem: str | None = None
    taken: Label | None = None


@TASKS.register("imagine")
@dataclass(frozen=True)
class Imagine(ImageTask):
    """Images given their class: how likely the true ones are, new ones drawn, and the class of one by Bayes' rule."""

    settings: ImagineSettings
    Settings = ImagineSettings
    readouts = ("generate", "score")
    columns = ("label",)
    asks = ("label",)
    measures: ClassVar = (
        Measure("bits_per_dim", "Bits a dimension", "of the image's text, given its class", "bits", False, None, 0.0),
        Measure("bits_per_image", "Bits an image", "of the image's text, given its class", "bits", False, None, 0.0),
        LOSS,
        *(
            replace(each, while_training=False)  # each readout gives its own
            for each in Classify.measures
            if each.key in ("accuracy", "macro_f1", "ece")
        ),
        Measure("unread_answers", "Images that break off", "share without an end", "share", False, 1.0, 0.0, False),
    )
    row_measure: ClassVar = Measure(
        "score", "Bits a dimension", "what a value of theirs cost the model, negated", "bits", worst=None, best=None
    )

    def bind(self, info: DataInfo, textifier: Textifier) -> Self:
        if not info.label_names:
            raise UserError("task=imagine writes images of classes, and these data have none: check data.label_column.")
        return super().bind(info, textifier)

    @property
    def dimensions(self) -> int:
        """How many values an image has."""
        return self.size[0] * self.size[1] * self.info.channels

    @property
    def askings(self) -> Sequence[Row]:
        return [{"label": name} for name in self.info.label_names]

    @property
    def own_words(self) -> bool:
        return False  # names are few and known

    @property
    def candidate_prompts(self) -> tuple[tuple[Part, ...], ...]:
        return tuple(self.prompt(row, None) for row in self.askings)

    @functools.cached_property
    def log_prior(self) -> np.ndarray:
        """log P(class), float64 `[K]`: its share of the training images; all alike where they were not counted."""
        counts = np.array(self.info.counts.get("label", np.ones(len(self.info.label_names))), np.float64)
        return np.log(np.maximum(counts / counts.sum(), 1e-12))

    @functools.cached_property
    def _classify(self) -> Classify:
        """What is made of classes that images were taken for."""
        return Classify.with_settings(self.info)

    def named(self, label: Any) -> str:
        """A class's name, by its name or number.

        Raises:
            UserError: no class of these data.
        """
        names = self.info.label_names
        if not isinstance(label, str):
            return names[int(label)]
        if label not in names:
            raise UserError(f"The model knows no class '{label}': {did_you_mean(label, names)}")
        return label

    def prompt(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        named = super().prompt({"label": self.named(row["label"])}, seed)
        return ("".join(part for part in named if isinstance(part, str)),)  # fixed words, of which each is a token

    def answer(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        return (ImageSlot(),)

    def truth(self, row: Row) -> Imagined:
        return Imagined(self.named(row["label"]))

    def read(self, answer: Answer, row: Row) -> Imagined:
        if answer.scores is not None:
            return self._taken(answer.scores, row)
        found = Imagined(self.named(row["label"]), nats=answer.nats, problem=answer.problem)
        if answer.pieces is None:
            return found
        pieces = Ragged.from_rows([np.asarray(answer.pieces)], self.grammar.lexicon.dtype)
        image = self.textifier.read(pieces, *self.size)
        return found if image is None else replace(found, image=image[0])

    def _taken(self, log_likelihoods: np.ndarray, row: Row) -> Imagined:
        """By what a row's image has given each class, float `[K]`: log P(class | image) is as large as this and the
        prior, but for a sum that all classes have in common."""
        taken = self._classify.read(Answer(scores=log_likelihoods.astype(np.float64) + self.log_prior), row)
        nats = -float(log_likelihoods[int(row["label"])]) if "label" in row else None
        return Imagined(self._classify.text(taken), nats=nats, taken=taken)

    def metrics(self, predictions: Sequence[Imagined], rows: Sequence[Row], intervals: bool = True) -> dict[str, float]:
        bits = self._bits(predictions)
        if np.isnan(bits).any():
            raise UserError("The model diverged: its loss is not finite. Lower trainer.learning_rate.")

        def values(weights: Weights = None) -> dict[str, float]:
            return {"bits_per_dim": of_rows(bits / self.dimensions, weights)}

        scored = with_intervals(values, len(rows)) if intervals else values()
        scored["bits_per_image"] = float(bits.mean())
        if taken := _taken(predictions):
            return {**scored, **self._classify.metrics(taken, rows, intervals)}
        return {**scored, "unread_answers": float(np.mean([each.problem is not None for each in predictions]))}

    @staticmethod
    def _bits(predictions: Sequence[Imagined]) -> np.ndarray:
        """Of each true image, float64 `[N]`."""
        return np.array([np.nan if each.nats is None else each.nats * BITS for each in predictions], np.float64)

    def per_row(self, predictions: Sequence[Imagined], rows: Sequence[Row]) -> np.ndarray:
        return -self._bits(predictions) / self.dimensions

    def table(self, predictions: Sequence[Imagined], rows: Sequence[Row]) -> Table:
        """Besides what every table has, the log-likelihood of each true image given its class; and why a written one is
        not whole, or how likely the classes are given the image."""
        found = {**super().table(predictions, rows), "log_likelihood": -self._bits(predictions) / BITS}
        if taken := _taken(predictions):
            return {**found, "probabilities": self._classify.table(taken, rows)["probabilities"]}
        return {**found, "problem": [each.problem or "" for each in predictions]}

    @classmethod
    def headline(cls, table: Table) -> ByRows:
        return -np.asarray(table["score"], np.float64)

    @classmethod
    def remark(cls, row: Mapping[str, Any]) -> str:
        bits = f"{-row['score']:.3f} bits a dimension"
        return f"{bits}, {Classify.remark(row)}" if "probabilities" in row else bits

    def text(self, prediction: Imagined) -> str:
        return prediction.label

    def as_json(self, prediction: Imagined) -> dict[str, Any]:
        """Its class; the image itself is no JSON. Of one that was taken for a class, as of a classifier."""
        if prediction.taken is not None:
            return self._classify.as_json(prediction.taken)
        return {"label": prediction.label, **({"problem": prediction.problem} if prediction.problem else {})}

    def figures(self, predictions: Sequence[Imagined], rows: Sequence[Row]) -> list[Figure]:
        return self._classify.figures(taken, rows) if (taken := _taken(predictions)) else []

    def draw(self, image: np.ndarray, prediction: Imagined) -> np.ndarray | None:
        """The image that was written."""
        return prediction.image

    def export(self, predictions: Sequence[Imagined], rows: Sequence[Row], folder: Path) -> None:
        """PNG files, called by the rows' ids."""
        for prediction, row in zip(predictions, rows, strict=True):
            if prediction.image is not None:
                write_png(folder / f"{file_name(str(row['id']))}.png", prediction.image)


def _taken(predictions: Sequence[Imagined]) -> list[Label]:
    """What images were taken for, where that was asked."""
    return [each.taken for each in predictions if each.taken is not None]
