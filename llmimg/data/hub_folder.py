"""A local folder in the layout of a hub repository, read by `datasets.load_dataset` without its surprises.

Left to itself, `load_dataset` takes `[…]`, `*` and `?` in a path for a pattern (huggingface/datasets#7468), a file
called `train station 1.png` for all there is of a split (#5650), keeps what it once read as long as times do not
change, and types the columns of a table: `01` becomes 1, `NA` nothing (#4467).
"""

import contextlib
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from llmimg.data.columns import fingerprint
from llmimg.data.contents import file_hashes
from llmimg.data.files import ending, files_below, left_out
from llmimg.errors import UserError

if TYPE_CHECKING:
    from datasets import DatasetDict

_SAFE_PATH = re.compile(r"[\w./ +,=-]*")  # a path that no reader takes for anything else
_ABOUT = re.compile(r"\.huggingface\.yaml|readme\.md|license.*|dataset_infos\.json|dataset_dict\.json", re.IGNORECASE)
_SETTINGS = ".huggingface.yaml"
_KEYWORDS = {"train", "training", "validation", "valid", "dev", "val", "test", "testing", "eval", "evaluation"}


@dataclass(frozen=True)
class HubFolder:
    """What was read, a hash of what all files hold, and the folder in which `load_dataset` found them.

    Of a local folder also the names below it of the files that lie there, of those that `load_dataset` opened, and the
    endings of images that it finds by their path; empty where it found none so.
    """

    splits: "DatasetDict"
    contents: str
    path: str
    lying: Sequence[str] = ()
    opened: Sequence[str] = ()
    endings: Sequence[str] = ()

    def left_out(self, root: Path, images: Collection[str]) -> list[str]:
        """Sentences on what lies there and was not read; `images` are those of the rows, by their names below it."""
        about = [name for name in self.lying if _ABOUT.fullmatch(name)]
        lying = [name for name in self.lying if name not in about]
        notes = left_out(root, lying, {*self.opened, *images})
        found = [name for name in self.opened if ending(name) in self.endings]
        unused = len(set(found).difference(images))
        if unused and not any(ending(name) == ".zip" for name in self.opened):
            notes.append(f"{unused:,} of {len(found):,} images have no line in the metadata and were left out.")
        return notes


def load_folder(root: Path, config: str | None, notes: list[str], cache: Path | None) -> HubFolder:
    """All splits of a folder, its tables' columns as text; errors of `load_dataset` pass.

    What `datasets` keeps of it lies in a folder named by a hash of the files, so that nothing old comes back.

    Raises:
        UserError: where a folder's name would be taken for a split's and leave out the others, or a split's name is not
            known for its capitals.
    """
    from datasets import load_dataset, load_dataset_builder

    names = [*files_below(root), *[_SETTINGS] * (root / _SETTINGS).is_file()]
    hashes = file_hashes([root / name for name in names], cache)
    home, path = _where_read(root, names, hashes)
    with _text_as_written():
        builder = load_dataset_builder(path, config, cache_dir=home)
        files = _relative(builder.config.data_files or {}, path)
        endings = getattr(builder, "EXTENSIONS", ()) if builder.name == "imagefolder" else ()
        everything: dict[str, str] = {}
        if not _has_card(root, names):
            _check_case(root, names, [name for each in files.values() for name in each], endings)
        if endings and not _has_card(root, names):
            everything = _all_of_them(root, names, files, endings, notes)
        splits = load_dataset(path, config, cache_dir=home, data_files=everything or None)
    opened = names if everything else [name for each in files.values() for name in each]
    return HubFolder(splits, fingerprint(config or "", *names, *hashes), path, names, opened, endings)


def config_names(root: Path, cache: Path | None) -> list[str]:
    """The variants that a folder has; errors of `datasets` pass."""
    from datasets import get_dataset_config_names

    names = files_below(root)
    _, path = _where_read(root, names, file_hashes([root / name for name in names], cache))
    return get_dataset_config_names(path)


def _where_read(root: Path, names: Sequence[str], hashes: Sequence[str]) -> tuple[str, str]:
    """Where `datasets` keeps what it makes of these files, and the folder it is to read them from: theirs, or one of
    links where a reader would take its path for anything else."""
    from datasets import config

    home = Path(config.HF_DATASETS_CACHE) / "llmimg" / fingerprint(str(root), *names, *hashes)
    kept = str(home / "kept")  # apart from the links: what is kept would be read as one more file of the folder
    real = os.path.realpath(root)
    if _SAFE_PATH.fullmatch(real) and not real.endswith(".py"):
        return kept, real
    return kept, os.path.realpath(_mirrored(root, names, home / "links"))


def _mirrored(root: Path, names: Sequence[str], path: Path) -> Path:
    """The same tree under another path: folders, and links to the files."""
    for name in names:
        link = path / name
        link.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            link.symlink_to(root / name)
    return path


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


def _relative(files: Mapping[str, Sequence[str]], path: str) -> dict[str, list[str]]:
    return {
        str(split): [os.path.relpath(name, path).replace(os.sep, "/") for name in each] for split, each in files.items()
    }


def _has_card(root: Path, names: Sequence[str]) -> bool:
    """Whether the folder says itself which files belong to which split."""
    said = [name for name in (_SETTINGS, "README.md") if name in names]
    return any("data_files" in (root / name).read_text(encoding="utf-8", errors="replace") for name in said)


def _check_case(root: Path, lying: Sequence[str], read: Sequence[str], endings: Sequence[str]) -> None:
    """Refuse what would be read as training data because it has a split's name in capitals, which nobody looks for."""
    tables = [name for name in lying if name.split("/")[-1].startswith("metadata.")]
    for name in read:
        top, _, rest = name.partition("/")
        if ending(name) in endings:  # such a folder may also be a class
            parts = top if "/" in rest or any(table.startswith(f"{top}/") for table in tables) else ""
        else:
            parts = name
        words = [word for word in re.split(r"[-._ 0-9/]+", parts) if word.casefold() in _KEYWORDS]
        if words and not _KEYWORDS.intersection(words):
            raise UserError(
                f"load_dataset does not know '{words[0]}' in '{root / name}' as a split's name, which it writes in "
                f"small letters, and would train on it: rename it to '{words[0].lower()}'."
            )


def _all_of_them(
    root: Path, lying: Sequence[str], files: Mapping[str, Sequence[str]], endings: Sequence[str], notes: list[str]
) -> dict[str, str]:
    """The `data_files` by which `load_dataset` reads all images, where it would take names of some for a split's."""
    read = {name for each in files.values() for name in each}
    images = [name for name in lying if ending(name) in endings]
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
        return {"train": "**"}
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
