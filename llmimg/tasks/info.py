"""What a task must know of the data."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DataInfo:
    """What a task must know of the data: JSON's types, saved with a recogniser.

    Attributes:
        label_names: the classes of images.
        classes: of the columns `objects` and `mask`, the names of their classes.
        numbers: the source's own number of each of these; None where it has none.
        counts: how often each of these stands in the training split, in objects or pixels; where it was counted.
        size: (height, width) of what the model sees; None where images differ.
    """

    label_names: tuple[str, ...] = ()
    classes: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    numbers: Mapping[str, tuple[int | None, ...]] = dataclasses.field(default_factory=dict)
    counts: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    size: tuple[int, int] | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "DataInfo":
        """From what JSON gives back."""
        of_columns = {
            name: {column: tuple(each) for column, each in values[name].items()}
            for name in ("classes", "numbers", "counts")
        }
        size = values["size"]
        return cls(tuple(values["label_names"]), **of_columns, size=None if size is None else (size[0], size[1]))


NOTHING_KNOWN = DataInfo()
