"""Images and what goes with them as files below one folder: which belong together, and to which split."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llmimg.data.annotations.assembly import undecoded, with_objects
from llmimg.data.annotations.objects import ImageObjects, SplitObjects, canonical_objects
from llmimg.data.columns import Source, fingerprint, from_files
from llmimg.data.contents import file_hashes
from llmimg.data.files import is_image
from llmimg.data.roles import choose_splits
from llmimg.errors import UserError
from llmimg.paths import local_path

if TYPE_CHECKING:
    from datasets import Dataset

    from llmimg.data.settings import DataSettings

Key = tuple[str, ...]  # the folders a file lies in, but for those that say what kind of file it is, and its stem
TRAIN = "train"  # the split of files that lie in no folder of a split's


def root_of(settings: "DataSettings", what: str) -> Path:
    """The folder that `data.path` names.

    Raises:
        UserError: there is none.
    """
    root = local_path(settings.given_path).absolute()
    if not root.is_dir():
        raise UserError(f"There is no folder '{root}': data.path= names the one that holds {what}.")
    return root


def key_of(file: str, kinds: Collection[str]) -> Key:
    """What a file is found by: two that belong together have the same.

    Args:
        file: its path below the root.
        kinds: names of folders, in lower case, that say what kind of file lies in them.
    """
    *folders, name = file.split("/")
    return (*(folder for folder in folders if folder.lower() not in kinds), name.rpartition(".")[0] or name)


def split_of(key: Key) -> str:
    """The split of a file: the first folder on its way that says no kind."""
    return key[0] if len(key) > 1 else TRAIN


def by_key(files: Iterable[str], kinds: Collection[str]) -> dict[Key, str]:
    """Files by their keys.

    Raises:
        UserError: two of one key.
    """
    found: dict[Key, str] = {}
    for file in files:
        other = found.setdefault(key_of(file, kinds), file)
        if other != file:
            raise UserError(f"'{other}' and '{file}' have one stem: what goes with them cannot be told apart.")
    return found


def images_below(root: Path, lying: Iterable[str], kinds: Collection[str]) -> dict[Key, str]:
    """The image files of those that lie below the root, by their keys.

    Raises:
        UserError: none, or two of one key.
    """
    found = by_key((file for file in lying if is_image(file)), kinds)
    if not found:
        raise UserError(f"There is no image of a kind that Pillow reads below '{root}'.")
    return found


def alone(what: str, files: Mapping[Key, str], others: Collection[Key], why: str) -> list[str]:
    """A sentence on the files that have no partner, if some have none."""
    left = [file for key, file in files.items() if key not in others]
    return [f"{len(left):,} of {len(files):,} {what} {why} (such as '{left[0]}')."] if left else []


def used_splits(splits: Iterable[str], settings: "DataSettings") -> list[str]:
    """Those of a source's splits that serve for something, in its order."""
    used = set(choose_splits(splits := list(dict.fromkeys(splits)), settings).values())
    return [split for split in splits if split in used]


def image_files(root: Path, files: Sequence[str], besides: Sequence[str], cache: Path | None) -> "Dataset":
    """Files below the root in canonical columns, without labels.

    Args:
        besides: files below the root that decide what the rows are, too.
    """
    paths = [str(root / file) for file in files]
    hashes = file_hashes([*paths, *(root / file for file in besides)], cache)
    return from_files(paths, files, [-1] * len(files), [], fingerprint(*files, *besides, *hashes))


def source_of_objects(
    splits: Mapping[str, "Dataset"],
    rows: Mapping[str, Sequence[ImageObjects | None]],
    known: Mapping[str, Mapping[int, str] | None],
    settings: "DataSettings",
    notes: list[str],
    layout: str,
    unit: str,
) -> Source:
    """Splits of image files with the column `objects`; the other arguments are as of `canonical_objects`."""
    said = {split: SplitObjects(undecoded(data), rows[split], known[split]) for split, data in splits.items()}
    objects = canonical_objects(said, settings.train_split, settings, layout, unit)
    notes += objects.notes
    found = {split: with_objects(data, split, objects) for split, data in splits.items()}
    return Source(found, {"objects": objects.classes})
