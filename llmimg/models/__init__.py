"""The language models that read image text. This file imports nothing: settings are read before anything heavy is
loaded."""
