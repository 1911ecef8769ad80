import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from llmimg.data import AugmentSettings, DataSettings
from llmimg.errors import UserError
from llmimg.settings import build

ROOT = Path(__file__).parents[2]
GROUPS = [("data", path.stem) for path in sorted((ROOT / "conf/data").glob("[!_]*.yaml"))]
GROUPS += [("augment", path.stem) for path in sorted((ROOT / "conf/augment").glob("[!_]*.yaml"))]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"source": "digit"}, r"There is no data\.source 'digit': did you mean 'digits'"),
        ({"fit": "corp"}, r"There is no data\.fit 'corp': did you mean 'crop'"),
        ({"broken": "skipp"}, r"did you mean 'skip'"),
        ({"val_fraction": 0.0}, r"data\.val_fraction=0\.0 is out of range: it takes above 0 to below 1"),
        ({"test_fraction": 1.0}, r"data\.test_fraction=1\.0 is out"),
        ({"train_samples": 0}, r"data\.train_samples=0 is out of range: it takes 1 or more, or null"),
        ({"test_samples": -3}, r"data\.test_samples=-3 is out"),
        ({"split_seed": -1}, r"data\.split_seed=-1 is out of range: it takes 0 to 4294967295"),
        ({"size": 0}, r"data\.size=0 is out of range: it takes one number, or \(height, width\), each 1 or more"),
        ({"size": (4, -1)}, r"data\.size=-1 is out of range"),
        ({"label_names": ("a", "a")}, r"data\.label_names"),
    ],
)
def test_a_wrong_value_is_named(wrong, message):
    with pytest.raises(UserError, match=message):
        DataSettings("x", **wrong)


def test_one_number_is_a_square():
    assert DataSettings("x", size=8).size == (8, 8)
    assert build(DataSettings, {"name": "x", "size": "8"}).size == (8, 8)
    assert build(DataSettings, {"name": "x", "size": [4, 6]}).size == (4, 6)


@pytest.mark.parametrize(("group", "choice"), GROUPS)
def test_the_configuration_has_every_setting(group, choice):
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    cls = {"data": DataSettings, "augment": AugmentSettings}[group]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        values = OmegaConf.to_container(compose(overrides=[f"+{group}={choice}"])[group], resolve=True)
    assert list(values) == [field.name for field in fields(cls)]
    assert build(cls, values).name == choice


def test_defaults_are_the_same_in_the_configuration_and_in_the_class():
    from omegaconf import OmegaConf

    values = OmegaConf.to_container(OmegaConf.load(ROOT / "conf/data/_defaults.yaml"))
    assert build(DataSettings, {**values, "name": "x"}) == DataSettings("x")


def test_settings_can_be_overridden_on_the_command_line():
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        values = compose(overrides=["+data=fashion_mnist", "data.source=idx", "data.path=x", "data.size=[8,8]"]).data
    assert (values.source, values.path, list(values.size), len(values.label_names)) == ("idx", "x", [8, 8], 10)


def test_importing_the_room_is_light():
    heavy = "torch", "transformers", "datasets", "sklearn", "pyarrow"
    code = f"import sys, llmimg.data; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
