from types import SimpleNamespace

import pytest
import torch

from llmimg.training.ema import EMA


@pytest.fixture
def model():
    return torch.nn.Linear(2, 2)


DONE = SimpleNamespace(load_best_model_at_end=False)


def stepped(average: EMA, model, steps, start=0) -> None:
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
    average = EMA(0.5, None)
    average.on_train_begin(None, None, None, model=model)
    stepped(average, model, 12)
    with average.applied(model):
        assert model.weight.mean().item() == pytest.approx(expected(0.5, 5.0, 12))
    assert (model.weight == 12).all()
    average.on_train_end(DONE, None, None, model=model)
    assert model.weight.mean().item() == pytest.approx(expected(0.5, 5.0, 12))


def test_a_resumed_run_goes_on_with_it(model, tmp_path):
    torch.nn.init.constant_(model.weight, 5.0)
    average = EMA(0.9, None)
    average.on_train_begin(None, None, None, model=model)
    stepped(average, model, 3)
    (tmp_path / "checkpoint-3").mkdir()
    average.save(tmp_path / "checkpoint-3")
    again = EMA(0.9, tmp_path / "checkpoint-3")
    again.on_train_begin(None, None, None, model=model)
    stepped(again, model, 4, start=3)
    again.on_train_end(DONE, None, None, model=model)
    assert model.weight.mean().item() == pytest.approx(expected(0.9, 5.0, 7))


def test_where_the_best_is_kept_it_is_the_average_as_it_was_then(model, tmp_path):
    torch.nn.init.constant_(model.weight, 5.0)
    average = EMA(0.9, None)
    average.on_train_begin(None, None, None, model=model)
    stepped(average, model, 3)
    average.save(tmp_path)
    stepped(average, model, 4, start=3)
    best = SimpleNamespace(best_model_checkpoint=str(tmp_path))
    average.on_train_end(SimpleNamespace(load_best_model_at_end=True), best, None, model=model)
    assert model.weight.mean().item() == pytest.approx(expected(0.9, 5.0, 3))


def test_running_statistics_are_averaged_and_counters_are_not():
    model = torch.nn.BatchNorm1d(2, affine=False)
    average = EMA(0.5, None)
    average.on_train_begin(None, None, None, model=model)
    for step in range(1, 13):
        model.running_mean.fill_(step)
        model.num_batches_tracked.fill_(step)
        average.on_step_end(None, SimpleNamespace(global_step=step), None, model=model)
    with average.applied(model):
        assert model.running_mean.tolist() == pytest.approx([expected(0.5, 0.0, 12)] * 2)
        assert model.num_batches_tracked == 12
    assert (model.running_mean == 12).all()


def test_weights_of_half_precision_are_averaged_in_full(model):
    model = model.bfloat16()
    torch.nn.init.constant_(model.weight, 1.0)
    average = EMA(0.999, None)
    average.on_train_begin(None, None, None, model=model)
    for step in range(20_000, 20_400):
        with torch.no_grad():
            model.weight.fill_(2.0)
        average.on_step_end(None, SimpleNamespace(global_step=step), None, model=model)
    average.on_train_end(DONE, None, None, model=model)
    assert model.weight.dtype == torch.bfloat16
    assert model.weight.float().mean().item() == pytest.approx(2 - 0.999**400, abs=0.01)
