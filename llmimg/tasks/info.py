"""What a task must know of the data."""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmimg.metrics.words import commonest, folded, normalised

MOST_ANSWERS = 3000


@dataclass(frozen=True)
class DataInfo:
    """What a task must know of the data: JSON's types, saved with a recogniser.

    Attributes:
        label_names: the classes of images.
        classes: of the columns `labels`, `objects` and `mask`, the names of their classes.
        numbers: the source's own number of each of these; None where it has none.
        counts: how often each of these stands in the training split, in objects or pixels, and of the columns `label`
            and `labels` in images; where it was counted.
        rows: of the training split.
        answers: of the training rows, each once, the commonest first; none where there are more than `MOST_ANSWERS`.
        size: (height, width) of what the model sees; None where images differ.
        channels: of images: 3 where any of the first training images has colour, else 1.
    """

    label_names: tuple[str, ...] = ()
    classes: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    numbers: Mapping[str, tuple[int | None, ...]] = dataclasses.field(default_factory=dict)
    counts: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    answers: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    channels: int = 1
    rows: int = 0

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "DataInfo":
        """From what JSON gives back."""
        of_columns = {
            name: {column: tuple(each) for column, each in values[name].items()}
            for name in ("classes", "numbers", "counts")
        }
        size = values["size"]
        known = {"answers": tuple(values["answers"]), "size": None if size is None else (size[0], size[1])}
        return cls(
            tuple(values["label_names"]),
            **of_columns,
            **known,
            channels=values.get("channels", 1),
            rows=values.get("rows", 0),
        )


NOTHING_KNOWN = DataInfo()


def training_answers(values: Iterable[str | Sequence[str] | None]) -> tuple[str, ...]:
    """`DataInfo.answers` of a column of answers, text or lists of text: of each row the one that most gave. Answers
    that are the same once they are normalised are one, as it is most often written."""
    forms: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for value in values:
        if value:
            answer = folded(value if isinstance(value, str) else commonest(value))
            forms[normalised(answer)][answer] += 1
    if len(forms) > MOST_ANSWERS:
        return ()
    return tuple(form.most_common(1)[0][0] for form in sorted(forms.values(), key=lambda each: -each.total()))
