"""One set of images → its training, validation and test split.

Validation is the source's own split; where it has none, it is carved from the training split, stratified by class and
drawn by `data.split_seed`; a test split likewise, before it. `data.*_samples` then takes stratified subsets. Rows keep
the source's order, so that reading them stays sequential.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmimg.data.annotations.classes import Classes
from llmimg.data.balance import check_balance
from llmimg.data.columns import all_labels, fingerprint
from llmimg.data.decoding import Decoding
from llmimg.data.extremes import check_darkness, training_white
from llmimg.data.names import alike, shown, without_training
from llmimg.data.roles import choose_splits
from llmimg.data.settings import CARVE, DataSettings
from llmimg.data.sources import FreshRows, fresh_rows, load_source
from llmimg.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = ("train", "validation", "test")
_WHAT = {
    "label": "Labels",
    "labels": "Labels",
    "objects": "Objects",
    "mask": "Masks",
    "caption": "Captions",
    "question": "Questions",
    "answer": "Answers",
}


@dataclass(frozen=True)
class Data:
    """Three splits with the columns image, label and id, and what else there is of each image (`llmimg.data.columns`).

    `label_names` are the classes of images; `classes` has those of the columns `labels`, `objects` and `mask`, where
    there are.
    `decoding` is how their images are read, by what the training split's samples say. `notes` are sentences about what
    was done to the source that a reader of the results must know. `fresh` makes training rows anew for an epoch, where
    `data.fresh` asks for it. `others` are the data of tasks of a mixture that have their own, by the tasks' names.
    """

    train: "Dataset"
    validation: "Dataset"
    test: "Dataset"
    label_names: tuple[str, ...]
    decoding: Decoding
    notes: tuple[str, ...]
    classes: Mapping[str, Classes] = field(default_factory=dict)
    fresh: FreshRows | None = None
    others: Mapping[str, "Data"] = field(default_factory=dict)

    def of(self, task: str) -> "Data":
        """The data of a task, by its name."""
        return self.others.get(task, self)

    @property
    def every(self) -> dict[str, "Data"]:
        """All of them, those that tasks share unnamed."""
        return {"": self, **self.others}


@dataclass
class _Part:
    """Some rows of one of the source's splits."""

    split: str
    rows: np.ndarray  # int64, ascending
    labels: np.ndarray  # int64, of every row of the split

    def divided(self, count: int, seed: int, learn: str | None = None) -> tuple["_Part", "_Part", str]:
        """The part without `count` of its rows, those rows, and how they were drawn; `learn` as of `divide`."""
        kept, taken, how = divide(self.labels[self.rows], count, seed, learn)
        return _Part(self.split, self.rows[kept], self.labels), _Part(self.split, self.rows[taken], self.labels), how


def load(settings: DataSettings, needs: Collection[str] = ("label",), cache: Path | None = None) -> Data:
    """Read a source and lay out its splits; the same settings give the same rows, in every process.

    Args:
        needs: canonical columns (`llmimg.data.columns`) that a task needs besides the image: rows without are left out.
        cache: the folder of all that is prepared, to keep hashes of files in; None keeps nothing.

    Raises:
        UserError: a source, column or split that is not there; annotations that cannot be right; a split without any of
            what is needed; more images asked for than there are.
    """
    notes: list[str] = []
    source = load_source(settings, notes, cache, needs)
    roles = choose_splits(source, settings)
    parts = {
        role: _part(role, split, source[split], needs, notes) for role, split in roles.items() if split is not None
    }
    for role, fraction in (("test", settings.test_fraction), ("validation", settings.val_fraction)):
        if roles[role] is None:
            parts["train"], parts[role] = _carve(parts["train"], role, fraction, settings, notes)
    samples = {"train": "train_samples", "validation": "val_samples", "test": "test_samples"}
    for role, setting in samples.items():
        if getattr(settings, setting) is not None:
            parts[role] = _subset(parts[role], role, setting, settings, notes)
    chosen = {role: _select(source[part.split], part) for role, part in parts.items()}
    classes = tuple(chosen["train"].features["label"].names)
    if "label" in needs:
        notes += _class_notes(classes, parts, settings)
    if "labels" in needs:
        names = source.classes["labels"].names
        notes += alike(names) + without_training(names, {role: all_labels(chosen[role]) for role in SPLITS})
    white = training_white(chosen["train"], notes, cache)
    for role in ("validation", "test"):
        check_darkness(role, chosen[role], white, notes, cache)
    decoding = Decoding(settings.size, settings.fit, white)
    fresh = fresh_rows(settings, needs) if settings.fresh else None
    if fresh:
        notes.append("Training images are made anew in every epoch (data.fresh); what is counted is the first's.")
    return Data(
        **chosen, label_names=classes, decoding=decoding, notes=tuple(notes), classes=source.classes, fresh=fresh
    )


def _class_notes(names: Sequence[str], parts: Mapping[str, _Part], settings: DataSettings) -> list[str]:
    if len(names) < 2:
        raise UserError(
            f"{settings.name} has images of {len(names)} class ({shown(names)}): there is nothing to tell apart."
        )
    if settings.balance:
        check_balance(names, parts["train"].labels[parts["train"].rows])
    return alike(names) + without_training(names, {role: part.labels[part.rows] for role, part in parts.items()})


def divide(labels: np.ndarray, count: int, seed: int, learn: str | None = None) -> tuple[np.ndarray, np.ndarray, str]:
    """Positions 0..N-1 of `labels` [N] → (the rest, `count` of them, how): ascending, stratified where possible.

    A class of a single image counts as one of the most frequent class, because it cannot be on both sides. Where either
    side is smaller than the number of classes, the draw is not stratified. `how` says which way it went.

    Args:
        learn: the side that training images come from, "rest" or "taken": it gets one of every class, as far as it is
            large enough, in exchange for one of its most frequent class.
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
    if learn is not None:
        _exchange(labels, *((rest, taken) if learn == "rest" else (taken, rest)))
    how = "stratified" if fine else "drawn without stratification, as there are fewer images than classes"
    single = int((sizes == 1).sum())
    if fine and single:
        how += f" but for {single} class{'es' * (single > 1)} of a single image"
    return np.sort(rest), np.sort(taken), how


def _exchange(labels: np.ndarray, side: np.ndarray, other: np.ndarray) -> None:
    """Bring one image of every class to `side`, positions in the order in which they were drawn, in place: as many go
    back, each of the class that `side` has most of, while that has two or more."""
    counts = np.bincount(labels[side], minlength=labels.max() + 1)
    for missing in np.setdiff1d(labels[other], labels[side]):
        frequent = counts.argmax()
        if counts[frequent] < 2:
            return
        give = np.flatnonzero(labels[side] == frequent)[-1]
        take = np.flatnonzero(labels[other] == missing)[0]
        side[give], other[take] = other[take], side[give]
        counts[[frequent, missing]] += [-1, 1]


def _part(role: str, split: str, data: "Dataset", needs: Collection[str], notes: list[str]) -> _Part:
    labels = data.data.column("label").to_numpy()
    if len(labels) == 0:
        raise UserError(f"The {split} split holds no images: name another with data.{role}_split=.")
    known = {"label": labels >= 0} if "label" in needs else {}
    known |= {name: _is_said(data, name) for name in sorted(needs) if name != "label"}
    rows = np.arange(len(labels))
    for name, said in known.items():
        if not said.any():
            other = (
                f", or data.{role}_split={CARVE} to set a part of the training split aside" if role != "train" else ""
            )
            raise UserError(
                f"{_WHAT[name]} are missing from the {split} split: name another with data.{role}_split={other}."
            )
        if not said.all():
            first = f" (such as '{data[int(np.flatnonzero(~said)[0])]['id']}')" if name != "label" else ""
            notes.append(
                f"{int((~said).sum()):,} of {len(said):,} images of the {split} split have no {name}{first}: dropped."
            )
        rows = rows[said[rows]]
    if not len(rows):
        raise UserError(f"No image of the {split} split has all of {shown(sorted(known))}.")
    # Where labels do not matter, those without one are drawn as a class of their own.
    return _Part(split, rows, labels if "label" in needs else np.where(labels >= 0, labels, max(labels.max() + 1, 0)))


def _is_said(data: "Dataset", column: str) -> np.ndarray:
    """Whether something is known of each row, bool [N]."""
    return data.data.column(column).is_valid().to_numpy()


def _carve(train: _Part, role: str, fraction: float, settings: DataSettings, notes: list[str]) -> tuple[_Part, _Part]:
    total = len(train.rows)
    count = math.ceil(fraction * total)
    if not 0 < count < total:
        raise UserError(f"The {train.split} split has {total} images: too few to set a {role} split aside.")
    rest, taken, how = train.divided(count, settings.split_seed, "rest")
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
    _, taken, how = part.divided(count, settings.split_seed, "taken" if role == "train" else None)
    if count < total:
        notes.append(
            f"Of {total:,} {'training' if role == 'train' else role} images {count:,} are used, {how} (data.{setting})."
        )
    return taken


def _select(data: "Dataset", part: _Part) -> "Dataset":
    key = fingerprint(data._fingerprint, part.split, part.rows.astype("<i8").tobytes())
    return data.select(part.rows, new_fingerprint=key)
