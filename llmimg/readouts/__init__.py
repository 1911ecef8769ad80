"""How the answer is taken from the model, and which task, readout and kind of model go together."""

from llmimg.readouts.table import check_combination

__all__ = ["check_combination"]
