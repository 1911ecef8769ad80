"""A value of a setting that takes text arrives as it was typed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st

from llmimg.command_line import command_line
from llmimg.errors import UserError
from llmimg.paths import local_path
from llmimg.tokens.folders import cache_folder

ROOT = Path(__file__).parents[1]
TYPED = ["2024_05", "1.10", "007", "1e3", "0x10", "Büro", "图片", "~/images", "Photos (1)", "it's", "a,b", "#1", "x&y"]
TYPED += [
    "set[1]",
    "a=b,c=d/seed=0",
    "true",
    "null ",
    "50%",
    "[v2]",
    "{image} is\\",
    "\\'",
    "a: b",
    'say "a"',
    " lead",
]
# What stands in quotes as a whole is Hydra's, and so is what refers to other settings.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(
    lambda text: "${" not in text and text != "null" and text[0] not in "'\""
)


@pytest.fixture(scope="module", autouse=True)
def hydra_in_conf():
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield


def read(*arguments: str) -> list:
    """What Hydra takes the arguments' values for."""
    return [each.value() for each in OverridesParser.create().parse_overrides(command_line(list(arguments)))]


@pytest.mark.parametrize("typed", TYPED)
@pytest.mark.parametrize("key", ["data.path", "model.path", "run_dir", "trainer.run_name"])
def test_text_arrives_as_typed(key, typed):
    config = compose("config", command_line([f"{key}={typed}"]))
    for name in key.split("."):
        config = config[name]
    assert config == typed


@given(TEXTS)
@example("\\")
@example("'a'b'")
@example("a\\\\'")
def test_any_text_arrives_as_typed(typed):
    assert read(f"data.path={typed}") == [typed]


@given(st.lists(TEXTS.filter(lambda text: not set(text) & set(",'\"[](){}") and text == text.strip()), min_size=1))
def test_lists_of_text_keep_their_words(words):
    assert read(f"data.label_names=[{','.join(words)}]") == [words]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("data.path='a b'", "a b"),
        ('data.path="it\'s"', "it's"),
        ("data.path=null", None),
        ("data.label_names=null", None),
        ("data.label_names=[01,1,1.10]", ["01", "1", "1.10"]),
        ("data.label_names=['a,b',c d]", ["a,b", "c d"]),
        ("data.size=[24,32]", [24, 32]),
        ("data.train_samples=10", 10),
        ("trainer.learning_rate=1e-3", 1e-3),
        ("trainer.eval_strategy=no", "no"),
        ("trainer.lr_scheduler_kwargs={min_lr: 0.1}", {"min_lr": 0.1}),
        ("trainer.bf16=true", True),
        ("model.options={words: 3}", {"words": 3}),
        ("dry_run=true", True),
    ],
)
def test_other_values_are_hydras(argument, value):
    assert read(argument) == [value]


def test_in_a_sweep_commas_separate_and_quotes_hold_together():
    overrides = command_line(["-m", "data.path=a b,'c,d',[x,y]", "seed=0,1", "data.revision=choice(a,b)"])
    path, seed, revision = OverridesParser.create().parse_overrides(overrides[1:])
    assert [each.text for each in path.sweep_iterator()] == ["a b", "c,d", "[x,y]"]
    assert seed.is_sweep_override() and revision.is_sweep_override()


@pytest.mark.slow
def test_a_folder_of_any_name_is_found(tmp_path):
    """… from the shell on: the settings that a dry run shows, and what is said of a folder that is not there."""
    for name in ("2024_05", "it's, 图片 [1]"):
        words = [sys.executable, str(ROOT / "run.py"), "data=folder", f"data.path={tmp_path / name}", "model.layers=1"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 1
        assert f"There is no folder '{tmp_path / name}'" in done.stderr


def test_a_runs_own_folder_can_be_named():
    made = "runs/digits/model=bert_tiny,augment=none,data.path=%2Fa/seed=0"
    assert read(f"model.path={made}") == [made]
    assert json.dumps(read(f"run_dir={made}")) == json.dumps([made])


def test_a_home_is_meant_only_where_nothing_stands_there_as_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert local_path("~") == Path.home()
    assert local_path("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")
    Path("~").mkdir()
    assert local_path("~") == Path("~")


def test_a_cache_without_a_home_is_asked_for(monkeypatch):
    monkeypatch.delenv("LLMIMG_CACHE", raising=False)
    with pytest.raises(UserError, match="There is no home for the cache"):
        cache_folder("~nobody-of-this-name")
