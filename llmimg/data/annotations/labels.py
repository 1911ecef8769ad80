"""The labels of a source's images, of which each may have several → the canonical column `labels`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmimg.data.annotations.assembly import with_column
from llmimg.data.annotations.classes import Classes, Value, chosen_classes, index_of, renamed
from llmimg.data.columns import Source
from llmimg.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

Said = Sequence[Value | None] | None


@dataclass(frozen=True)
class SplitLabels:
    """What a source says of the labels of one split.

    Attributes:
        names: of each row, for an error: `row 3 of the test split`.
        rows: the numbers or names of each row's; None where nothing is said of it, which is not the same as none.
        known: what the numbers are called, where the source says it.
    """

    names: Sequence[str]
    rows: Sequence[Said]
    known: Mapping[int, str] | None = None


def canonical_labels(
    splits: Mapping[str, SplitLabels], train: str, given: Sequence[str] | None
) -> tuple[dict[str, list[list[int] | None]], Classes]:
    """The column `labels` of each split, indices in the classes in their order, and the classes.

    Args:
        train: the split whose labels are the classes.
        given: `data.label_names`.

    Raises:
        UserError: a label of no class, one that is missing, and one that is said twice of a row, naming the first row.
    """
    learned = splits[train]
    values = (value for row in learned.rows for value in row or () if value is not None)
    classes, by_number = chosen_classes(learned.known, values, given)
    found, indices = {}, classes.indices()
    for split, said in splits.items():
        names = renamed(said.known, learned.known, classes) if said.known is not None else by_number
        found[split] = [
            None if row is None else _indices(name, row, names, classes, indices)
            for name, row in zip(said.names, said.rows, strict=True)
        ]
    return found, classes


def _indices(
    name: str,
    row: Sequence[Value | None],
    names: Mapping[int, str] | None,
    classes: Classes,
    indices: Mapping[str, int],
) -> list[int]:
    found: list[int] = []
    for value in row:
        if value is None:
            raise UserError(f"A label of {name} is missing.")
        index = index_of(value, names, classes, indices, f"A label of {name} is")
        if index in found:
            raise UserError(
                f"The label {value!r} stands twice in {name}: a list of labels holds the number or name of each class "
                "that holds, once."
            )
        found.append(index)
    return sorted(found)


def labels_feature(classes: Classes) -> Any:
    """The feature of the canonical column."""
    from datasets import ClassLabel, List

    return List(ClassLabel(names=list(classes.names)))


def with_labels(source: Source, by_label: bool, name: str) -> Source:
    """A source with the column `labels`, made where it has none: the classes of an image's objects, where these are
    known, or its one label.

    Args:
        by_label: take the label, whatever else is known.
        name: what the source is called.

    Raises:
        UserError: nothing is known to make them from.
    """
    if all("labels" in data.column_names for data in source.values()):
        return source
    if "objects" in source.classes and not by_label:
        classes, column = source.classes["objects"], "objects"
    else:
        known = next(iter(source.values())).features["label"].names
        if not known:
            raise UserError(
                f"The task needs the labels of images, which data.source={name} does not have: choose other data, or "
                "another task."
            )
        classes, column = Classes(tuple(known), tuple(range(len(known)))), "label"
    feature = labels_feature(classes)
    splits = {split: _with_labels(data, column, feature) for split, data in source.items()}
    return Source(splits, {**source.classes, "labels": classes})


def _with_labels(data: "Dataset", column: str, feature: Any) -> "Dataset":
    return with_column(data, "labels", labels_of(column, data.data.column(column).to_pylist()), feature)


def labels_of(column: str, values: Sequence[Any]) -> list[list[int] | None]:
    """The labels of rows by a canonical column, `objects` or `label`: the indices in its classes in their order; None
    where nothing is known of a row."""
    if column == "objects":
        return [None if each is None else sorted(set(each["category"])) for each in values]
    return [None if each is None or each < 0 else [int(each)] for each in values]
