"""How the answer is taken from the model, and which task and readout go together: one file a readout."""
