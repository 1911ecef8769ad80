"""The answer from a head on the model: `AutoModelForSequenceClassification`.

Causal models pool the last token that is not padding, encoders the first.
"""

from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from llmimg.readouts.base import READOUTS, Batch, Readout


@READOUTS.register("head")
class Head(Readout):
    """Logits `[B, K]`."""

    auto_class = AutoModelForSequenceClassification

    def head(self) -> dict[str, Any]:
        return self.task.head()

    def outputs(self, model: PreTrainedModel, batch: Batch) -> torch.Tensor:
        return model(**batch).logits.float()
