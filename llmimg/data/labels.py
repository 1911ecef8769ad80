"""A column of labels → classes and their numbers. Labels are text, as written."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from llmimg.data.names import same
from llmimg.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from llmimg.data.settings import DataSettings

_WHOLE = re.compile(r"0|-?[1-9][0-9]*")  # a whole number, as it is written when it is one


def classes(
    settings: "DataSettings", label: str, splits: Mapping[str, "Dataset"], notes: list[str]
) -> tuple[list[str], dict[str, np.ndarray]]:
    """The classes' names, and the class number of each row (int64, -1: unlabelled) of each split.

    Classes are those of a ClassLabel, or the values over all splits: text sorted by itself, whole numbers (as text too,
    if all are written so) by their size. Text that differs by its Unicode form alone is one class. `data.label_names`
    gives their order where it holds the names that they have, and other names where it does not. Unlabelled are missing
    values, empty text and negative numbers; what stood for that is added to `notes`.

    Raises:
        UserError: a column of another type, or values that `data.label_names` has no name for.
    """
    columns = {split: data.data.column(label) for split, data in splits.items()}
    feature = next(iter(splits.values())).features[label]
    known = getattr(feature, "names", None)
    given = list(settings.label_names or ())
    if known is not None:
        if given and len(given) != len(known):
            raise UserError(f"data.label_names has {len(given)} names, but '{label}' has {len(known)} classes.")
        names = given or known
        by_name = sorted(map(same, names)) == sorted(map(same, known))  # then what is given is their order
        order = [list(map(same, names)).index(same(name)) for name in known] if by_name else range(len(known))
        numbering: Mapping[object, int] = dict(enumerate(order))
    else:
        _check_type(label, next(iter(columns.values())).type)
        names, numbering = _from_values(label, columns, given)
    numbers = {split: _numbered(column, numbering) for split, column in columns.items()}
    notes += _unlabelled(label, columns, numbers)
    return _merged([same(name) for name in names], numbers)


def _check_type(label: str, kind: "pa.DataType") -> None:
    import pyarrow as pa

    fits = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string)
    if not any(fit(kind) for fit in fits):
        raise UserError(
            f"The column '{label}' cannot be a class, its type is {kind}: data.label_column= names another."
        )


def _from_values(
    label: str, columns: Mapping[str, "pa.ChunkedArray"], given: list[str]
) -> tuple[list[str], dict[object, int]]:
    """The classes' names, and the class number of each value that is one."""
    found = {value for column in columns.values() for value in column.unique().to_pylist() if value not in (None, "")}
    text = all(isinstance(value, str) for value in found)
    by_name = text and given and {same(value) for value in found} <= {same(name) for name in given}
    whole = bool(found) and not by_name and all(_WHOLE.fullmatch(str(value)) for value in found)
    if whole:
        found = {value for value in found if int(value) >= 0}
    if not given:
        known = sorted(found, key=int) if whole else sorted(found)
        return [str(value) for value in known], {value: number for number, value in enumerate(known)}
    if whole:
        numbering = {value: int(value) for value in found if int(value) < len(given)}
    else:
        wanted = {same(name): number for number, name in enumerate(given)}
        numbering = {value: wanted[same(str(value))] for value in found if same(str(value)) in wanted}
    stray = found.difference(numbering)
    if stray:
        raise UserError(f"The column '{label}' holds {min(stray)!r}, for which data.label_names has no name.")
    return given, numbering


def _numbered(column: "pa.ChunkedArray", numbering: Mapping[object, int]) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    index = pc.index_in(column, pa.array(list(numbering), column.type))
    numbers = np.array([*numbering.values(), -1], np.int64)
    return numbers[pc.fill_null(index, len(numbering)).to_numpy()]


def _unlabelled(label: str, columns: Mapping[str, "pa.ChunkedArray"], numbers: Mapping[str, np.ndarray]) -> list[str]:
    """A sentence on the values that were taken for no label, as they are written."""
    import pyarrow as pa

    counted: Counter[str] = Counter()
    for split, column in columns.items():
        values = column.take(pa.array(np.flatnonzero(numbers[split] < 0))).value_counts()
        for value, count in zip(*(values.field(name).to_pylist() for name in ("values", "counts")), strict=True):
            counted["nothing" if value is None else f"'{value}'"] += count
    if not counted:
        return []
    told = ", ".join(f"{text} ({count:,} images)" for text, count in counted.most_common())
    return [f"In the column '{label}' these stand for no label: {told}."]


def _merged(names: list[str], numbers: dict[str, np.ndarray]) -> tuple[list[str], dict[str, np.ndarray]]:
    """Classes of one name as one."""
    different = list(dict.fromkeys(names))
    if len(different) == len(names):
        return names, numbers
    numbering = np.array([*(different.index(name) for name in names), -1], np.int64)
    return different, {split: numbering[each] for split, each in numbers.items()}
