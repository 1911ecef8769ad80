import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from llmimg.errors import UserError
from llmimg.training.checkpoint import Manifest
from llmimg.training.resume import share_out, where_to_begin

FILES = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "ema.safetensors")


def manifest(step: int = 2, **given) -> Manifest:
    common = {"data": "these", "base": "", "processes": 1, "global_batch": 32, "ended": False, "resumable": True}
    return Manifest(
        step=step, **{**common, "best": None, "loss": 0.0, "logged": step, "gradient": None, "rate": None, **given}
    )


@pytest.fixture
def checkpoint(tmp_path):
    """Makes a whole checkpoint."""

    def make(step: int, **given) -> Path:
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in FILES:
            (folder / name).write_bytes(f"{name} of {step}".encode())
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
        manifest(step, **given).seal(folder)
        return folder

    return make


def begin(folder: Path, data: str = "these", batch: int = 32):
    return where_to_begin(folder, arguments(batch), data)


def arguments(batch: int, accumulated: int = 1) -> SimpleNamespace:
    return SimpleNamespace(
        per_device_train_batch_size=batch, gradient_accumulation_steps=accumulated, n_gpu=0, eval_on_start=False
    )


def test_where_there_is_none(tmp_path):
    assert begin(tmp_path).checkpoint is None
    start = begin(tmp_path / "nowhere")
    assert start.checkpoint is None and not start.ended and not start.notes


def test_the_newest_is_that_of_the_most_steps(tmp_path, checkpoint):
    for step in (9, 100, 20):
        checkpoint(step)
    for name in ("checkpoint-best", "notes", "checkpoint-²"):
        (tmp_path / name).mkdir()
    start = begin(tmp_path)
    assert start.checkpoint == tmp_path / "checkpoint-100" and start.manifest.step == 100 and not start.notes


@pytest.mark.parametrize("name", [*FILES, "trainer_state.json", "manifest.json"])
@pytest.mark.parametrize("harm", ["missing", "empty", "shorter", "other"])
def test_what_lacks_any_part_is_passed_over_and_said(tmp_path, checkpoint, name, harm):
    whole, torn = checkpoint(2), checkpoint(4)
    file = torn / name
    content = file.read_bytes()
    file.unlink()
    if harm != "missing":
        at = len(content) // 2
        changed = {"empty": b"", "shorter": content[:at], "other": content[:at] + b"~" + content[at + 1 :]}
        file.write_bytes(changed[harm])
    start = begin(tmp_path)
    assert start.checkpoint == whole
    (note,) = start.notes
    assert note.startswith("checkpoint-4 was passed over: ")
    assert not torn.exists()  # what the run writes there later is not mixed with it


def test_where_none_is_whole_it_says_that_it_starts_over(tmp_path, checkpoint):
    (checkpoint(4) / "scheduler.pt").unlink()
    start = begin(tmp_path)
    assert start.checkpoint is None
    assert start.notes[-1] == "No checkpoint was whole: training started over."


def test_a_checkpoint_needs_that_of_the_best_weights(tmp_path, checkpoint):
    best = checkpoint(2)
    checkpoint(4, best="checkpoint-2")
    assert begin(tmp_path).manifest.best == "checkpoint-2"
    (best / "ema.safetensors").unlink()
    start = begin(tmp_path)
    assert start.checkpoint is None and "checkpoint-2 has the best weights until then" in start.notes[0]


def test_other_data_are_refused_and_nothing_is_removed(tmp_path, checkpoint):
    whole, torn = checkpoint(2), checkpoint(4)
    (torn / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"The data, .*are not those of .*checkpoint-2: .*force=true"):
        begin(tmp_path, data="others")
    assert whole.exists() and torn.exists()


def test_weights_alone_are_not_gone_on_from_unless_training_had_ended(tmp_path, checkpoint):
    checkpoint(2, resumable=False)
    assert begin(tmp_path).checkpoint is None
    ended = checkpoint(4, resumable=False, ended=True)
    start = begin(tmp_path)
    assert start.checkpoint == ended and start.ended


@pytest.mark.parametrize(
    ("before", "batch", "expected"),
    [(64, 32, (32, 2)), (32, 32, (32, 1)), (16, 32, (16, 1)), (96, 64, (48, 2)), (7, 4, (1, 7))],
)
def test_a_step_has_as_many_examples_as_it_had_in_other_processes(before, batch, expected):
    mine = arguments(batch)
    share_out(mine, manifest(processes=2, global_batch=before))
    assert (mine.per_device_train_batch_size, mine.gradient_accumulation_steps) == expected


def test_a_step_that_cannot_be_shared_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match=r"steps of 64 examples, by 2 processes until now, which 3 cannot share evenly"):
        share_out(arguments(32), manifest(processes=2, global_batch=64))
