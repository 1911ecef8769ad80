"""Pretraining on the images' own text: what comes next (`clm`), and what was hidden (`mlm`). Labels are not used."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from llmimg.errors import UserError
from llmimg.settings import Unit, settings_of
from llmimg.tasks.base import TASKS, Row, Task
from llmimg.tasks.measure import ByRows, Measure, Table, Weights
from llmimg.tokens.sample import Answer, ImageSlot, Part

BITS = np.log2(np.e)  # a nat


@settings_of("task")
class ClmSettings:
    """conf/task/clm.yaml.

    Attributes:
        pack: tokens a row of a training batch holds, of as many whole sequences as fit; 0 gives each a row of its own.
    """

    pack: Annotated[int, Field(ge=0), Unit("tokens")] = 0


@settings_of("task")
class MlmSettings:
    """conf/task/mlm.yaml.

    Attributes:
        mask: what is hidden together: `token`, `span` (runs of tokens, as in SpanBERT: Joshi et al., TACL 2020) or
            `block` (rectangles of the image).
        rate: the share of tokens that is hidden; of these 80 % are masked, 10 % random and 10 % left (BERT).
        span: mean length of a run, in tokens.
        block: side of a rectangle, as a share of the image's.
    """

    mask: Literal["token", "span", "block"] = "token"
    rate: Annotated[float, Field(gt=0, lt=1)] = 0.15
    span: Annotated[float, Field(ge=1), Unit("tokens")] = 3.0
    block: Annotated[float, Field(gt=0, lt=1)] = 0.3


class Cost(NamedTuple):
    """What a text cost the model.

    Attributes:
        nats: of all tokens that were counted.
        tokens: how many were.
    """

    nats: float
    tokens: float


_LOSS = Measure("loss", "Loss", "mean surprise at a token", "nats", higher_is_better=False, worst=None, best=0.0)
_PERPLEXITY = Measure(
    "perplexity",
    "Perplexity",
    "choices it hesitates between at each token",
    "number",
    higher_is_better=False,
    worst=None,
    best=1.0,
)


class Pretraining(Task):
    """An answer has the log-probability of its image's text, and how many tokens that is the sum of."""

    columns = ()
    measures: ClassVar = (_LOSS, _PERPLEXITY)
    row_measure: ClassVar = Measure(
        "score", "Score", "what a token cost the model, negated", "number", worst=None, best=0.0
    )

    def prompt(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        return ()

    def answer(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        return (ImageSlot(),)

    def truth(self, row: Row) -> None:
        """There is none."""

    def read(self, answer: Answer, row: Row) -> Cost:
        if answer.log_probabilities is None or answer.tokens is None:
            raise ValueError("What an image's text costs is told by its log-probabilities and tokens.")
        return Cost(-answer.log_probabilities.sum(), answer.tokens)

    def metrics(self, predictions: Sequence[Cost], rows: Sequence[Row], intervals: bool = True) -> dict[str, float]:
        nats, tokens = np.asarray(predictions, np.float64).reshape(-1, 2).sum(axis=0)
        if not tokens:
            raise UserError("There is no token to score: check data.train_samples, data.test_samples and task.rate.")
        if not np.isfinite(nats):
            raise UserError("The model diverged: its loss is not finite. Lower trainer.learning_rate.")
        return {"loss": float(nats / tokens), "perplexity": float(np.exp(min(nats / tokens, 700)))}

    def per_row(self, predictions: Sequence[Cost], rows: Sequence[Row]) -> np.ndarray:
        """Minus the nats of a mean token."""
        return np.array([-cost.nats / max(cost.tokens, 1) for cost in predictions], np.float64)

    def table(self, predictions: Sequence[Cost], rows: Sequence[Row]) -> dict[str, Any]:
        nats, tokens = np.asarray(predictions, np.float64).reshape(-1, 2).T
        score = self.per_row(predictions, rows)
        return {"log_likelihood": -nats, "counted": tokens.astype(np.int64), "score": score}

    @classmethod
    def headline(cls, table: Table) -> ByRows:
        nats, tokens = -np.array(table["log_likelihood"], np.float64), np.array(table["counted"], np.int64)

        def loss(weights: Weights = None) -> float:
            weights = np.ones(len(nats), np.int64) if weights is None else weights
            counted = weights @ tokens
            return float(weights @ nats / counted) if counted else float("nan")

        return loss

    @classmethod
    def remark(cls, row: Mapping[str, Any]) -> str:
        return f"{-BITS * row['log_likelihood']:,.1f} bits to the model"

    def text(self, prediction: Cost | None) -> str:
        return "" if prediction is None else f"{prediction.nats:.1f} nats"

    def as_json(self, prediction: Cost) -> dict[str, Any]:
        return {"log_likelihood": -float(prediction.nats), "tokens": int(prediction.tokens)}


@TASKS.register("clm")
class CausalLanguageModelling(Pretraining):
    """P(text) as the product of each token's probability after those before it (Radford et al. 2018)."""

    settings: ClmSettings
    Settings = ClmSettings
    readouts = ("likelihood",)
    measures: ClassVar = (
        _LOSS,
        _PERPLEXITY,
        Measure(
            "bits_per_image",
            "Bits an image, by the model",
            "how surprising it finds an image's text",
            "bits",
            higher_is_better=False,
            worst=None,
            best=0.0,
        ),
    )

    def metrics(self, predictions: Sequence[Cost], rows: Sequence[Row], intervals: bool = True) -> dict[str, float]:
        found = super().metrics(predictions, rows, intervals)
        nats = np.array([cost.nats for cost in predictions], np.float64)
        return {**found, "bits_per_image": float(nats.mean() * BITS)}


@TASKS.register("mlm")
class MaskedLanguageModelling(Pretraining):
    """What was hidden, from all the rest (Devlin et al. 2019)."""

    settings: MlmSettings
    Settings = MlmSettings
    readouts = ("masked",)
