"""What is fitted and predicts: a language model, one behind an endpoint, or a model of pixels. One face for all."""
