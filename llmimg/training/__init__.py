"""Learning: TrainingArguments from the configuration, the data a Trainer reads, callbacks, resuming."""
