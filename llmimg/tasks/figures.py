"""What a report draws of a task's predictions, as data: it knows how to draw each kind, and nothing of tasks."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class Matrix:
    """Counts or shares by row and column, such as truth and prediction.

    Attributes:
        values: float `[R, C]`.
        rows, columns: their names.
        row_title, column_title: what rows and columns are.
        counted: what the values are numbers of.
    """

    title: str
    values: np.ndarray
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    row_title: str = "truth"
    column_title: str = "prediction"
    counted: str = "images"
    meaning: str = ""


@dataclass(frozen=True, eq=False)
class Bars:
    """Numbers by name, one column of a table each, such as the precision and recall of each class.

    Attributes:
        names: N of them.
        columns: title → float `[N]`; nan is left empty.
        units: title → as of `Measure.unit`; a plain number where it is not named.
        words: title → as many texts, columns behind those of numbers.
    """

    title: str
    names: tuple[str, ...]
    columns: dict[str, np.ndarray]
    units: dict[str, str]
    meaning: str = ""
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Curve:
    """Lines over one axis, such as precision over recall.

    Attributes:
        lines: name → (x, y), float `[P]` each.
        diagonal: whether y = x is drawn beside them.
    """

    title: str
    lines: dict[str, tuple[np.ndarray, np.ndarray]]
    x_title: str
    y_title: str
    diagonal: bool = False
    meaning: str = ""


@dataclass(frozen=True, eq=False)
class Gallery:
    """Images side by side with words under each.

    Attributes:
        images: uint8 `[H, W, C]` each, C = 1 or 3.
        captions: as many.
    """

    title: str
    images: tuple[np.ndarray, ...]
    captions: tuple[str, ...]
    meaning: str = ""


Figure = Matrix | Bars | Curve | Gallery


@dataclass(frozen=True, eq=False)
class Shown:
    """A test image beside what the model was given of it.

    Attributes:
        image: uint8 `[H, W, C]`, C = 1 or 3.
        text: the image's text, as far as the model read it; empty where it saw pixels.
        unread: what was truncated of it by tokens.overflow=truncate; usually nothing.
        tokens: how many tokens the model read of it; 0 where that is not known.
        cut: tokens that were truncated; usually 0.
        reconstruction: uint8 `[H, W, C]`, from its text, gray where the model read nothing; None where there is none.
    """

    image: np.ndarray
    text: str = ""
    unread: str = ""
    tokens: int = 0
    cut: int = 0
    reconstruction: np.ndarray | None = None
