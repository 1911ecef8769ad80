"""The one place that knows Hydra and OmegaConf: what it composes becomes values of JSON's types, and its errors become
sentences."""

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hydra import compose, initialize_config_dir
from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from llmimg.errors import UserError
from llmimg.nearest import did_you_mean
from llmimg.ranks import is_first_of_machine
from llmimg.readouts.settings import chosen_readout
from llmimg.run_folder import FREE, flatten
from llmimg.tasks.base import TASKS


def _for_heads(value: float, _root_: DictConfig) -> float:
    """`${for_heads:0.1}`: the value where a head learns classes, 0 where words are learned."""
    task, readout, kind = (OmegaConf.select(_root_, key) for key in ("task.name", "readout.name", "model.kind"))
    return value if chosen_readout(TASKS[task].readouts, readout, kind) == "head" else 0.0


OmegaConf.register_new_resolver("for_heads", _for_heads, replace=True)

# Groups whose choice is no key of what they compose to.
GROUPS = ("debug", "experiment")
_LONGEST_NAME = 120


def is_sweep() -> bool:
    """Whether this is one run of several that `-m` started."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def sweep_direction() -> str | None:
    """`minimize` or `maximize`, where a sweeper looks for one number by itself; None where it does not say."""
    direction = HydraConfig.get().sweeper.get("direction") if is_sweep() else None
    return None if direction is None else str(getattr(direction, "name", direction))


def resolve(config: DictConfig) -> dict[str, Any]:
    """The composed configuration, resolved, in JSON's types; `run_dir` is filled in.

    Raises:
        UserError: a value that is missing or cannot be resolved.
    """
    resolved: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    if resolved.get("run_dir") is None:
        resolved["run_dir"] = f"runs/{resolved['experiment']}/{_differences(resolved)}/seed={resolved['seed']}"
    return resolved


def composed(overrides: list[str], conf: Path) -> dict[str, Any]:
    """What `run.py` composes from the files in a folder, resolved, in JSON's types; no `run_dir` is filled in.

    Args:
        overrides: as `llmimg.command_line.command_line` gives them.

    Raises:
        UserError: as `resolve`; and Hydra's errors (`errors_as_sentences`).
    """
    with initialize_config_dir(str(conf), version_base="1.3"):
        resolved: Any = OmegaConf.to_container(compose("config", overrides), resolve=True, throw_on_missing=True)
    return resolved


def _differences(resolved: Mapping[str, Any]) -> str:
    """What differs from the experiment's defaults, as the name of a folder: the same in every process, whenever it
    runs."""
    experiment = f"experiment={_choices(HydraConfig.get())['experiment']}"
    defaults = _choices(_composed([experiment]).hydra)
    chosen = {group: choice for group, choice in _choices(HydraConfig.get()).items() if defaults.get(group) != choice}
    choices = [f"{group}={choice}" for group, choice in chosen.items()]
    base = flatten(
        _to_values(_composed([experiment, *choices, f"seed={resolved['seed']}"]))
    )  # what follows the seed, follows
    changed = {
        key: value for key, value in flatten(resolved).items() if base.get(key) != value and key not in {*FREE, "seed"}
    }
    parts = [
        f"{name}={quote(str(value), safe='')}"
        for name, value in {**chosen, **dict(sorted(changed.items()))}.items()
        if name != "launch"
    ]
    name = ",".join(parts) or "default"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: _LONGEST_NAME - len(digest) - 1]}-{digest}"


def _choices(hydra: DictConfig | HydraConf) -> dict[str, str]:
    return {group: choice for group, choice in hydra.runtime.choices.items() if not group.startswith("hydra/")}


def _composed(overrides: list[str]) -> DictConfig:
    loader = GlobalHydra.instance().config_loader()
    return loader.load_configuration("config", overrides, run_mode=RunMode.RUN)


def _to_values(config: DictConfig) -> dict[str, Any]:
    values: Any = OmegaConf.to_container(config, resolve=True)
    return {key: value for key, value in values.items() if key != "hydra"}


@contextlib.contextmanager
def errors_as_sentences() -> Iterator[None]:
    """End the program with one sentence and status 1 where a user's mistake shows; defects keep their traceback."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then hands its exceptions on
    try:
        yield
    except UserError as error:
        sentence = str(error)
    except MissingConfigException as error:
        sentence = _about_choice(error)
    except ConfigCompositionException as error:
        sentence = _about_key(error)
    except (HydraException, OmegaConfBaseException) as error:
        sentence = str(error).splitlines()[0]
    except ValueError as error:
        if "Config group override" not in str(error):  # Hydra's answer to data=7
            raise
        sentence = f"{error}."
    else:
        return
    if is_first_of_machine():
        print(f"llmimg: {sentence}", file=sys.stderr)
    sys.exit(1)


def _about_choice(error: MissingConfigException) -> str:
    if not error.missing_cfg_file or not error.options:
        return str(error).splitlines()[0]
    group, _, choice = error.missing_cfg_file.rpartition("/")
    options = [option for option in error.options if not option.startswith("_")]
    return f"There is no {group} '{choice}': {did_you_mean(choice, options)}"


def _about_key(error: ConfigCompositionException) -> str:
    named, cause = re.search(r"Could not override '([^']+)'", str(error)), error.__cause__
    if not named or not isinstance(cause, OmegaConfBaseException):
        return str(error).splitlines()[0]
    key, known = named[1].lstrip("+~"), cause.parent_node
    if not isinstance(known, DictConfig) or cause.key in known:  # the name is right, and the value is not
        return f"The setting '{key}' cannot be set so: {str(cause).splitlines()[0]}"
    names = known if "." in key else {*map(str, known), *GROUPS}
    return f"There is no setting '{key}': {did_you_mean(str(cause.key), names)}"
