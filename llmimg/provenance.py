"""Which data a run stands for: read for every kind of model by one way, known by pixels and labels, and held against
what the run in a folder was of."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file, save_file

from llmimg.configuration import Configuration
from llmimg.data import SPLITS, Data, load
from llmimg.data.columns import fingerprint
from llmimg.data.identity import (
    DataIdentity,
    Hashes,
    SplitIdentity,
    conflicting,
    overlaps,
    split_identity,
    without_copies,
)
from llmimg.data.plain_text import contents, text_files
from llmimg.data.shots import draw_shots
from llmimg.errors import UserError
from llmimg.hub import recogniser_described, weights_fingerprint
from llmimg.run_folder import RunFolder
from llmimg.tokens.cache import prepare_hashes
from llmimg.tokens.folders import cache_folder
from llmimg.tokens.learned import run_decoding

if TYPE_CHECKING:
    from datasets import Dataset

_TRAINED_ON = "training_images.safetensors"  # uint8 [N, 16]: hashes of pixels


def load_data(settings: Configuration, notes: list[str]) -> Data:
    """Read a run's data; with `data.overlap=drop` without images that a later split has too: the test split stays
    whole, and validation loses to it alone.

    Args:
        notes: what a reader of the results must know is added.

    Raises:
        UserError: data that cannot be read, or of which nothing is left.
    """
    shared = [part for part in settings.parts.values() if part.data is settings.data]
    needs = dict.fromkeys(column for part in shared for column in part.task_kind.columns)
    data = load(settings.data, tuple(needs), cache_folder(settings.tokens.cache_dir))
    others = {name: load_data(part, notes) for name, part in settings.parts.items() if part.data is not settings.data}
    data = replace(data, others=others)
    notes.extend(data.notes)
    if settings.data.overlap != "drop":
        return data
    kept = without_copies(read_hashes(settings, data, {split: getattr(data, split) for split in SPLITS}))
    for split, rows in kept.items():
        old = getattr(data, split)
        if not len(rows):
            raise UserError(f"All images of the {split} split are in a later one too: data.overlap=drop leaves none.")
        if len(rows) < len(old):
            key = fingerprint(old._fingerprint, "without copies", rows.astype("<i8").tobytes())
            new = old.select(rows, new_fingerprint=key)
            data = replace(data, **{split: new})
            later = "test" if split == "validation" else "validation or test"
            notes.append(
                f"{len(old) - len(rows):,} of {len(old):,} images of the {split} split are also in the {later} split, "
                f"and were left out (data.overlap=drop).{_emptied(old, new)}"
            )
    return data


def _emptied(old: "Dataset", new: "Dataset") -> str:
    names = old.features["label"].names
    gone = sorted({*_labels(old)} - {*_labels(new), None})
    told = ", ".join(f"'{names[label]}'" for label in gone[:3]) + ", …" * (len(gone) > 3)
    return f" No image is left of {len(gone):,} of its classes: {told}." if gone else ""


def parts_of(settings: Configuration, data: Data) -> dict[str, "Dataset"]:
    """What of the data a run looks at: its splits, or for a model that is only asked the test split and the training
    images that its prompt shows."""
    if settings.model.kind != "endpoint":
        return {inside(name, split): getattr(each, split) for name, each in data.every.items() for split in SPLITS}
    shots = shown_rows(settings, data)
    return {**({"shots": data.train.select(shots)} if len(shots) else {}), "test": data.test}


def inside(task: str, split: str) -> str:
    """What a split of a task's own data is called: `vqa/train`; of the data that tasks share, `train`."""
    return f"{task}/{split}" if task else split


def shown_rows(settings: Configuration, data: Data) -> np.ndarray:
    """Rows of the training images that a prompt shows with their answers (`task.shots`), int64 `[S]`: drawn among those
    that are whole, as for a model from a folder.

    Raises:
        UserError: a broken image, unless these are skipped; fewer images than shots.
    """
    if not (count := getattr(settings.task_settings, "shots", 0)):
        return np.empty(0, np.int64)
    hashes = read_hashes(settings, data, {"train": data.train})["train"]
    whole = np.flatnonzero([each is not None for each in hashes])
    labels = np.asarray(data.train["label"][:])
    return draw_shots(labels, whole, count, settings.seed)


def read_hashes(settings: Configuration, data: Data, parts: Mapping[str, "Dataset"]) -> dict[str, Hashes]:
    """The hashes of all images of each part, from the cache, or by decoding them.

    Raises:
        UserError: a broken image, unless these are skipped.
    """
    path = settings.model.location[0] if settings.model.kind == "language" else None
    decoding = run_decoding(path, data.decoding, [])
    options: dict[str, Any] = {**settings.cache_options, "num_proc": settings.tokens.num_proc}
    return {name: prepare_hashes(part, decoding, name, **options) for name, part in parts.items()}


def identify(
    settings: Configuration, data: Data, hashes: Mapping[str, Hashes], folder: RunFolder, notes: list[str]
) -> DataIdentity:
    """Say which data a run is of, and count what its splits share.

    Args:
        data: `load_data(…)`.
        hashes: of the images of `parts_of(…)`.
        folder: the run's.
        notes: what a reader of the results must know is added.

    Raises:
        UserError: splits that share images, with `data.overlap=error`; an unfinished run of other data in the folder.
    """
    parts = parts_of(settings, data)
    hashes = {name: hashes[name] for name in parts}
    labels = {name: _labels(part) for name, part in parts.items()}
    told = [str(each) for names in _beside(list(parts)) for each in overlaps(*_of(names, hashes, labels))]
    told += [each for name in parts if name.endswith("test") for each in _seen_before(settings, hashes[name])]
    if told and settings.data.overlap == "error":
        raise UserError(
            f"{' '.join(told)} data.overlap=drop leaves the copies out of training, data.overlap=say goes on with them."
        )
    notes.extend(told)
    for name in parts:
        if several := conflicting(hashes[name], labels[name]):
            notes.append(
                f"{several:,} images of the {name} split are equal, pixel by pixel, to one with another label."
            )
    identity = _identity(settings, data, parts, hashes)
    there = _recorded(folder)
    if there is not None and not settings.force and (differing := there.differences(identity)):
        raise UserError(
            f"{folder.path} holds an unfinished run of other data: {', '.join(differing)}. Put the data back, choose "
            "another run_dir=, or start over with force=true."
        )
    return identity


def _beside(names: Sequence[str]) -> list[list[str]]:
    """Which splits are held against each other: those of each set of data; and of two sets, what is learned of the one
    and what is tested of the other."""
    sets: dict[str, list[str]] = {}
    for name in names:
        sets.setdefault(name.rpartition("/")[0], []).append(name)
    across = [
        [one, other]
        for one in names
        for other in names
        if one.endswith("train") and other.endswith("test") and one.rpartition("/")[0] != other.rpartition("/")[0]
    ]
    return [*sets.values(), *across]


def _of(names: Sequence[str], *every: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{name: each[name] for name in names} for each in every]


def _seen_before(settings: Configuration, test: Hashes) -> list[str]:
    known = _trained_on(settings)
    total, seen = (sum(pixels is not None for pixels in test), sum(pixels in known for pixels in test))
    if not seen:
        return []
    return [
        f"{seen:,} of {total:,} test images are also among those that the model in '{settings.model.path}' learned."
    ]


def _trained_on(settings: Configuration) -> set[str]:
    """The hashes of the images that the model a run begins from has learned, where it comes from a run."""
    file = Path(settings.model.location[0] or "") / _TRAINED_ON
    if settings.model.kind != "language" or not settings.model.location[0] or not file.is_file():
        return set()
    return {bytes(each).hex() for each in load_file(file)["pixels"]}


def save_trained_on(settings: Configuration, training: Hashes, folder: Path) -> None:
    """Keep with a model which images it has learned: of this run, and of the run that it began from."""
    known = sorted({pixels for pixels in (*training, *_trained_on(settings)) if pixels is not None})
    pixels = np.frombuffer(bytes.fromhex("".join(known)), np.uint8).reshape(-1, 16)
    save_file({"pixels": pixels}, folder / _TRAINED_ON)


def check_finished(settings: Configuration, folder: RunFolder) -> list[str]:
    """Hold the data of a finished run, and the weights that it began from, against what they are now: data by the
    contents of their source, and by all pixels only where these differ.

    Returns:
        What a reader must know: that this could not be done.

    Raises:
        UserError: where they are others.
    """
    return _check_data(settings, folder) + _check_base(settings, folder)


def _check_base(settings: Configuration, folder: RunFolder) -> list[str]:
    base = recogniser_described(folder.model).get("origin", {}).get("base", {})
    path, gguf_file = settings.model.location
    if not base.get("weights") or settings.model.kind != "language" or path is None:
        return []
    now = weights_fingerprint(path, settings.model.revision, gguf_file)
    if now is None:
        return [f"The weights that this run began from are no longer in '{path}', so that they were not checked."]
    if now != base["weights"]:
        raise UserError(
            f"{folder.path} holds a finished run that began from other weights than '{path}' has now: put those back, "
            "choose another run_dir=, or start over with force=true."
        )
    return []


def _check_data(settings: Configuration, folder: RunFolder) -> list[str]:
    there = _recorded(folder)
    if there is None:
        return [f"{folder.path} does not say which data it is of (data.json), so that they were not checked."]
    try:
        data = load_data(settings, [])
        if _sources(settings, data) == there.sources:
            return []
        parts = parts_of(settings, data)
        now = _identity(settings, data, parts, read_hashes(settings, data, parts))
    except UserError as error:
        return [f"The data of this run can no longer be read, so that they were not checked: {error}"]
    if differing := there.differences(now):
        raise UserError(
            f"{folder.path} holds a finished run of other data: {', '.join(differing)}. Put the data back, choose "
            "another run_dir=, or start over with force=true."
        )
    return []


def _identity(
    settings: Configuration, data: Data, parts: Mapping[str, "Dataset"], hashes: Mapping[str, Hashes]
) -> DataIdentity:
    splits = {name: split_identity(part, hashes[name]) for name, part in parts.items()}
    texts = {name: SplitIdentity(files, 0, {}, held) for name, (files, held) in _texts(settings).items()}
    return DataIdentity({**splits, **texts}, _sources(settings, data))


def _sources(settings: Configuration, data: Data) -> dict[str, str]:
    images = {name: part._fingerprint for name, part in parts_of(settings, data).items()}
    return {**images, **{name: held for name, (_, held) in _texts(settings).items()}}


def _texts(settings: Configuration) -> dict[str, tuple[int, str]]:
    """Of each plain text that is learned from: how many files, and a hash of what they hold."""
    files = {source: text_files(source) for source in settings.plain_text}
    cache = cache_folder(settings.tokens.cache_dir)
    return {f"text '{source}'": (len(each), contents(each, cache)) for source, each in files.items()}


def _recorded(folder: RunFolder) -> DataIdentity | None:
    """What the run in a folder says it is of; None for a new folder, and for a run that does not say."""
    kept = folder.data()
    try:
        return DataIdentity.from_json(kept) if kept else None
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{folder.path / 'data.json'} is none that llmimg wrote: mend it, or start over with force=true."
        ) from error


def _labels(part: "Dataset") -> list[Any]:
    """The class number of each row; None where it has none."""
    labels = np.asarray(part.select_columns(["label"]).with_format("numpy")[:]["label"])
    return [None if label < 0 else label for label in labels.tolist()]
