"""The answer from a head on the model: `AutoModelForSequenceClassification`.

Causal models pool the last token that is not padding, encoders the first.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from llmimg.tokens.layout import Layout

AUTO_CLASS = AutoModelForSequenceClassification


@torch.inference_mode()
def outputs(model: PreTrainedModel, layout: Layout, rows: Iterable[Sequence[np.ndarray]]) -> Iterator[np.ndarray]:
    """The head's logits, float32 `[B, K]`, for each batch of image ids."""
    model.eval()
    for batch in rows:
        ids, mask = (torch.from_numpy(each).to(model.device) for each in layout(batch))
        yield model(input_ids=ids, attention_mask=mask).logits.float().cpu().numpy()
