"""Where images come from: one file each, found by its name.

A source is a module of this package with

- `READS`: which of the settings in `PARTICULAR` mean something to it;
- `load(settings, notes, cache) -> {split: datasets.Dataset}` with the canonical columns of `llmimg.data.columns`,
  classes alike in all splits and fingerprints of what the rows hold, the same in every process. It holds what it read
  against what lies there, and adds the difference to `notes`;
- where it reads `data.fresh`, `fresh(settings, ids, epoch)`: the columns of these training rows in an epoch.
"""

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmimg.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

    from llmimg.data.settings import DataSettings

SOURCES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))
PARTICULAR = ("path", "config", "revision", "image_column", "label_column", "label_names", "fresh", "scenes")

FreshRows = Callable[[Sequence[str], int], Mapping[str, Sequence[Any]]]  # (ids, epoch) → columns


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
    for name, default in _defaults(settings).items():
        if getattr(settings, name) != default and name not in source.READS:
            undo = "leave it out" if default is not None else "set it to null"
            raise UserError(f"data.{name} means nothing to data.source={settings.source}: {undo}.")
    if "path" in source.READS and not settings.path:
        raise UserError(f"data.source={settings.source} needs data.path=.")
    return source.load(settings, [] if notes is None else notes, cache)


def fresh_rows(settings: "DataSettings", labelled: bool) -> FreshRows:
    """What makes training rows anew in every epoch.

    Args:
        labelled: whether every row must have a label.

    Raises:
        UserError: where it must, and some would not.
    """
    source = importlib.import_module(f"{__name__}.{settings.source}")
    if labelled and settings.scenes.least == 0:
        raise UserError("Scenes without a thing have no label to learn: set data.scenes.least=1, or data.fresh=false.")
    return functools.partial(source.fresh, settings)


def _defaults(settings: "DataSettings") -> dict[str, Any]:
    """What the settings in `PARTICULAR` are where nothing is said."""
    fields = {field.name: field for field in dataclasses.fields(settings) if field.name in PARTICULAR}
    made = dataclasses.MISSING
    return {
        name: field.default if field.default_factory is made else field.default_factory()
        for name, field in fields.items()
    }
