"""A run that is interrupted, wherever that is, comes to what it would have come to."""

import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from llmimg.carry_out import carry_out
from llmimg.errors import UserError
from tests.interruption import taken_away_at

pytestmark = pytest.mark.usefixtures("one_thread")

# Two steps an epoch, of which the last is cut off; losses are noted less often than checkpoints are saved.
ABOUT = ("trainer.max_steps=5", "trainer.save_steps=2", "trainer.logging_steps=3", "model.dropout=0.1")
WAYS = {
    "averaged": ("ema=0.9",),
    "weights alone": ("trainer.save_only_model=true", "ema=0.5"),
    "persistent workers": ("trainer.dataloader_num_workers=1", "trainer.dataloader_persistent_workers=true"),
    "convolutions": ("model=resnet_tiny", "model.dropout=0", "ema=0.9", "layer_decay=0.5", "model.width=4"),
    "stopped early": (
        "trainer.max_steps=20",
        "early_stopping.patience=2",
        "early_stopping.metric=loss",
        "trainer.learning_rate=0.3",
        "ema=0.1",
        "trainer.save_total_limit=1",  # and the best
        "trainer.logging_strategy=epoch",
    ),
}


@contextlib.contextmanager
def taken_away_in(function: str, call: int = 1):
    """… or when a function is called for the so-manieth time."""
    calls = 0
    module, _, name = function.rpartition(".")
    before = getattr(__import__(module, fromlist=["_"]), name)

    def crash(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == call:
            raise KeyboardInterrupt
        return before(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(function, crash)
        yield


def outcome(run: Path) -> tuple:
    """All that a run comes to, but for what was measured of the machine."""
    metrics = json.loads((run / "metrics.json").read_text())
    numbers = {key: value for key, value in metrics.items() if not key.startswith(("time/", "memory/"))}
    numbers = {key: value for key, value in numbers.items() if not key.endswith("per_second")}
    history = [
        {key: value for key, value in entry.items() if "runtime" not in key and "per_second" not in key}
        for entry in json.loads((run / "record.json").read_text())["history"]
        if "train_runtime" not in entry
    ]
    weights = load_file(run / "model" / "model.safetensors")
    return numbers, history, {name: weight.numpy().tobytes() for name, weight in weights.items()}


def same(one: Path, other: Path) -> bool:
    (numbers, history, weights), others = outcome(one), outcome(other)
    assert numbers == others[0]
    assert history == others[1]
    return weights == others[2]


@pytest.fixture(scope="module")
def straight(composed):
    """The folder of an undisturbed run, made once for each way."""
    folders: dict[str, Path] = {}

    def undisturbed(way: str) -> Path:
        if way not in folders:
            settings = composed(f"{way} undisturbed", *ABOUT, *WAYS[way])
            carry_out(settings)
            folders[way] = Path(settings["run_dir"])
        return folders[way]

    return undisturbed


@pytest.mark.parametrize(("way", "step"), [("averaged", 3), ("persistent workers", 2), ("convolutions", 4)])
def test_interrupted_in_training(composed, straight, way, step):
    settings = composed(f"{way} interrupted", *ABOUT, *WAYS[way])
    with taken_away_at(step):
        carry_out(settings)
    carry_out(settings)
    assert same(Path(settings["run_dir"]), straight(way))


def test_patience_goes_on_though_the_folder_was_moved(composed, straight):
    expected = straight("stopped early")
    evaluated = [entry for entry in outcome(expected)[1] if "eval_loss" in entry]
    last = evaluated[-1]["step"]
    assert last < 20 and min(evaluated, key=lambda entry: entry["eval_loss"]) == evaluated[-3]
    settings, moved = (composed(name, *ABOUT, *WAYS["stopped early"]) for name in ("impatient", "moved"))
    with taken_away_at(last - 1):
        carry_out(settings)
    shutil.move(settings["run_dir"], moved["run_dir"])
    carry_out(moved)
    assert same(Path(moved["run_dir"]), expected)


@pytest.mark.parametrize("way", ["averaged", "weights alone", "stopped early"])
def test_killed_after_training_it_does_not_train_on(composed, straight, way, monkeypatch):
    settings = composed(f"{way} late", *ABOUT, *WAYS[way])
    with taken_away_in("llmimg.report.results.render"):
        carry_out(settings)
    with monkeypatch.context() as patch:
        patch.setattr("transformers.Trainer.training_step", lambda *_: pytest.fail("it trained on"))
        carry_out(settings)
    assert same(Path(settings["run_dir"]), straight(way))


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("torch.save", 6),  # the second checkpoint's optimizer
        ("llmimg.training.ema.save_file", 2),
        ("llmimg.training.checkpoint.write_text", 2),
        ("llmimg.training.interruptible.rotate_checkpoints", 2),
        ("llmimg.training.interruptible.rotate_checkpoints", 3),  # after the last step, before the last evaluation
    ],
)
def test_killed_while_a_checkpoint_is_written(composed, straight, function, call):
    settings = composed(f"torn in {function} {call}", *ABOUT, *WAYS["averaged"])
    with taken_away_in(function, call):
        carry_out(settings)
    carry_out(settings)
    folder = Path(settings["run_dir"])
    assert same(folder, straight("averaged"))
    assert len(list((folder / "checkpoints").iterdir())) == 2  # save_total_limit


def test_killed_at_any_time(composed, straight):
    settings = composed("killed", *ABOUT, *WAYS["averaged"])
    folder, rng = Path(settings["run_dir"]), random.Random(0)
    for _ in range(4):
        process = multiprocessing.get_context("fork").Process(target=carry_out, args=(settings,))
        process.start()
        time.sleep(rng.uniform(0.2, 1.5))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    carry_out(settings)
    assert same(folder, straight("averaged"))


def test_weights_that_adapters_belong_to_may_not_change(composed, straight, tmp_path):
    base = shutil.copytree(straight("averaged"), tmp_path / "base")
    settings = composed("adapters", *ABOUT, "model=pretrained", f"model.path={base}", "adaptation=lora")
    with taken_away_at(3):
        carry_out(settings)
    file = base / "model" / "model.safetensors"
    from safetensors.torch import save_file

    save_file({name: weight * 1.01 for name, weight in load_file(file).items()}, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"checkpoint-2 adds to have changed since \(model\.path\).*force=true"):
        carry_out(settings)
    assert torch.load(Path(settings["run_dir"]) / "checkpoints" / "checkpoint-2" / "scheduler.pt")


def test_other_tokens_are_refused(composed, straight, tmp_path):
    base = shutil.copytree(straight("averaged"), tmp_path / "base")
    settings = composed("tokens", *ABOUT, "model=pretrained", f"model.path={base}")
    with taken_away_at(3):
        carry_out(settings)
    file = base / "model" / "tokenizer.json"
    told = json.loads(file.read_text())
    one, other = list(told["model"]["vocab"].items())[-2:]
    told["model"]["vocab"] |= {one[0]: other[1], other[0]: one[1]}
    file.write_text(json.dumps(told))
    with pytest.raises(UserError, match=r"tokens that they are written in, .* are not those of .*force=true"):
        carry_out(settings)
    carry_out({**settings, "force": True})
