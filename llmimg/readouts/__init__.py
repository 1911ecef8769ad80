"""How the answer is taken from the model, and which task and readout go together: one file a readout."""

from llmimg.readouts.base import READOUTS, Readout
from llmimg.readouts.table import check_combination

__all__ = ["READOUTS", "Readout", "check_combination"]
