"""The classes of a checkpoint's head, brought to those of the data: by name."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel

from llmimg.errors import UserError
from llmimg.hub import new_model
from llmimg.models.loading import Loaded, with_classes

_SHOWN = 12


def output_names(config: PreTrainedConfig) -> list[str] | None:
    """The names of a head's outputs, in their order; None where it gives none (`LABEL_0`, …)."""
    names = [str(name) for _, name in sorted((config.id2label or {}).items())]
    unnamed = all(name == f"LABEL_{index}" for index, name in enumerate(names))
    return None if unnamed else names


def class_axes(auto_class: type[AutoModel], config: PreTrainedConfig) -> dict[str, int]:
    """The weights that have an entry for each class, by name → the axis along which; whatever the architecture's head
    is: those whose shape follows the number of classes."""
    shapes = []
    for more in (0, 1):
        other = copy.deepcopy(config)
        other.num_labels = (config.num_labels or 0) + more
        with torch.device("meta"):
            shapes.append({name: one.shape for name, one in new_model(auto_class, other).named_parameters()})
    few, many = shapes
    return {
        name: next(axis for axis, size in enumerate(shape) if size != many[name][axis])
        for name, shape in few.items()
        if shape != many[name]
    }


def fit_classes(
    loaded: Loaded,
    auto_class: type[AutoModel],
    had: Sequence[str] | None,
    wanted: Sequence[str],
    path: str,
    learns: bool,
    notes: list[str],
) -> Loaded:
    """The model with an output for each of the data's classes, in their order.

    Args:
        had: the names of the checkpoint's own outputs; None where they have none.
        wanted: the data's classes.
        path: of the checkpoint, for messages.
        learns: whether the model is trained; then a head of other classes gives way to a new one.
        notes: what a reader must know is added.

    Raises:
        UserError: a head of other classes, which nothing would train.
    """
    axes = class_axes(auto_class, loaded.model.config)
    is_new = axes.keys() <= loaded.drawn
    if is_new and not axes.keys() & loaded.mismatched:  # the checkpoint has no head
        if not learns:
            notes.append(f"The head is drawn at random and nothing trains it: '{path}' holds none.")
        return (
            loaded if loaded.model.config.num_labels == len(wanted) else with_classes(loaded, auto_class, len(wanted))
        )
    if not is_new and had is not None and sorted(had) == sorted(wanted):
        if list(had) != list(wanted):
            _reorder(loaded.model, axes, [list(had).index(name) for name in wanted])
            notes.append(
                f"The head of '{path}' lists the classes in another order: its outputs were put in the data's."
            )
        return loaded
    if not is_new and had is None and loaded.model.config.num_labels == len(wanted):
        notes.append(
            f"The head of '{path}' does not name its classes: its outputs were taken for the data's in their order, "
            f"{_listed(wanted)}."
        )
        return loaded
    theirs = f"classes {_listed(had)}" if had is not None else "classes without names"
    if not learns:
        raise UserError(
            f"The model '{path}' has a head for {theirs}, and the data have {_listed(wanted)}: without training it can "
            "only be asked for its own classes. Give data of these (data.label_names= renames), or train it."
        )
    notes.append(f"The head is new: '{path}' has one for {theirs}, and the data have {_listed(wanted)}.")
    if loaded.model.config.num_labels != len(wanted):
        return with_classes(loaded, auto_class, len(wanted))
    if not is_new:
        _redraw(loaded.model, axes)
    return Loaded(loaded.model, loaded.drawn | axes.keys(), loaded.mismatched, loaded.unexpected)


@torch.no_grad()
def _reorder(model: PreTrainedModel, axes: dict[str, int], order: list[int]) -> None:
    for name, axis in axes.items():
        weight = model.get_parameter(name)
        weight.copy_(weight.index_select(axis, torch.tensor(order, device=weight.device)))


@torch.no_grad()
def _redraw(model: PreTrainedModel, axes: dict[str, int]) -> None:
    """Draw the last layer of a head anew, as its makers did."""
    for owner in {name.rpartition(".")[0] for name in axes}:
        module: Any = model.get_submodule(owner)
        for weight in module.parameters():
            weight._is_hf_initialized = False  # what is marked as loaded would be left as it is
        module._is_hf_initialized = False
        model._init_weights(module)


def _listed(names: Sequence[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > _SHOWN else ""
    return f"[{', '.join(names[:_SHOWN])}{more}]"
