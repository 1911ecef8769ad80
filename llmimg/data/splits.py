"""One set of images → its training, validation and test split.

Validation is the source's own split; where it has none, it is carved from the training split, stratified by class and
drawn by `data.split_seed`; a test split likewise, before it. `data.*_samples` then takes stratified subsets. Rows keep
the source's order, so that reading them stays sequential.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmimg.data.columns import fingerprint
from llmimg.data.decoding import Decoding
from llmimg.data.extremes import training_white
from llmimg.data.settings import CARVE, DataSettings
from llmimg.data.sources import load_source
from llmimg.errors import UserError
from llmimg.settings import nearest

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = ("train", "validation", "test")
USUAL_NAMES = {"validation": ("validation", "valid", "val", "dev"), "test": ("test",)}


@dataclass(frozen=True)
class Data:
    """Three splits with the columns image, label and id (see `llmimg.data.columns`).

    `decoding` is how their images are read, by what the training split's samples say. `notes` are sentences about what
    was done to the source that a reader of the results must know.
    """

    train: "Dataset"
    validation: "Dataset"
    test: "Dataset"
    label_names: tuple[str, ...]
    decoding: Decoding
    notes: tuple[str, ...]


@dataclass
class _Part:
    """Some rows of one of the source's splits."""

    split: str
    rows: np.ndarray  # int64, ascending
    labels: np.ndarray  # int64, of every row of the split

    def divided(self, count: int, seed: int) -> tuple["_Part", "_Part", str]:
        """The part without `count` of its rows, those rows, and how they were drawn."""
        kept, taken, how = divide(self.labels[self.rows], count, seed)
        return _Part(self.split, self.rows[kept], self.labels), _Part(self.split, self.rows[taken], self.labels), how


def load(settings: DataSettings, labelled: bool = True, cache: Path | None = None) -> Data:
    """Read a source and lay out its splits; the same settings give the same rows, in every process.

    Args:
        labelled: leave images without a label out.
        cache: the folder of all that is prepared, to keep hashes of files in; None keeps nothing.

    Raises:
        UserError: a source, column or split that is not there; a split without any label; more images asked for than
            there are.
    """
    notes: list[str] = []
    source = load_source(settings, notes, cache)
    names = choose_splits(source, settings)
    parts = {
        role: _part(role, split, source[split], labelled, notes) for role, split in names.items() if split is not None
    }
    for role, fraction in (("test", settings.test_fraction), ("validation", settings.val_fraction)):
        if names[role] is None:
            parts["train"], parts[role] = _carve(parts["train"], role, fraction, settings, notes)
    samples = {"train": "train_samples", "validation": "val_samples", "test": "test_samples"}
    for role, setting in samples.items():
        if getattr(settings, setting) is not None:
            parts[role] = _subset(parts[role], role, setting, settings, notes)
    chosen = {role: _select(source[part.split], part) for role, part in parts.items()}
    decoding = Decoding(settings.size, settings.fit, training_white(chosen["train"], notes, cache))
    return Data(
        **chosen, label_names=tuple(chosen["train"].features["label"].names), decoding=decoding, notes=tuple(notes)
    )


def choose_splits(source: Mapping[str, object], settings: DataSettings) -> dict[str, str | None]:
    """The source's split for train, validation and test; None where one is to be carved.

    Raises:
        UserError: a name that the source does not have, or one split for two purposes.
    """
    wanted = {"train": settings.train_split, "validation": settings.validation_split, "test": settings.test_split}
    named = [split for split in wanted.values() if split not in (None, CARVE)]
    for role, split in wanted.items():
        if split in (None, CARVE) and role != "train":
            free = [usual for usual in USUAL_NAMES[role] if usual in source and usual not in named]
            wanted[role] = free[0] if free and split is None else None
        elif split not in source:
            raise UserError(
                f"{settings.name} has no split '{split}' (data.{role}_split): {nearest(str(split), source)}"
            )
        elif named.count(split) > 1:
            raise UserError(f"data.{role}_split={split} is named for another purpose too: each split serves one.")
    return wanted


def divide(labels: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Positions 0..N-1 of `labels` [N] → (the rest, `count` of them, how): ascending, stratified where possible.

    A class of a single image counts as one of the most frequent class, because it cannot be on both sides. Where either
    side is smaller than the number of classes, the draw is not stratified. `how` says which way it went.
    """
    from sklearn.model_selection import train_test_split

    everything = np.arange(len(labels))
    if count >= len(labels):
        return everything[:0], everything, "all"
    sizes = np.bincount(labels)
    strata = np.where(sizes[labels] > 1, labels, sizes.argmax())
    fine = min(count, len(labels) - count) >= len(np.unique(strata))
    rest, taken = train_test_split(
        everything, test_size=count, random_state=seed, stratify=strata if fine else None, shuffle=True
    )
    how = "stratified" if fine else "drawn without stratification, as there are fewer images than classes"
    single = int((sizes == 1).sum())
    if fine and single:
        how += f" but for {single} class{'es' * (single > 1)} of a single image"
    return np.sort(rest), np.sort(taken), how


def _part(role: str, split: str, data: "Dataset", labelled: bool, notes: list[str]) -> _Part:
    labels = data.data.column("label").to_numpy()
    if len(labels) == 0:
        raise UserError(f"The {split} split holds no images: name another with data.{role}_split=.")
    if not labelled:  # those without a label are drawn as a class of their own
        return _Part(split, np.arange(len(labels)), np.where(labels >= 0, labels, max(labels.max() + 1, 0)))
    rows = np.flatnonzero(labels >= 0)
    if len(rows) == 0:
        other = f", or data.{role}_split={CARVE} to set a part of the training split aside" if role != "train" else ""
        raise UserError(f"Labels are missing from the {split} split: name another with data.{role}_split={other}.")
    if len(rows) < len(labels):
        notes.append(
            f"{len(labels) - len(rows):,} of {len(labels):,} images of the {split} split have no label: dropped."
        )
    return _Part(split, rows, labels)


def _carve(train: _Part, role: str, fraction: float, settings: DataSettings, notes: list[str]) -> tuple[_Part, _Part]:
    total = len(train.rows)
    count = math.ceil(fraction * total)
    if not 0 < count < total:
        raise UserError(f"The {train.split} split has {total} images: too few to set a {role} split aside.")
    rest, taken, how = train.divided(count, settings.split_seed)
    wanted = getattr(settings, f"{role}_split")
    why = f"data.{role}_split={CARVE}" if wanted == CARVE else f"{settings.name} has no {role} split"
    whose = "its" if role == "test" else "the training"
    notes.append(
        f"{why}: {fraction * 100:g} % of {whose} images ({count:,} of {total:,}), {how}, were set aside "
        f"(data.split_seed={settings.split_seed})."
    )
    return rest, taken


def _subset(part: _Part, role: str, setting: str, settings: DataSettings, notes: list[str]) -> _Part:
    count, total = getattr(settings, setting), len(part.rows)
    if count > total:
        raise UserError(f"data.{setting}={count:,} asks for more images than the {role} split has: {total:,}.")
    _, taken, how = part.divided(count, settings.split_seed)
    if count < total:
        notes.append(
            f"Of {total:,} {'training' if role == 'train' else role} images {count:,} are used, {how} (data.{setting})."
        )
    return taken


def _select(data: "Dataset", part: _Part) -> "Dataset":
    key = fingerprint(data._fingerprint, part.split, part.rows.astype("<i8").tobytes())
    return data.select(part.rows, new_fingerprint=key)
