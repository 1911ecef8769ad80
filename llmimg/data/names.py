"""Class names: what counts as one, and which are so near to each other that a reader must know."""

import difflib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

_SHOWN = 8


def same(name: str) -> str:
    """A name in Unicode's composed form (NFC): the same text may be written in several, and file systems choose."""
    return unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """A name without what is easily written otherwise: case, and spaces around it or more than one within."""
    return " ".join(same(name).casefold().split())


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Of the known names the one most like `name`, if one is."""
    by_fold: dict[str, str] = {}
    for each in known:
        by_fold.setdefault(folded(each), each)
    found = difflib.get_close_matches(folded(name), by_fold, n=1)
    return by_fold[found[0]] if found else None


def shown(parts: Sequence[str]) -> str:
    """A few of the parts, and how many more there are."""
    more = len(parts) - _SHOWN
    return ", ".join(parts[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def alike(names: Sequence[str]) -> list[str]:
    """A sentence where names differ by case or spaces alone; they stay classes of their own."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(folded(name), []).append(name)
    several = [" and ".join(f"'{name}'" for name in group) for group in groups.values() if len(group) > 1]
    return (
        [f"Classes that differ by case or spaces alone are classes of their own: {shown(several)}."] if several else []
    )


def without_training(names: Sequence[str], labels: Mapping[str, np.ndarray]) -> list[str]:
    """Sentences on classes that cannot be learned, as the training split has no image of them.

    Args:
        labels: of each split, `train` among them, the class numbers of its images, int64 [N], negative where unknown.
    """
    counts = {split: np.bincount(each[each >= 0], minlength=len(names)) for split, each in labels.items()}
    missing = np.flatnonzero(counts["train"] == 0).tolist()
    if not missing:
        return []
    trained = [name for name, count in zip(names, counts["train"], strict=True) if count]
    told, empty = [], []
    for name, count in ((names[index], {split: each[index] for split, each in counts.items()}) for index in missing):
        where = [f"{number:,} {split}" for split, number in count.items() if number]
        near = nearest_name(name, trained)
        hint = f", the nearest that has some: '{near}'" if near is not None else ""
        (told if where else empty).append(f"'{name}' ({' and '.join(where) or 'no'} images{hint if where else ''})")
    total = f"{len(missing):,} of {len(names):,} classes have"
    return [f"{total} no training image and cannot be learned: {shown(told + empty)}."]
