"""The task of a configuration, for its data."""

from llmimg.configuration import Configuration
from llmimg.data import Data, class_counts
from llmimg.tasks.base import Task
from llmimg.tasks.info import DataInfo, training_answers

_LOOKED_AT = 64  # training images


def bound(settings: Configuration, data: Data) -> Task:
    """The task of a configuration, for these data: one, or a mixture of several."""
    asked = {name: _bound(each, data.of(name)) for name, each in settings.parts.items()}
    return settings.task_kind.together(settings.task_settings, asked)


def _bound(settings: Configuration, data: Data) -> Task:
    kind = settings.task_kind
    info = DataInfo(
        label_names=tuple(data.label_names),
        classes={column: each.names for column, each in data.classes.items()},
        numbers={column: each.numbers for column, each in data.classes.items()},
        counts=class_counts(data, kind.columns),
        answers=training_answers(kind.known_answers(data.train)),
        size=None if data.decoding.size is None else tuple(data.decoding.size),
        channels=_channels(data) if kind.writes_images else 1,
        rows=len(data.train),
    )
    return kind(settings.task_settings).bind(info, settings.textifier)


def _channels(data: Data) -> int:
    """3 where any of the first training images has colour, else 1."""
    images, _ = data.decoding(data.train[:_LOOKED_AT]["image"])
    return max((image.shape[2] for image in images if image is not None), default=1)
