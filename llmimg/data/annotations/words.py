"""Captions, questions and answers as sources have them → text; None where nothing is said."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmimg.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset, Features

WORDS = ("caption", "question", "answer")
FOILS = ("foils", "foil_kinds")  # beside captions, by these names


def is_words(feature: Any) -> bool:
    """Whether a column of this feature type holds words: text, classes by their names, or lists of texts."""
    inner = getattr(feature, "feature", None)
    return _is_text(feature) or hasattr(feature, "names") or (inner is not None and _is_text(inner))


def _is_text(feature: Any) -> bool:
    return getattr(feature, "dtype", None) in ("string", "large_string") and not hasattr(feature, "names")


def words_feature(features: "Features", column: str) -> Any:
    """The feature of the canonical column that a source's column becomes.

    Raises:
        UserError: a column of another type.
    """
    from datasets import List, Value

    feature = features[column]
    if not is_words(feature):
        raise UserError(f"The column '{column}' holds no text (its type is {feature}): name another.")
    several = getattr(feature, "feature", None) is not None
    return List(Value("string")) if several else Value("string")


def read_words(data: "Dataset", column: str) -> Sequence[Any]:
    """The text of each row, or the texts that it has; None instead of missing or empty ones."""
    names = getattr(data.features[column], "names", None)
    found = []
    for value in data.data.column(column).to_pylist():
        if names is not None:
            value = None if value is None or value < 0 else names[value]
        elif isinstance(value, list):
            value = [each for each in value if each and each.strip()]
        found.append(value if value and (isinstance(value, list) or value.strip()) else None)
    return found


def read_lists(data: "Dataset", column: str) -> list[list[str]]:
    """The texts of each row, one or several; none where there are none.

    Raises:
        UserError: a column of another type.
    """
    words_feature(data.features, column)
    found = read_words(data, column)
    return [[] if each is None else [each] if isinstance(each, str) else each for each in found]
