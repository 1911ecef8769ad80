"""What needs no Trainer, to hold language models against: answers that the training split has already, and scikit-learn
on pixels or visual words."""

from llmimg.baselines.base import BASELINES, Baseline, Fitted

__all__ = ["BASELINES", "Baseline", "Fitted"]
