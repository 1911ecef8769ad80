"""Every file of conf/ composes and builds; what is wrong on a command line is said in one line before data are read."""

import dataclasses
import functools
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from llmimg.command_line import command_line
from llmimg.compose import resolve
from llmimg.configuration import Configuration, EarlyStopping, Launch
from llmimg.data import AugmentSettings, DataSettings, SceneSettings
from llmimg.errors import UserError
from llmimg.models.settings import AdaptationSettings, ModelSettings
from llmimg.readouts.settings import SETTINGS as READOUT_SETTINGS
from llmimg.tasks.base import TASKS
from llmimg.textify import TEXTIFIERS
from llmimg.tokens.settings import TokensSettings, VocabularySettings
from llmimg.training.arguments import check_trainer

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
GROUPS = {
    group.name: sorted(file.stem for file in group.glob("[!_]*.yaml"))
    for group in sorted(CONF.iterdir())
    if group.is_dir()
}
SETTINGS = {
    "adaptation": AdaptationSettings,
    "augment": AugmentSettings,
    "data": DataSettings,
    "launch": Launch,
    "model": ModelSettings,
    "tokens": TokensSettings,
    "vocabulary": VocabularySettings,
}
# Groups whose settings are their choice's own.
NAMED = {
    "textify": TEXTIFIERS,
    "task": {name: task.Settings for name, task in TASKS.entries().items()},
    "readout": READOUT_SETTINGS,
}
# What a choice cannot do without: `data=hub` says nothing of whose.
NEEDS = {
    ("task", "mixture"): ["+task.parts={boxes:{task:{name:detect}}}"],
    ("adaptation", "none"): ["readout=score"],
    ("model", "endpoint"): ["model.url=http://localhost/v1", "model.path=some-model", "adaptation=none"],
    ("data", "hub"): ["data.path=some/set"],
    ("model", "pretrained"): ["model.path=some/model"],
    ("readout", "likelihood"): ["task=clm"],
    ("readout", "masked"): ["task=mlm"],
    ("readout", "contrastive"): ["task=retrieve"],
}
OWN_SETTINGS = {"seed", "run_dir", "dry_run", "force", "profile", "early_stopping", "objective", "layer_decay", "ema"}
OWN_SETTINGS |= {"experiment", "hydra", "defaults"}


@pytest.fixture(autouse=True, scope="module")
def hydra_in_conf():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@functools.cache
def composed(*overrides: str) -> dict:
    """The configuration that run.py would hand over."""
    config = compose("config", command_line(list(overrides)), return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    return resolve(OmegaConf.masked_copy(config, [key for key in config if key != "hydra"]))


def placed(*overrides: str) -> dict:
    """The same for a run with a folder of its own: its folder's name need not be worked out."""
    return composed(*overrides, "run_dir=somewhere")


def built(*overrides: str) -> Configuration:
    return Configuration.of(placed(*overrides))


def run(*overrides: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "run.py", *overrides], cwd=ROOT, capture_output=True, text=True, timeout=240)


def folder(*overrides: str) -> str:
    """The name of the run's folder between the experiment's and the seed's."""
    run_dir = composed(*overrides)["run_dir"]
    assert run_dir.startswith("runs/")
    return run_dir.split("/", 2)[2].rsplit("/", 1)[0]


def test_every_group_is_known_here():
    assert set(GROUPS) == {*SETTINGS, *NAMED, "trainer", "experiment", "debug"}


@pytest.mark.parametrize(
    ("group", "choice"), [(group, choice) for group, choices in GROUPS.items() for choice in choices]
)
def test_every_choice_composes_and_builds(group, choice):
    if (group, choice) == ("task", "text"):
        with pytest.raises(UserError, match=r"task=text is plain text beside images: name it in task\.parts"):
            built("task=text", "task.files=notes.txt")
        return
    configuration = built(f"{group}={choice}", *NEEDS.get((group, choice), []))
    if group not in ("experiment", "debug", "trainer", "tokens", "launch"):
        made = getattr(configuration, group)
        assert (made["name"] if group in NAMED else made.name) == choice
    if group == "experiment":
        assert configuration.experiment == choice


def test_labels_are_smoothed_for_heads_alone():
    smoothing = {
        override: built(override).trainer["label_smoothing_factor"]
        for override in ("seed=0", "readout=score", "readout=generate", "task=clm", "readout=head", "model=resnet_tiny")
    }
    assert [name for name, value in smoothing.items() if value] == ["seed=0", "readout=head", "model=resnet_tiny"]
    assert built("task=clm", "trainer.label_smoothing_factor=0.2").trainer["label_smoothing_factor"] == 0.2


@pytest.mark.parametrize("debug", [None, *GROUPS["debug"]])
@pytest.mark.parametrize("experiment", GROUPS["experiment"])
def test_every_experiment_builds_with_every_debug(experiment, debug):
    configuration = built(f"experiment={experiment}", *([f"debug={debug}"] if debug else []))
    check_trainer(configuration.trainer)


@pytest.mark.parametrize(
    ("group", "choice"), [(group, choice) for group in [*SETTINGS, *NAMED] for choice in GROUPS[group]]
)
def test_a_files_keys_are_its_dataclasss_fields(group, choice):
    keys = placed(f"{group}={choice}", *NEEDS.get((group, choice), []))[group].keys()
    if group in NAMED:
        fields = dataclasses.fields(NAMED[group][choice]) if choice != "auto" else ()
        assert list(keys) == ["name", *(field.name for field in fields)]
    else:
        assert keys == {field.name for field in dataclasses.fields(SETTINGS[group])}


def test_the_keys_of_scenes_are_its_dataclasss_fields():
    assert list(placed("data=scenes")["data"]["scenes"]) == [field.name for field in dataclasses.fields(SceneSettings)]


def test_the_top_file_holds_every_setting_that_no_group_does():
    top = yaml.safe_load((CONF / "config.yaml").read_text())
    assert set(top) == OWN_SETTINGS
    fields = {field.name for field in dataclasses.fields(Configuration)}
    assert fields == (set(top) | set(SETTINGS) | set(NAMED) | {"trainer"}) - {"defaults", "hydra"}
    assert set(top["early_stopping"]) == {field.name for field in dataclasses.fields(EarlyStopping)}


def test_every_textifier_has_its_file():
    assert set(GROUPS["textify"]) == set(TEXTIFIERS.entries())


@pytest.mark.parametrize("textifier", GROUPS["textify"])
def test_a_textifiers_file_gives_its_defaults(textifier):
    assert built(f"textify={textifier}").textifier == TEXTIFIERS[textifier]()


@pytest.mark.parametrize("experiment", GROUPS["experiment"])
def test_an_experiment_says_how_it_is_run(experiment):
    assert f"# python run.py experiment={experiment}" in (CONF / f"experiment/{experiment}.yaml").read_text() or (
        experiment == placed()["experiment"]  # the default one
    )


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("data=cifra10", "There is no data 'cifra10': did you mean 'cifar10'?"),
        ("data.sizee=3", "There is no setting 'data.sizee': did you mean 'size'?"),
        ("textify.levels=abc", "The setting 'textify.levels' cannot be 'abc': it takes a whole number."),
        ("trainer.learnig_rate=1", "There is no setting 'trainer.learnig_rate': did you mean 'learning_rate'?"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(override, sentence):
    done = run(override, "dry_run=true")
    assert done.returncode == 1
    assert done.stderr == f"llmimg: {sentence}\n"
    assert done.stdout == ""


@pytest.mark.slow
def test_a_dry_run_names_the_same_folder_in_every_process():
    overrides = ["textify.levels=4", "trainer.adam_beta1=0.8", "data.size=12", "seed=3", "dry_run=true"]
    first, second = run(*overrides), run(*reversed(overrides))
    line = (
        "Checked, and nothing was read. "
        "It would run in runs/digits/data.size=12,textify.levels=4,trainer.adam_beta1=0.8/seed=3."
    )
    for done in (first, second):
        assert done.returncode == 0, done.stderr
        assert line in done.stdout
    assert not (ROOT / "runs/digits/data.size=12,textify.levels=4,trainer.adam_beta1=0.8").exists()


def test_a_folder_is_named_by_what_differs_from_the_experiment():
    assert folder() == "default"
    assert folder("textify.levels=16", "data.val_fraction=0.1", "textify=gray", "augment.shift=1") == "default"
    assert folder("textify=rgb") == "textify=rgb"
    assert folder("textify=rgb", "textify.levels=256") == "textify=rgb"
    assert folder("textify=rgb", "textify.levels=16") == "textify=rgb,textify.levels=16"
    assert folder("experiment=article", "debug=limit") == "debug=limit"
    assert folder("data=cifar10", "model.layers=3") == "data=cifar10,model.layers=3"


def test_where_a_run_is_carried_out_is_no_part_of_its_name():
    free = ["dry_run=true", "force=true", "tokens.num_proc=2", "tokens.cache_dir=/somewhere", "launch.processes=2"]
    assert folder(*free) == "default"
    assert folder("launch=accelerate") == "default"
    assert composed("run_dir=elsewhere", "textify=rgb")["run_dir"] == "elsewhere"
    assert composed("seed=7")["run_dir"] == "runs/digits/default/seed=7"
    assert composed("experiment=digits_self", "seed=7")["run_dir"] == "runs/digits_self/default/seed=7"


def test_values_are_escaped_in_a_folders_name():
    assert folder("data=folder", "data.path='/my/cats, & dogs=1'") == (
        "data=folder,data.path=%2Fmy%2Fcats%2C%20%26%20dogs%3D1"
    )
    assert folder("model.path=a/../b") == "model.path=a%2F..%2Fb"


def test_a_long_name_ends_in_a_hash_of_its_whole():
    one, other = (folder("data=folder", f"data.path={'x' * 150}{end}") for end in "ab")
    assert len(one) == len(other) == 120
    assert one != other
    assert one[:107] == other[:107] == f"data=folder,data.path={'x' * 150}"[:107]
    assert one == folder("data=folder", f"data.path={'x' * 150}a")
