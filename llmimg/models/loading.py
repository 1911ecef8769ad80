"""Weights from a checkpoint: whole ones, and adapters on the very weights that they were trained on."""

import copy
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, GgufConfig, PreTrainedConfig, PreTrainedModel

from llmimg.errors import UserError
from llmimg.hub import load_adapters, load_config, load_weights, new_model, recogniser_described, weights_fingerprint
from llmimg.models.adaptation import is_tied, tied_to_copy
from llmimg.models.settings import ModelSettings


@dataclass(frozen=True)
class Loaded:
    """A model from a checkpoint.

    Attributes:
        model: in evaluation mode; of peft where adapters were kept apart.
        drawn: names of the weights that the checkpoint has not, or in another shape, and that were drawn anew.
        mismatched: those of another shape.
        unexpected: names of weights in the checkpoint that the model has no place for.
    """

    model: PreTrainedModel
    drawn: frozenset[str]
    mismatched: frozenset[str]
    unexpected: frozenset[str]


def origin(settings: ModelSettings) -> dict[str, Any]:
    """What a model's weights start from, in JSON's types; of a run, also what that one started from.

    A pretrained one has a `base`: where its weights lie (a hub id with its commit, or an absolute path) and a hash of
    them, by which adapters know the weights they belong to.
    """
    path, gguf_file = settings.location
    told = recogniser_described(path)
    start: dict[str, Any] = {"model": settings.name, "path": settings.path, "init": settings.init}
    if path and settings.kind == "language":
        config = load_config(path, settings.revision, gguf_file)
        start["base"] = {
            "path": os.path.abspath(path) if Path(path).is_dir() else path,
            "gguf_file": gguf_file,
            "revision": getattr(config, "_commit_hash", None) or settings.revision,
            "weights": weights_fingerprint(path, settings.revision, gguf_file),
        }
    return {**start, **({"before": told["origin"]} if "origin" in told else {})}


def are_adapters(path: str | Path) -> bool:
    """Whether a folder holds adapters, and no whole model."""
    return (Path(path) / "adapter_config.json").is_file()


def load_model(
    auto_class: type[AutoModel],
    path: str,
    config: PreTrainedConfig,
    *,
    keep_adapters: bool = False,
    revision: str | None = None,
    **how: Any,
) -> Loaded:
    """The model of that configuration in a folder, a GGUF file or on the hub; where a folder holds adapters, the model
    that they belong to with them.

    Args:
        keep_adapters: leave adapters apart from the weights they adapt, as they were trained; else they are added.
        how: further arguments of `from_pretrained`.

    Raises:
        UserError: where there is none, its weights are not finite, or the weights that adapters belong to are gone or
            others by now.
    """
    if not are_adapters(path):
        model, told = load_weights(auto_class, path, config, revision=revision, **how)
        mismatched = frozenset(name for name, *_ in told["mismatched_keys"])
        drawn = mismatched | frozenset(told["missing_keys"])
        _check_finite(model, drawn, path)
        return Loaded(model, drawn, mismatched, frozenset(told["unexpected_keys"]))
    base, packed = base_of(path), config.__dict__.pop("quantization_config", None)
    if packed is not None and keep_adapters:
        how["quantization_config"] = packed  # left in place, it would speak of the base's stored weights
    elif packed is not None or how.get("quantization_config") is not None:
        raise UserError(
            f"'{path}' holds adapters, which cannot be added to weights kept in fewer bits without rounding them away: "
            "leave out model.bits, or ask the run as it is (python -m llmimg predict)."
        )
    how = {name: value for name, value in how.items() if name != "use_safetensors"}
    if base["gguf_file"]:
        how |= {"gguf_file": base["gguf_file"], "quantization_config": GgufConfig(dequantize=True)}
    if are_adapters(base["path"]):
        below = load_model(auto_class, base["path"], load_config(base["path"]), **how)
        loaded = _reshaped(below, auto_class, config)
    else:
        loaded = load_model(auto_class, base["path"], config, revision=base["revision"], **how)
    tied = is_tied(loaded.model)
    model: Any = tied_to_copy(load_adapters(loaded.model, path), tied)
    whole = [name for name, module in loaded.model.named_modules() if hasattr(module, "modules_to_save")]
    drawn = frozenset(name for name in loaded.drawn if not any(name.startswith(f"{one}.") for one in whole))
    _check_finite(model, drawn, path)
    model = model if keep_adapters else model.merge_and_unload()
    return Loaded(model.eval(), drawn, loaded.mismatched & drawn, frozenset())


def _check_finite(model: torch.nn.Module, drawn: frozenset[str], path: str) -> None:
    for name, weight in model.named_parameters():
        if name not in drawn and weight.is_floating_point() and not weight.isfinite().all():
            raise UserError(f"The weights in '{path}' are not all finite ({name}): it diverged, or the file is torn.")


def _reshaped(loaded: Loaded, auto_class: type[AutoModel], config: PreTrainedConfig) -> Loaded:
    """The model in the shape of another configuration: what fits is taken, the rest drawn."""
    model = new_model(auto_class, config, dtype=loaded.model.dtype)
    known, there = loaded.model.state_dict(), model.state_dict()
    fits = {name: weight for name, weight in known.items() if name in there and there[name].shape == weight.shape}
    model.load_state_dict(fits, strict=False)
    once = {
        name for name, _ in (*model.named_parameters(), *model.named_buffers())
    }  # what is tied comes under one name
    others = frozenset(there.keys() & once - fits.keys())
    return Loaded(model, loaded.drawn | others, others & known.keys(), loaded.unexpected)


def with_classes(loaded: Loaded, auto_class: type[AutoModel], count: int) -> Loaded:
    """The model with a head for so many classes, drawn anew."""
    config = copy.deepcopy(loaded.model.config)
    config.num_labels = count
    return _reshaped(loaded, auto_class, config)


@torch.no_grad()
def with_positions(loaded: Loaded, auto_class: type[AutoModel], more: int) -> tuple[Loaded, frozenset[str]]:
    """The model with so many more positions behind its own, and the names of the tables that they are in: where they
    are learned, drawn with the spread of the others; where they are rotary, there is no table."""
    config = copy.deepcopy(loaded.model.config)
    config.get_text_config().max_position_embeddings += more
    grown, before = _reshaped(loaded, auto_class, config).model.eval(), loaded.model.state_dict()
    tables = {
        name: weight for name, weight in grown.named_parameters() if before.get(name, weight).shape != weight.shape
    }
    for name, weight in tables.items():
        old = before[name]
        weight[: len(old)] = old
        weight[len(old) :].normal_(0, float(old.float().std()))
    return Loaded(grown, loaded.drawn, loaded.mismatched, loaded.unexpected), frozenset(tables)


def base_of(folder: str | Path) -> dict[str, Any]:
    """Where the weights lie that the adapters in a folder belong to: `path`, `revision` and `gguf_file`.

    Those of a run are found where they were, seen from the adapters' folder or from anywhere, and must be the same by
    their hash; of other adapters nothing but a name is known.

    Raises:
        UserError: where they are gone, or others by now.
    """
    folder = Path(folder)
    base: dict[str, Any] | None = recogniser_described(folder).get("origin", {}).get("base")
    if base is None:
        named = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        base = {"path": named.get("base_model_name_or_path") or "", "revision": named.get("revision")}
    base = {"relative": None, "gguf_file": None, "weights": None, **base}
    paths: list[str] = [str(folder.resolve() / base["relative"])] if base["relative"] else []
    found = {path: weights_fingerprint(path, base["revision"], base["gguf_file"]) for path in [*paths, base["path"]]}
    there = [path for path, weights in found.items() if weights is not None]
    if not there and base["weights"] is None:
        there = [base["path"]]  # the hub is asked
    same = [path for path in there if base["weights"] in (None, found[path])]
    if same:
        return {**base, "path": os.path.normpath(same[0]) if Path(same[0]).is_dir() else same[0]}
    if there:
        raise UserError(
            f"'{folder}' holds adapters of the model '{base['path']}', whose weights are others by now (trained anew "
            "since?): put back the ones they were trained on, or train the adapters anew."
        )
    raise UserError(
        f"'{folder}' holds adapters of the model '{base['path']}', which is not there: put it back, or train with "
        "adaptation.save=merged."
    )


def relative_to(origin: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What a model started from, with the way there from `folder`, so that both can be moved together."""
    base = origin.get("base")
    if base is None or not Path(base["path"]).is_dir():
        return origin
    return {**origin, "base": {**base, "relative": os.path.relpath(base["path"], folder.resolve())}}
