"""The answer from a head on the model: `AutoModelForSequenceClassification`.

Causal models pool the last token that is not padding, encoders the first.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from llmimg.readouts.base import READOUTS, Readout
from llmimg.tokens.layout import Layout


@READOUTS.register("head")
class Head(Readout):
    """Logits `[B, K]`."""

    auto_class = AutoModelForSequenceClassification

    @staticmethod
    @torch.inference_mode()
    def outputs(
        model: PreTrainedModel, layout: Layout, batches: Iterable[Sequence[np.ndarray]]
    ) -> Iterator[np.ndarray]:
        model.eval()
        for batch in batches:
            ids, mask = (torch.from_numpy(each).to(model.device) for each in layout(batch))
            yield model(input_ids=ids, attention_mask=mask).logits.float().cpu().numpy()
