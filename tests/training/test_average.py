from types import SimpleNamespace

import pytest
import torch

from llmimg.training.average import Average


@pytest.fixture
def model():
    return torch.nn.Linear(2, 2)


def stepped(average: Average, model, steps, start=0) -> None:
    """Weights 1, 2, 3, … after each step."""
    for step in range(start, start + steps):
        with torch.no_grad():
            model.weight.fill_(step + 1)
        average.on_step_end(None, SimpleNamespace(global_step=step + 1), None, model=model)


def expected(decay: float, start: float, steps: int) -> float:
    mean = start
    for step in range(1, steps + 1):
        kept = min(decay, (1 + step) / (10 + step))
        mean = kept * mean + (1 - kept) * step
    return mean


def test_it_is_the_moving_mean_and_what_is_left(model):
    torch.nn.init.constant_(model.weight, 5.0)
    average = Average(0.5, None)
    average.on_train_begin(None, None, None, model=model)
    stepped(average, model, 12)
    with average.applied(model):
        assert model.weight.mean().item() == pytest.approx(expected(0.5, 5.0, 12))
    assert (model.weight == 12).all()
    average.on_train_end(None, None, None, model=model)
    assert model.weight.mean().item() == pytest.approx(expected(0.5, 5.0, 12))


def test_a_resumed_run_goes_on_with_it(model, tmp_path):
    torch.nn.init.constant_(model.weight, 5.0)
    average = Average(0.9, None)
    average.on_train_begin(None, None, None, model=model)
    stepped(average, model, 3)
    (tmp_path / "checkpoint-3").mkdir()
    average.on_save(
        SimpleNamespace(output_dir=tmp_path), SimpleNamespace(is_world_process_zero=True, global_step=3), None
    )
    again = Average(0.9, tmp_path / "checkpoint-3")
    again.on_train_begin(None, None, None, model=model)
    stepped(again, model, 4, start=3)
    again.on_train_end(None, None, None, model=model)
    assert model.weight.mean().item() == pytest.approx(expected(0.9, 5.0, 7))
