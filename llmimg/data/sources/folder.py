"""A directory with one folder of images for each class: ROOT/CLASS/*.png, or ROOT/SPLIT/CLASS/*.png.

It is of the second kind where ROOT has a folder of the training split's name that itself holds folders. Images are
files of any raster format that Pillow reads, by their ending, of any size; hidden files are passed over, and all else
is counted. Only paths are kept: images are read when they are needed, and a broken one can be named.
"""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from llmimg.data.columns import fingerprint, from_files
from llmimg.data.contents import file_hashes
from llmimg.data.files import files_below, folders_in, is_image, left_out
from llmimg.data.names import nearest_name, same
from llmimg.data.roles import choose_splits
from llmimg.errors import UserError
from llmimg.paths import local_path

if TYPE_CHECKING:
    from datasets import Dataset

    from llmimg.data.settings import DataSettings

READS = frozenset({"path"})


def load(
    settings: "DataSettings", needs: Collection[str], notes: list[str], cache: Path | None
) -> dict[str, "Dataset"]:
    """One split "train", or every split that ROOT has a folder for and that is used.

    Classes are the training folders, sorted by name; names that differ by their Unicode form alone are one class. The
    fingerprint is made from each file's path below ROOT and what it holds.
    """
    root = local_path(settings.given_path).absolute()
    if not root.is_dir():
        raise UserError(f"There is no folder '{root}': data.path= names the one that holds a folder for each class.")
    train = settings.train_split
    prefixes = {train: ""}
    if train in folders_in(root) and folders_in(root / train):
        used = choose_splits(folders_in(root), settings).values()
        prefixes = {split: f"{split}/" for split in used if split is not None}
    lying = files_below(root)
    images = {split: _images(root, prefix, lying) for split, prefix in prefixes.items()}
    names = _classes(root / prefixes[train], images[train])
    notes += left_out(root, lying, [file for each in images.values() for files in each.values() for file in files])
    return {split: _split(root, each, names, cache) for split, each in images.items()}


def _images(root: Path, prefix: str, lying: list[str]) -> dict[str, list[str]]:
    """The image files that lie directly in each class folder, by the folder's name."""
    found: dict[str, list[str]] = {name: [] for name in folders_in(root / prefix)}
    for file in lying:
        folder, _, name = file.removeprefix(prefix).partition("/")
        if file.startswith(prefix) and name and "/" not in name and is_image(name) and (root / file).is_file():
            found[folder].append(file)
    return found


def _classes(folder: Path, images: dict[str, list[str]]) -> list[str]:
    names = sorted({same(name) for name in images})
    if len(names) < 2:
        found = f"only '{names[0]}'" if names else "none"
        raise UserError(f"'{folder}' needs two or more folders, one for each class, and has {found}.")
    for name, files in images.items():
        if not files:
            raise UserError(f"The class folder '{folder / name}' holds no image itself, of a kind that Pillow reads.")
    return names


def _split(root: Path, images: dict[str, list[str]], names: list[str], cache: Path | None) -> "Dataset":
    files, labels = [], []
    for name, found in images.items():
        if found and same(name) not in names:
            near = nearest_name(name, names)
            hint = f" The nearest is '{near}'." if near is not None else ""
            raise UserError(
                f"The class '{name}' in '{(root / found[0]).parent.parent}' has no folder among the training images, "
                f"and {len(found):,} image{'s' * (len(found) > 1)}.{hint}"
            )
        files += found
        labels += [names.index(same(name))] * len(found) if found else []
    paths = [str(root / file) for file in files]
    return from_files(paths, files, labels, names, fingerprint(*names, *files, *file_hashes(paths, cache)))
