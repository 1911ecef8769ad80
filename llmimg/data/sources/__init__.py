"""Where images come from: one file each, found by its name.

A source is a module of this package with

- `READS`: which of the settings in `PARTICULAR` mean something to it;
- `load(settings, needs, notes, cache) -> Source` or {split: datasets.Dataset}, with the canonical columns of
  `llmimg.data.columns`: `image` and `id`, `label` (−1 where there is none), and of the others those that it always
  has, those in `needs` and those that a setting names; `labels` that it does not have are made of its objects or of
  the one label. Classes are alike in all splits, fingerprints are of what the rows hold, the same in every process.
  It holds what it read against what lies there, and adds the difference to `notes`;
- where it reads `data.fresh`, `fresh(settings, ids, epoch)`: the columns of these training rows in an epoch.
"""

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmimg.data.annotations.found import ANNOTATIONS
from llmimg.data.annotations.labels import labels_of, with_labels
from llmimg.data.columns import Source
from llmimg.errors import UserError

if TYPE_CHECKING:
    from llmimg.data.settings import DataSettings

SOURCES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))
COLUMNS = tuple(f"{name}_column" for name in ("image", "label", *ANNOTATIONS))
BOXES, MASKS = ("bad_boxes",), ("void", "mask_colors")
PARTICULAR = ("path", "config", "revision", *COLUMNS, "label_names", "boxes", "box_unit", *BOXES, *MASKS)
PARTICULAR += ("fresh", "scenes")

FreshRows = Callable[[Sequence[str], int], Mapping[str, Sequence[Any]]]  # (ids, epoch) → columns


def load_source(
    settings: "DataSettings",
    notes: list[str] | None = None,
    cache: Path | None = None,
    needs: Collection[str] = ("label",),
) -> Source:
    """All splits of `settings.source`, by the source's own names.

    Args:
        needs: canonical columns that there must be, besides the image.
        notes: sentences that a reader of the results must know are added.
        cache: the folder of all that is prepared, to keep hashes of files in; None keeps nothing.

    Raises:
        UserError: a setting that this source would ignore; no path where it needs one; a needed column that it does
            not have; or what the source refuses.
    """
    source = importlib.import_module(f"{__name__}.{settings.source}")
    for name, default in _defaults(settings).items():
        if getattr(settings, name) != default and name not in source.READS:
            undo = "leave it out" if default is not None else "set it to null"
            raise UserError(f"data.{name} means nothing to data.source={settings.source}: {undo}.")
    if "path" in source.READS:
        _ = settings.given_path
    found = source.load(settings, frozenset(needs), [] if notes is None else notes, cache)
    found = found if isinstance(found, Source) else Source(found)
    if "labels" in needs:
        found = with_labels(found, settings.label_column is not None, settings.source)
    for name in needs:
        if any(name not in data.column_names for data in found.values()):
            raise UserError(
                f"The task needs the column '{name}', which data.source={settings.source} does not have: choose other "
                "data, or another task."
            )
    return found


def fresh_rows(settings: "DataSettings", needs: Collection[str]) -> FreshRows:
    """What makes training rows anew in every epoch. One that in an epoch lacks what is needed, such as a question, is
    as it was loaded.

    Args:
        needs: canonical columns.
    """
    source = importlib.import_module(f"{__name__}.{settings.source}")
    return functools.partial(_made_anew, functools.partial(source.fresh, settings), tuple(needs))


def _made_anew(fresh: FreshRows, needs: Collection[str], ids: Sequence[str], epoch: int) -> dict[str, list[Any]]:
    made = _columns(fresh, needs, ids, epoch)
    lacking = [row for row in range(len(ids)) if any(_lacks(made[name][row]) for name in needs)]
    loaded = _columns(fresh, needs, [ids[row] for row in lacking], 0) if lacking and epoch else {}
    for name, column in loaded.items():
        for row, value in zip(lacking, column, strict=True):
            made[name][row] = value
    return made


def _columns(fresh: FreshRows, needs: Collection[str], ids: Sequence[str], epoch: int) -> dict[str, list[Any]]:
    """The columns of rows in an epoch, and their labels as `with_labels` makes them."""
    made = {name: list(column) for name, column in fresh(ids, epoch).items()}
    if "labels" in needs and "labels" not in made:
        made["labels"] = labels_of("objects", made["objects"])
    return made


def _lacks(value: Any) -> bool:
    """Whether a canonical column says nothing of a row: a label says so by a negative number."""
    return value is None or (isinstance(value, int) and value < 0)


def _defaults(settings: "DataSettings") -> dict[str, Any]:
    """What the settings in `PARTICULAR` are where nothing is said."""
    fields = {field.name: field for field in dataclasses.fields(settings) if field.name in PARTICULAR}
    made = dataclasses.MISSING
    return {
        name: field.default if field.default_factory is made else field.default_factory()
        for name, field in fields.items()
    }
