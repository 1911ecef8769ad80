"""What was done, in plain words: sentences made only of what the run's configuration and numbers say."""

import math

import numpy as np

from llmimg.report.numbers import count, duration, percent
from llmimg.report.record import RunRecord


def story(record: RunRecord) -> list[str]:
    """The run as a few sentences; what is not known of it is not said."""
    said = (_text(record), _model(record), _training(record), _result(record))
    return [sentence.replace(" %", "\u00a0%") for sentence in said if sentence]  # no line starts with a percent sign


def budget(record: RunRecord) -> str:
    """How many tokens an image takes, beside what the model can hold, and what was truncated."""
    least, most = int(record.lengths.min()), int(record.lengths.max())
    if least == most:
        said = f"Every test image takes {most:,} tokens"
    else:
        middle = np.median(record.lengths)
        said = f"A test image takes {least:,} to {most:,} tokens, half of them at most {middle:,.0f}"
    said += f"; the model's context holds {record.context:,}."
    truncated = record.metrics.get("data/truncated_fraction")
    if truncated is None:
        return said
    if truncated == 0:
        return f"{said} Nothing was truncated."
    images = record.metrics.get("data/truncated_images")
    of = "" if images is None else f", from {images:,.0f} images"
    return f"{said} {'Less than 0.1 %' if truncated < 0.001 else percent(truncated)} of all tokens were truncated{of}."


def heading(record: RunRecord) -> str:
    """What happened here, in a line over the title."""
    if record.sees_pixels:
        return "A model of pixels, beside those that read images as text"
    return "A language model reads images as text"


def seen(record: RunRecord) -> str:
    """What the model was given of each image."""
    if record.sees_pixels:
        return "Test images, with what the model answered: it saw their pixels."
    return (
        "The model is given the text alone. Beside each image stands the image that can be drawn again from its text, "
        "where there is one: what is missing there, the model could not know."
    )


def ranked(record: RunRecord) -> str:
    """In which order mistakes are shown."""
    if len(record.mistakes) > 1 and len({example.score for example in record.mistakes}) == 1:
        return "The first of them, as they are all scored alike."
    return f"The worst answers first, by {record.ranked_by}." if record.ranked_by else "The worst answers first."


def _text(record: RunRecord) -> str:
    images, tokens = record.metrics.get("data/train_images"), record.metrics.get("data/tokens_per_image")
    subject = "Each image" if images is None else f"Each of the {images:,.0f} training images"
    source, textifier = _name(record, "data"), _name(record, "textify")
    subject += f" of “{source}”" if source else ""
    if record.sees_pixels:
        return f"{subject} was taken as pixels, and not written as text."
    said = f"{subject} was written as text"
    said += f" by the textifier “{textifier}”" if textifier else ""
    return said + (f": {tokens:.4g} tokens on average." if tokens is not None else ".")


_MODELS = {
    "language": "A language model{name} read that text and nothing else of the image",
    "endpoint": "A language model{name} was asked over the network, with that text and nothing else of the image",
    "image": "No language model, but a neural network{name} saw these pixels",
    "baseline": "No language model, but a baseline{name} gave the answers",
}


def _model(record: RunRecord) -> str:
    name, model = _name(record, "model"), record.config.get("model") or {}
    if record.kind == "endpoint":
        name = str(model.get("path") or name)
    size, learned = (record.metrics.get(f"model/{key}") for key in ("parameters", "trainable_parameters"))
    said = _MODELS[record.kind].format(name=f", “{name}”," if name else "")
    if size is not None:
        said += f"; it has {count(size)} parameters"
        if learned is not None and learned < size:
            said += f", of which {count(learned)} learned"
    if record.kind in ("language", "image") and isinstance(model, dict) and "architecture" in model:
        said += f", and started {'from scratch' if model['architecture'] else 'from pretrained weights'}"
    return said + "."


def _training(record: RunRecord) -> str:
    epochs = max((row["epoch"] for row in record.history if "epoch" in row), default=None)
    seconds, device = record.metrics.get("time/train_seconds"), record.environment.get("device")
    if epochs is None and seconds is None:
        return ""
    fitted = record.kind == "baseline"
    said = "It was fitted" if fitted else "It trained"
    if epochs is not None:
        said += f" for {epochs:.3g} epoch{'' if epochs == 1 else 's'}"
    if seconds is not None:
        said += f"{' in' if fitted or epochs is not None else ' for'} {duration(seconds)}"
    return said + (f" on {device}." if isinstance(device, str) and device else ".")


def _result(record: RunRecord) -> str:
    """The headline of the test split, and how far that split pins it down."""
    if not record.measures:
        return ""
    measure = record.measures[0]
    key = f"test/{measure.key}"
    value, low, high = (record.metrics.get(each, math.nan) for each in (key, f"{key}_low", f"{key}_high"))
    if not math.isfinite(value):
        return ""
    images = record.metrics.get("data/test_images")
    said = f"On {'the' if images is None else f'{images:,.0f}'} test images its {measure.phrase} is "
    said += f"{measure.written(value)} ({measure.meaning})"
    if not measure.higher_is_better:
        said += "; lower is better"
    if math.isfinite(low) and math.isfinite(high):
        ends = f"{measure.written(low)} to {measure.written(high)}"
        said += f"; a test of this size pins it down to {ends} (95 % confidence interval)"
    return f"{said}."


def _name(record: RunRecord, group: str) -> str:
    """The name chosen in a group of the configuration; nothing where it states none."""
    chosen = record.config.get(group)
    if isinstance(chosen, dict):
        chosen = chosen.get("name")
    return chosen if isinstance(chosen, str) else ""
