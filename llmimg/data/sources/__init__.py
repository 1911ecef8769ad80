"""Where images come from: one file each, found by its name.

A source is a module of this package with

- `READS`: which of the settings in `PARTICULAR` mean something to it;
- `load(settings, notes, cache) -> {split: datasets.Dataset}` with the canonical columns of `llmimg.data.columns`,
  classes alike in all splits and fingerprints of what the rows hold, the same in every process. It holds what it read
  against what lies there, and adds the difference to `notes`.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from llmimg.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

    from llmimg.data.settings import DataSettings

SOURCES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))
PARTICULAR = ("path", "config", "revision", "image_column", "label_column", "label_names")


def load_source(
    settings: "DataSettings", notes: list[str] | None = None, cache: Path | None = None
) -> Mapping[str, "Dataset"]:
    """All splits of `settings.source`, by the source's own names.

    Args:
        notes: sentences that a reader of the results must know are added.
        cache: the folder of all that is prepared, to keep hashes of files in; None keeps nothing.

    Raises:
        UserError: a setting that this source would ignore; no path where it needs one; or what the source refuses.
    """
    source = importlib.import_module(f"{__name__}.{settings.source}")
    for name in PARTICULAR:
        if getattr(settings, name) is not None and name not in source.READS:
            raise UserError(f"data.{name} means nothing to data.source={settings.source}: set it to null.")
    if "path" in source.READS and not settings.path:
        raise UserError(f"data.source={settings.source} needs data.path=.")
    return source.load(settings, [] if notes is None else notes, cache)
