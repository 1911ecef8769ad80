"""What was done, in plain words: sentences made only of what the run's configuration and numbers say."""

import numpy as np

from llmimg.metrics.classification import wilson_interval
from llmimg.report.numbers import count, duration, percent
from llmimg.report.record import RunRecord


def story(record: RunRecord) -> list[str]:
    """The run as a few sentences; what is not known of it is not said."""
    said = (_text(record), _model(record), _training(record), _result(record))
    return [sentence.replace(" %", "\u00a0%") for sentence in said if sentence]  # no line starts with a percent sign


def budget(record: RunRecord) -> str:
    """How many tokens an image takes, beside what the model can hold, and what was cut off."""
    least, most = int(record.lengths.min()), int(record.lengths.max())
    if least == most:
        said = f"Every test image takes {most:,} tokens"
    else:
        middle = np.median(record.lengths)
        said = f"A test image takes {least:,} to {most:,} tokens, half of them at most {middle:,.0f}"
    said += f"; the model's context holds {record.context:,}."
    cut = record.metrics.get("data/truncated_fraction")
    if cut is None:
        return said
    if cut == 0:
        return f"{said} Nothing was cut off."
    images = record.metrics.get("data/truncated_images")
    of = "" if images is None else f", from {images:,.0f} images"
    return f"{said} {'Less than 0.1 %' if cut < 0.001 else percent(cut)} of all tokens were cut off{of}."


def _text(record: RunRecord) -> str:
    images, tokens = record.metrics.get("data/train_images"), record.metrics.get("data/tokens_per_image")
    subject = "Each image" if images is None else f"Each of the {images:,.0f} training images"
    source, textifier = _name(record, "data"), _name(record, "textify")
    subject += f" of “{source}”" if source else ""
    if _sees_pixels(record):
        return f"{subject} was taken as pixels, and not written as text."
    said = f"{subject} was written as text"
    said += f" by the textifier “{textifier}”" if textifier else ""
    return said + (f": {tokens:.4g} tokens on average." if tokens is not None else ".")


def _model(record: RunRecord) -> str:
    name, model = _name(record, "model"), record.config.get("model")
    size, learned = (record.metrics.get(f"model/{key}") for key in ("parameters", "trainable_parameters"))
    called = f", “{name}”," if name else ""
    if _sees_pixels(record):
        said = f"No language model, but a model of pixels{called} saw it"
    else:
        said = f"A language model{called} read that text and nothing else of the image"
    if size is not None:
        said += f"; it has {count(size)} parameters"
        if learned is not None and learned < size:
            said += f", of which {count(learned)} learned"
    if isinstance(model, dict) and "architecture" in model:
        said += f", and started {'from scratch' if model['architecture'] else 'from pretrained weights'}"
    return said + "."


def _training(record: RunRecord) -> str:
    epochs = max((row["epoch"] for row in record.history if "epoch" in row), default=None)
    seconds, device = record.metrics.get("time/train_seconds"), record.environment.get("device")
    if epochs is None and seconds is None:
        return ""
    said = "It trained"
    if epochs is not None:
        said += f" for {epochs:.3g} epoch{'' if epochs == 1 else 's'}"
    if seconds is not None:
        said += f"{' in' if epochs is not None else ' for'} {duration(seconds)}"
    return said + (f" on {device}." if isinstance(device, str) and device else ".")


def _result(record: RunRecord) -> str:
    if not record.probabilities.size:
        return ""
    total, right = len(record.labels), int((record.probabilities.argmax(axis=1) == record.labels).sum())
    low, high = wilson_interval(right, total)
    commonest = np.bincount(record.labels).max() / total
    return (
        f"Of {total:,} test images it answered {right:,} rightly, {percent(right / total)}; "
        f"a test of this size pins its accuracy down to {percent(low)} to {percent(high)} (95 % confidence interval). "
        f"Always answering the commonest class would reach {percent(commonest)}."
    )


def _sees_pixels(record: RunRecord) -> bool:
    model = record.config.get("model")
    return isinstance(model, dict) and model.get("kind") in ("image", "baseline")


def _name(record: RunRecord, group: str) -> str:
    """The name chosen in a group of the configuration; nothing where it states none."""
    chosen = record.config.get(group)
    if isinstance(chosen, dict):
        chosen = chosen.get("name")
    return chosen if isinstance(chosen, str) else ""
