"""What a model gets, as lines for a terminal: an image as text, an image before a run's model, rows before training."""
