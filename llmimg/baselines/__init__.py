"""What needs no Trainer: scikit-learn on pixels or visual words, to hold language models against."""

from llmimg.baselines.base import BASELINES, Baseline, Fitted

__all__ = ["BASELINES", "Baseline", "Fitted"]
