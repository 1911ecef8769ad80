"""Pretraining on the images' own text: what comes next (`clm`), and what was hidden (`mlm`). Labels are not used."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from llmimg.errors import UserError
from llmimg.settings import build
from llmimg.tasks.base import TASKS, Task
from llmimg.tasks.settings import ClmSettings, MlmSettings

BITS = np.log2(np.e)  # a nat


class _Pretrain(Task):
    """The model's output is `[N, 2]`: for each image the nats its tokens cost the model, and how many were counted."""

    columns = ()

    def plain(self) -> dict[str, Any]:
        return {"label_names": [], **asdict(self.settings)}

    def head(self) -> dict[str, Any]:
        return {}

    def targets(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        return {}

    def metrics(self, output: np.ndarray, references: np.ndarray, intervals: bool = True) -> dict[str, float]:
        nats, tokens = np.asarray(output, np.float64).sum(axis=0)
        if not tokens:
            raise UserError("There is no token to score: check data.train_samples, data.test_samples and task.rate.")
        if not np.isfinite(nats):
            raise UserError("The model diverged: its loss is not finite. Lower trainer.learning_rate.")
        return {"loss": float(nats / tokens), "perplexity": float(np.exp(min(nats / tokens, 700)))}

    def answers(self, output: np.ndarray) -> list[dict[str, Any]]:
        return [{"log_likelihood": -float(nats), "tokens": int(tokens)} for nats, tokens in output]

    def table(self, output: np.ndarray, references: np.ndarray) -> dict[str, Any]:
        return {"log_likelihood": -np.asarray(output[:, 0], np.float64), "counted": output[:, 1].astype(np.int64)}


@TASKS.register("clm")
@dataclass(frozen=True)
class CausalLanguageModelling(_Pretrain):
    """P(text) as the product of each token's probability after those before it (Radford et al. 2018)."""

    settings: ClmSettings

    @classmethod
    def of(cls, label_names: Sequence[str], **settings: Any) -> Self:
        return cls(build(ClmSettings, settings, "task"))

    def metrics(self, output: np.ndarray, references: np.ndarray, intervals: bool = True) -> dict[str, float]:
        bits = float(np.asarray(output, np.float64)[:, 0].mean() * BITS)
        return {**super().metrics(output, references, intervals), "bits_per_image": bits}


@TASKS.register("mlm")
@dataclass(frozen=True)
class MaskedLanguageModelling(_Pretrain):
    """What was hidden, from all the rest (Devlin et al. 2019)."""

    settings: MlmSettings

    @classmethod
    def of(cls, label_names: Sequence[str], **settings: Any) -> Self:
        return cls(build(MlmSettings, settings, "task"))

    @property
    def needs_boxes(self) -> bool:
        return self.settings.mask == "block"
