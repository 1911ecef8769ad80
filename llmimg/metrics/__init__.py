"""How good the answers are: plain numpy functions, and an `evaluate.Metric` over them; one file a family."""
