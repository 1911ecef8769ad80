from pathlib import Path

import pytest

from llmimg.training.resume import newest_checkpoint


@pytest.fixture
def checkpoint(tmp_path):
    """Makes a whole checkpoint, as the Trainer leaves it."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"weights")
        (folder / "optimizer.pt").write_bytes(b"optimizer")
        (folder / "trainer_state.json").write_text('{"global_step": 1}')
        return folder

    return make


def test_where_there_is_none(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / "nowhere") is None


def test_the_newest_is_that_of_the_most_steps(tmp_path, checkpoint):
    for name in ("checkpoint-9", "checkpoint-100", "checkpoint-20", "checkpoint-best", "notes"):
        checkpoint(name)
    assert newest_checkpoint(tmp_path) == tmp_path / "checkpoint-100"


@pytest.mark.parametrize("missing", ["model.safetensors", "optimizer.pt", "trainer_state.json"])
def test_what_lacks_a_part_is_passed_over(tmp_path, checkpoint, missing):
    whole, torn = checkpoint("checkpoint-2"), checkpoint("checkpoint-4")
    (torn / missing).unlink()
    assert newest_checkpoint(tmp_path) == whole


def test_what_was_cut_short_is_passed_over(tmp_path, checkpoint):
    whole, torn, marked = (checkpoint(f"checkpoint-{step}") for step in (2, 4, 6))
    (torn / "trainer_state.json").write_text('{"global_st')
    (marked / "checkpoint-is-incomplete.txt").write_text("")
    assert newest_checkpoint(tmp_path) == whole


def test_sharded_weights_and_optimizers_count(tmp_path, checkpoint):
    folder = checkpoint("checkpoint-3")
    (folder / "model.safetensors").rename(folder / "model.safetensors.index.json")
    (folder / "optimizer.pt").rename(folder / "optimizer_0")
    assert newest_checkpoint(tmp_path) == folder
