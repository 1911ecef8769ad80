"""Which of a set's columns hold objects, masks and words: by feature type and name, or by setting."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from llmimg.data.annotations.words import WORDS, is_words
from llmimg.data.names import folded, shown
from llmimg.errors import UserError
from llmimg.nearest import did_you_mean

if TYPE_CHECKING:
    from datasets import Features

    from llmimg.data.settings import DataSettings

ANNOTATIONS = ("objects", "mask", *WORDS)
BOX_NAMES = ("bbox", "bboxes", "box", "boxes")
CATEGORY_NAMES = ("category", "categories", "category_id", "label", "labels", "class", "classes")
TAG_NAMES = ("tag", "tags", "attribute", "attributes")
_WORD_NAMES = {
    "caption": ("caption", "captions", "text", "sentences"),
    "question": ("question", "questions"),
    "answer": ("answer", "answers"),
}


def image_column(settings: "DataSettings", features: "Features", needs: Iterable[str]) -> str:
    """The set's column of images: the one of type Image that is no mask; of two, where masks are needed, the first.

    Raises:
        UserError: a name that the set does not have, or not one such column.
    """
    from datasets import Image

    if settings.image_column is None and settings.mask_column is None and "mask" in needs:
        found = [name for name, feature in features.items() if isinstance(feature, Image)]
        if len(found) == 2:
            return "image" if "image" in found else found[0]
    rest = {name: feature for name, feature in features.items() if name != settings.mask_column}
    return _one(settings, "image", rest, Image)


def label_column(settings: "DataSettings", features: "Features", needs: Iterable[str]) -> str | None:
    """The set's column of classes: the one of type ClassLabel. None where it is not needed, and there is not one.

    Raises:
        UserError: a name that the set does not have, or a needed column that is not to be found.
    """
    from datasets import ClassLabel

    if "labels" in needs:  # a label each is none of several
        return None
    fitting = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
    if "label" not in needs and settings.label_column is None and len(fitting) != 1:
        return None
    return _one(settings, "label", features, ClassLabel)


def labels_column(settings: "DataSettings", features: "Features") -> str | None:
    """The set's column of lists of labels: the one that is named, or the one of lists of ClassLabel, else of numbers or
    text by its name. None where there is none, or the one that is named has a label each.

    Raises:
        UserError: a name that the set does not have, or several such columns.
    """
    if (named := settings.label_column) is not None:
        if named not in features:
            raise UserError(_unknown(settings, "label", named, features))
        return named if _is_list(features[named]) else None
    lists = {name: feature for name, feature in features.items() if _is_list(feature)}
    fitting = [name for name, feature in lists.items() if hasattr(feature.feature, "names")]
    by_name = part_named(lists, CATEGORY_NAMES + TAG_NAMES)
    fitting = fitting or ([] if by_name is None else [by_name])
    if len(fitting) > 1:
        raise UserError(
            f"'{settings.path}' has several columns of lists of labels ({shown(fitting)}): name the one to use with "
            "data.label_column=."
        )
    return fitting[0] if fitting else None


def _is_list(feature: Any) -> bool:
    """Whether a column may hold labels in lists, of numbers, text or ClassLabel."""
    inner = getattr(feature, "feature", None)
    return str(getattr(inner, "dtype", "")).startswith(("int", "uint", "string", "large_string"))


def columns_needed(settings: "DataSettings", features: "Features", needs: Iterable[str]) -> frozenset[str]:
    """The canonical columns to read: where labels are needed, and there is no column of lists of them, what they can be
    made from (`llmimg.data.annotations.labels.with_labels`)."""
    needs = frozenset(needs)
    if "labels" not in needs or labels_column(settings, features) is not None:
        return needs
    boxes = settings.label_column is None and (settings.objects_column or _with_boxes(features))
    return needs - {"labels"} | {"objects" if boxes else "label"}


def annotation_columns(
    settings: "DataSettings", features: "Features", image: str, needs: Iterable[str]
) -> dict[str, str]:
    """Canonical column → the set's column, of those that are needed or named by a setting.

    Args:
        image: the set's column of images.

    Raises:
        UserError: a name that the set does not have, or a column that is needed and not to be found.
    """
    needs, found = set(needs), {}
    for which in ANNOTATIONS:
        named = getattr(settings, f"{which}_column")
        if named is not None and named not in features:
            raise UserError(_unknown(settings, which, named, features))
        if named is not None or which in needs:
            found[which] = named or _found(settings, which, features, image)
    labels = labels_column(settings, features) if "labels" in needs else None
    return found if labels is None else {**found, "labels": labels}


def _unknown(settings: "DataSettings", which: str, named: str, features: "Features | Mapping[str, Any]") -> str:
    return f"'{settings.path}' has no column '{named}' (data.{which}_column): {did_you_mean(named, features)}"


def mask_candidates(features: "Features", image: str) -> list[str]:
    """Columns of images besides the one that is looked at."""
    from datasets import Image

    return [name for name, feature in features.items() if isinstance(feature, Image) and name != image]


def parts(feature: Any) -> Mapping[str, Any]:
    """The features of the parts of each object, where a column may be one of objects; else none."""
    inner = getattr(feature, "feature", feature)
    return inner if isinstance(inner, Mapping) else {}


def part_named(names: Iterable[str], known: Iterable[str]) -> str | None:
    """Which of some names is one of those known, the earlier ones first."""
    by_fold = {folded(name): name for name in names}
    return next((by_fold[name] for name in known if name in by_fold), None)


def _found(settings: "DataSettings", which: str, features: "Features", image: str) -> str:
    if which == "mask":
        fitting = mask_candidates(features, image)
    elif which == "objects":
        fitting = _with_boxes(features)
    else:
        named = part_named(features, _WORD_NAMES[which])
        fitting = [named] if named is not None and is_words(features[named]) else []
    if len(fitting) == 1:
        return fitting[0]
    which_ones = f"several that may be it ({shown(fitting)})" if fitting else "none that is known for it"
    raise UserError(
        f"The task needs the column '{which}', and '{settings.path}' has {which_ones}: name it with "
        f"data.{which}_column=. Its columns: {', '.join(features)}."
    )


def _with_boxes(features: "Features") -> list[str]:
    """The columns that may be one of objects."""
    return [
        name
        for name, feature in features.items()
        if part_named(parts(feature), BOX_NAMES) and part_named(parts(feature), CATEGORY_NAMES)
    ]


def _one(settings: "DataSettings", which: str, features: Mapping[str, Any], kind: type) -> str:
    """The column of images or classes: the one that is named, or the only one of its type."""
    wanted = getattr(settings, f"{which}_column")
    if wanted is not None:
        if wanted not in features:
            raise UserError(_unknown(settings, which, wanted, features))
        return wanted
    found = [name for name, feature in features.items() if isinstance(feature, kind)]
    if len(found) != 1:
        which_ones = (
            f"several columns of type {kind.__name__} ({', '.join(found)})"
            if found
            else f"none of type {kind.__name__}"
        )
        raise UserError(
            f"'{settings.path}' has {which_ones}: name the one to use with data.{which}_column=. "
            f"Its columns: {', '.join(features)}."
        )
    return found[0]
