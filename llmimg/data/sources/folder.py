"""A directory with one folder of images for each class: ROOT/CLASS/*.png, or ROOT/SPLIT/CLASS/*.png.

It is of the second kind where ROOT has a folder of the training split's name that itself holds folders. Images are
JPEG, PNG, WebP and what else `_ENDINGS` names, of any size; hidden files and others are passed over. Only paths are
kept: images are read when they are needed, and a broken one can be named.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from llmimg.data.columns import fingerprint, from_files
from llmimg.data.contents import file_hashes
from llmimg.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

    from llmimg.data.settings import DataSettings

READS = frozenset({"path"})
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def load(settings: "DataSettings", notes: list[str], cache: Path | None) -> dict[str, "Dataset"]:
    """One split "train", or every split that ROOT has a folder for. Classes are the training folders, sorted by name.

    The fingerprint is made from each file's place below ROOT and what it holds.
    """
    root = Path(settings.path).expanduser().absolute()
    if not root.is_dir():
        raise UserError(f"There is no folder '{root}': data.path= names the one that holds a folder for each class.")
    train = settings.train_split
    split_folders = {train: root}
    if (root / train).is_dir() and _folders(root / train):
        split_folders = {folder.name: folder for folder in _folders(root)}
    names = [folder.name for folder in _folders(split_folders[train])]
    if len(names) < 2:
        found = f"only '{names[0]}'" if names else "none"
        raise UserError(f"'{split_folders[train]}' needs two or more folders, one for each class, and has {found}.")
    for name in names:
        if not _images(split_folders[train] / name):
            raise UserError(f"The class folder '{split_folders[train] / name}' holds no image ({', '.join(_ENDINGS)}).")
    return {split: _split(root, folder, names, cache) for split, folder in split_folders.items()}


def _split(root: Path, folder: Path, names: list[str], cache: Path | None) -> "Dataset":
    files, labels = [], []
    for class_folder in _folders(folder):
        found = _images(class_folder)
        if found and class_folder.name not in names:
            raise UserError(f"The class '{class_folder.name}' in '{folder}' has no folder among the training images.")
        files += found
        labels += [names.index(class_folder.name)] * len(found) if found else []
    paths = [file.path for file in files]
    ids = [Path(path).relative_to(root).as_posix() for path in paths]
    return from_files(paths, ids, labels, names, fingerprint(*names, *ids, *file_hashes(paths, cache)))


def _folders(folder: Path) -> list[Path]:
    """Folders whose names begin with neither "." nor "__" (as `__MACOSX` does), by name."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith((".", "__")))
    return [folder / name for name in names]


def _images(folder: Path) -> list[os.DirEntry]:
    """The image files that lie directly in a folder, by name."""
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if entry.name.lower().endswith(_ENDINGS) and entry.is_file()]
    return sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
