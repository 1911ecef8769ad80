"""Which images a number stands for: hashes of decoded pixels, a fingerprint of each split, and what splits share.

An image is known by its pixels as decoded, before they are brought to another size: neither the name nor the format of
its file counts, nor its number in a data set.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from llmimg.data.columns import all_labels, fingerprint

if TYPE_CHECKING:
    from datasets import Dataset

Hashes = Sequence[str | None]  # `pixel_hash` of each row's image; None where it is broken

_BATCH = 1000
_NOT_KNOWN_OF = ("image", "id")  # columns that the fingerprint of a split does not look at: pixels and labels count


def pixel_hash(image: np.ndarray) -> str:
    """Hash the shape and the values of an image, uint8 `[H, W, C]`: 32 hexadecimal digits (XXH3 of 128 bits). Gray that
    is stored in three channels, as in a GIF, is gray."""
    if _is_gray(image):
        image = image[..., :1]
    height, width, channels = image.shape
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(image).data, seed=height << 34 | width << 4 | channels)


def _is_gray(image: np.ndarray) -> bool:
    if image.shape[2] == 1:
        return False  # nothing to take off
    red, green, blue = image[0, 0].tolist()  # most images in colour show it here
    return red == green == blue and bool((image == image[..., :1]).all())


@dataclass(frozen=True)
class SplitIdentity:
    """What a split holds, or a plain text.

    Attributes:
        rows: images, those that are broken among them; of a plain text its files.
        broken: how many are broken.
        classes: each class with its number of images, in the order of the class numbers; of images of several, those
            in the column `labels`.
        fingerprint: 32 hexadecimal digits of all rows' pixels and annotations, in their order.
    """

    rows: int
    broken: int
    classes: dict[str, int]
    fingerprint: str


@dataclass(frozen=True)
class DataIdentity:
    """The data of a run, as `data.json` in its folder says.

    Attributes:
        splits: name → what it is.
        sources: name → fingerprint of what the split was read from; where it is the same, so are the pixels.
    """

    splits: dict[str, SplitIdentity]
    sources: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that stand for all splits."""
        return fingerprint(*(f"{name}\0{split.fingerprint}" for name, split in sorted(self.splits.items())))

    def as_json(self) -> dict[str, Any]:
        """In JSON's types."""
        return {"fingerprint": self.fingerprint, **asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "DataIdentity":
        """From what `as_json` gave.

        Raises:
            KeyError, TypeError, AttributeError: where it did not.
        """
        splits = {name: SplitIdentity(**split) for name, split in values["splits"].items()}
        return cls(splits, dict(values["sources"]))

    def differences(self, now: "DataIdentity") -> list[str]:
        """Say how the data are now different, one phrase each; nothing where they are the same."""
        found = []
        for name in dict.fromkeys([*self.splits, *now.splits]):
            there, here = self.splits.get(name), now.splits.get(name)
            if there is None or here is None:
                found.append(f"the {name} split is {'new' if there is None else 'gone'}")
            elif there.fingerprint != here.fingerprint:
                found.append(f"the {name} split {_changed(there, here)}")
        return found


def _changed(there: SplitIdentity, here: SplitIdentity) -> str:
    names = [*there.classes, *(name for name in here.classes if name not in there.classes)]
    counts = [(name, there.classes.get(name), here.classes.get(name)) for name in names]
    differing = [each for each in counts if each[1] != each[2]]
    if differing:
        told = [
            f"'{name}' {'is new' if old is None else f'had {old:,}'}, {'is gone' if new is None else f'has {new:,}'}"
            for name, old, new in differing[:3]
        ]
        return f"had {there.rows:,} images, and has {here.rows:,} ({'; '.join(told)}{'; …' * (len(differing) > 3)})"
    if there.rows != here.rows:
        return f"had {there.rows:,} images, and has {here.rows:,}"
    if list(there.classes) != list(here.classes):
        return "has its classes in another order"
    if there.broken != here.broken:
        return f"had {there.broken:,} broken images, and has {here.broken:,}"
    return f"has other images, labels or another order of its {here.rows:,} rows"


def split_identity(split: "Dataset", hashes: Hashes) -> SplitIdentity:
    """Identify a split by its rows.

    Args:
        split: in canonical columns; annotations are all but `image` and `id`.
        hashes: of its images.
    """
    columns = {name: _in_short(split, name) for name in sorted(split.column_names) if name not in _NOT_KNOWN_OF}
    rows = zip(*columns.values(), strict=True) if columns else ((),) * len(hashes)
    lines = [json.dumps([pixels, *row]) for pixels, row in zip(hashes, rows, strict=True)]
    names = split.features["label"].names if "label" in columns else []
    counted = Counter(columns.get("label", ()))
    counts = _counts(split) if "labels" in columns else {name: counted[name] for name in names}
    within = [name for column in columns if column != "label" for name in _class_names(split.features[column])]
    key = fingerprint(*columns, *names, *within, "\n".join(lines))
    return SplitIdentity(len(hashes), sum(each is None for each in hashes), counts, key)


def _counts(split: "Dataset") -> dict[str, int]:
    """How many images each class holds in, where an image may be of several."""
    names = split.features["labels"].feature.names
    return dict(zip(names, np.bincount(all_labels(split), minlength=len(names)).tolist(), strict=True))


def _class_names(feature: Any) -> list[str]:
    """The names of all classes in a feature, at any depth: numbers mean nothing without them."""
    if isinstance(feature, Mapping):
        return [name for each in feature.values() for name in _class_names(each)]
    inner = getattr(feature, "feature", None)
    return list(getattr(feature, "names", None) or ()) if inner is None else _class_names(inner)


def _in_short(split: "Dataset", column: str) -> list[str | None]:
    """A column's values: classes by their names, what else there is by its hash, None where there is none. Masks and
    questions of a large split are too much to hold as text at once."""
    names, found = getattr(split.features[column], "names", None), []
    for batch in split.select_columns([column]).with_format("arrow").iter(_BATCH):
        for value in batch[column].to_pylist():
            if names is not None:
                found.append(names[value] if value is not None and value >= 0 else None)
            else:
                found.append(None if value is None else xxhash.xxh3_128_hexdigest(str(value).encode()))
    return found


@dataclass(frozen=True)
class Overlap:
    """Images of the split `name` that are, pixel by pixel, also in splits before it.

    Attributes:
        images: how many.
        total: of how many whole images of `name`.
        among: earlier split → how many it has, those with any.
        conflicting: how many of `images` have another label there.
    """

    name: str
    images: int
    total: int
    among: dict[str, int]
    conflicting: int = 0

    def __str__(self) -> str:
        words = {"train": "training images", "validation": "validation images", "shots": "images in the prompt"}
        counts = [
            f"{words.get(name, name)}{f' ({each:,})' * (len(self.among) > 1)}" for name, each in self.among.items()
        ]
        conflict = f", {self.conflicting:,} of them with another label there" if self.conflicting else ""
        told = f"{self.images:,} of {self.total:,} {self.name} images are also among the {' and the '.join(counts)}"
        return f"{told}{conflict}."


def overlaps(hashes: Mapping[str, Hashes], labels: Mapping[str, Sequence[Any]]) -> list[Overlap]:
    """Count what splits share with those before them; splits that share nothing are left out.

    Args:
        hashes: split → of its images: train, validation, test.
        labels: split → of its rows, in JSON's types; None where there is none.
    """
    found = []
    known: dict[str, dict[str, set[Any]]] = {}
    for name in hashes:
        rows = [(pixels, label) for pixels, label in zip(hashes[name], labels[name], strict=True) if pixels is not None]
        among = {other: sum(pixels in of for pixels, _ in rows) for other, of in known.items()}
        shared = [row for row in rows if any(row[0] in of for of in known.values())]
        others = [set().union(*(of.get(pixels, ()) for of in known.values())) - {None} for pixels, _ in shared]
        conflict = sum(label is not None and bool(of - {label}) for (_, label), of in zip(shared, others, strict=True))
        if shared:
            among = {other: count for other, count in among.items() if count}
            found.append(Overlap(name, len(shared), len(rows), among, conflict))
        known[name] = _by_pixels(hashes[name], labels[name])
    return found[::-1]


def conflicting(hashes: Hashes, labels: Sequence[Any]) -> int:
    """Count images of one split that another of it equals pixel by pixel, with another label."""
    known = _by_pixels(hashes, labels)
    return sum(pixels is not None and len(known[pixels] - {None}) > 1 for pixels in hashes)


def _by_pixels(hashes: Hashes, labels: Sequence[Any]) -> dict[str, set[Any]]:
    """The labels that each image has."""
    known: dict[str, set[Any]] = {}
    for pixels, label in zip(hashes, labels, strict=True):
        if pixels is not None:
            known.setdefault(pixels, set()).add(label)
    return known


def without_copies(hashes: Mapping[str, Hashes]) -> dict[str, np.ndarray]:
    """Rows of each split whose images are in no later split, int64, ascending; broken ones stay."""
    kept, later = {}, set()
    for name in reversed(list(hashes)):
        rows = [row for row, pixels in enumerate(hashes[name]) if pixels is None or pixels not in later]
        kept[name] = np.array(rows, np.int64)
        later |= set(hashes[name]) - {None}
    return {name: kept[name] for name in hashes}
