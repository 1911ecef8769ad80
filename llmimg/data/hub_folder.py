"""A local folder in the layout of a hub repository, read by `datasets.load_dataset` without its surprises.

Left to itself, `load_dataset` takes `[…]`, `*` and `?` in a path for a pattern (huggingface/datasets#7468), a file
called `train station 1.png` for all there is of a split (#5650), keeps what it once read as long as times do not
change, and types the columns of a table: `01` becomes 1, `NA` nothing (#4467).
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from llmimg.data.columns import fingerprint
from llmimg.data.contents import file_hashes
from llmimg.data.files import files_below, left_out
from llmimg.errors import UserError

if TYPE_CHECKING:
    from datasets import DatasetDict

_PLAIN = re.compile(r"[\w./ +,=-]*")  # a path that no reader takes for anything else
_ABOUT = re.compile(r"\.huggingface\.yaml|readme\.md|license.*|dataset_infos\.json|dataset_dict\.json", re.IGNORECASE)
_SETTINGS = ".huggingface.yaml"
_KEYWORDS = {"train", "training", "validation", "valid", "dev", "val", "test", "testing", "eval", "evaluation"}


@dataclass(frozen=True)
class HubFolder:
    """What was read, a hash of what all files hold, and the folder in which `load_dataset` found them."""

    splits: "DatasetDict"
    contents: str
    place: str


def load_folder(root: Path, config: str | None, notes: list[str], cache: Path | None) -> HubFolder:
    """All splits of a folder, its tables' columns as text; errors of `load_dataset` pass.

    What `datasets` keeps of it lies in a folder named by a hash of the files, so that nothing old comes back. What lies
    there and was not read is added to `notes`.

    Raises:
        UserError: where a folder's name would be taken for a split's and leave out the others.
    """
    from datasets import load_dataset, load_dataset_builder

    names = [*files_below(root), *[_SETTINGS] * (root / _SETTINGS).is_file()]
    hashes = file_hashes([root / name for name in names], cache)
    home, place = _place(root, names, hashes)
    with _text_as_written():
        builder = load_dataset_builder(place, config, cache_dir=home)
        files = _relative(builder.config.data_files or {}, place)
        everything = {}
        if builder.name == "imagefolder" and not _has_card(root, names):
            everything = _all_of_them(root, names, files, builder.EXTENSIONS, notes)
        splits = load_dataset(place, config, cache_dir=home, **everything)
    read = names if everything else [name for each in files.values() for name in each]
    notes += left_out(root, [name for name in names if not _ABOUT.fullmatch(name)], read)
    if builder.name == "imagefolder":
        notes += _without_a_line(read, builder.EXTENSIONS, sum(map(len, splits.values())))
    return HubFolder(splits, fingerprint(config or "", *names, *hashes), place)


def config_names(root: Path, cache: Path | None) -> list[str]:
    """The variants that a folder has; errors of `datasets` pass."""
    from datasets import get_dataset_config_names

    names = files_below(root)
    _, place = _place(root, names, file_hashes([root / name for name in names], cache))
    return get_dataset_config_names(place)


def _place(root: Path, names: Sequence[str], hashes: Sequence[str]) -> tuple[str, str]:
    """Where `datasets` keeps what it makes of these files, and the folder it is to read them from: theirs, or one of
    links where a reader would take its path for anything else."""
    from datasets import config

    home = Path(config.HF_DATASETS_CACHE) / "llmimg" / fingerprint(str(root), *names, *hashes)
    real = os.path.realpath(root)
    if _PLAIN.fullmatch(real) and not real.endswith(".py"):
        return str(home), real
    return str(home), os.path.realpath(_mirrored(root, names, home / "files"))


def _mirrored(root: Path, names: Sequence[str], place: Path) -> Path:
    """The same tree under another path: folders, and links to the files."""
    for name in names:
        link = place / name
        link.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            link.symlink_to(root / name)
    return place


@contextlib.contextmanager
def _text_as_written() -> Iterator[None]:
    """Within this, tables of text are read as text: `01` stays, and `NA`, `None` and `null` are words."""
    import pandas

    def with_more(read: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
        return lambda *args, **given: read(*args, **{**given, **fixed})

    as_text = with_more(pandas.read_csv, dtype=str, keep_default_na=False)
    as_said = with_more(pandas.read_json, dtype=False, convert_dates=False)
    with mock.patch.object(pandas, "read_csv", as_text), mock.patch.object(pandas, "read_json", as_said):
        yield


def _relative(files: Mapping[str, Sequence[str]], place: str) -> dict[str, list[str]]:
    return {
        str(split): [os.path.relpath(name, place).replace(os.sep, "/") for name in each]
        for split, each in files.items()
    }


def _has_card(root: Path, names: Sequence[str]) -> bool:
    """Whether the folder says itself which files belong to which split."""
    said = [name for name in (_SETTINGS, "README.md") if name in names]
    return any("data_files" in (root / name).read_text(encoding="utf-8", errors="replace") for name in said)


def _all_of_them(
    root: Path, lying: Sequence[str], files: Mapping[str, Sequence[str]], endings: Sequence[str], notes: list[str]
) -> dict[str, dict[str, str]]:
    """What to tell `load_dataset` so that it reads all images, where it would take the names of some for a split's."""
    read = {name for each in files.values() for name in each}
    images = [name for name in lying if _ending(name) in endings]
    left = [name for name in images if name not in read]
    if not left:
        return {}
    folders = {name: _folder_of_a_split(name) for name in images if name in read}
    odd = next((name for name, folder in folders.items() if folder is None), None)
    if odd is not None:
        notes.append(
            f"load_dataset would have taken the name of '{odd}' for a split's, and left out {len(left):,} of "
            f"{len(images):,} images: all were read, as one split 'train'."
        )
        return {"data_files": {"train": "**"}}
    folder = next((folder for folder in folders.values() if folder not in _KEYWORDS), None)
    if folder is not None:
        raise UserError(
            f"load_dataset takes the folder '{folder}' in '{root}' for a split's and would leave out {len(left):,} of "
            f"{len(images):,} images (such as '{left[0]}'): rename it, or read folders of classes with data=folder."
        )
    return {}


def _folder_of_a_split(name: str) -> str | None:
    """The folder on a file's path whose name `load_dataset` takes for a split's."""
    folders = name.split("/")[:-1]
    return next((folder for folder in folders if _KEYWORDS.intersection(re.split(r"[-._ 0-9]+", folder))), None)


def _without_a_line(read: Sequence[str], endings: Sequence[str], rows: int) -> list[str]:
    """A sentence on images that a table of metadata has no line for."""
    images = sum(_ending(name) in endings for name in read)
    if rows >= images or any(_ending(name) == ".zip" for name in read):
        return []
    return [f"{images - rows:,} of {images:,} images have no line in the metadata and were left out."]


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()
