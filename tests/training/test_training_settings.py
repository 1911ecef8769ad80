import math

import pytest
import torch
from transformers import TrainerControl, TrainerState

from llmimg.errors import UserError
from llmimg.tasks.measure import LOSS, Measure
from llmimg.training.arguments import check_trainer, make_arguments, stop_early
from llmimg.training.callbacks import StopOnNaN


def test_any_field_of_the_trainer_s_can_be_given(tmp_path):
    given = {"learning_rate": 5e-5, "max_steps": 3, "adam_beta1": 0.5, "lr_scheduler_type": "linear"}
    check_trainer(given)
    arguments = make_arguments(given, tmp_path, seed=4)
    assert (arguments.learning_rate, arguments.max_steps, arguments.adam_beta1) == (5e-5, 3, 0.5)
    assert arguments.output_dir == str(tmp_path / "checkpoints") and arguments.seed == 4
    assert arguments.logging_nan_inf_filter is False and arguments.remove_unused_columns is False
    assert not arguments.report_to


def test_without_an_accelerator_several_processes_would_find_each_other(tmp_path):
    assert make_arguments({}, tmp_path, seed=0).use_cpu is not torch.accelerator.is_available()
    assert make_arguments({"use_cpu": True}, tmp_path, seed=0).use_cpu is True


@pytest.mark.parametrize(
    ("trainer", "sentence"),
    [
        ({"learnig_rate": 1}, r"no setting 'trainer\.learnig_rate': did you mean 'learning_rate'"),
        ({"evaluation_strategy": "no"}, r"did you mean 'eval_strategy'"),
        ({"seed": 1}, r"'trainer\.seed' follows from the run: set seed= instead"),
        ({"resume_from_checkpoint": True}, r"follows from the run: an unfinished run goes on by itself"),
        ({"output_dir": "x"}, r"'trainer\.output_dir' follows from the run: set run_dir= instead"),
        ({"ignore_data_skip": True}, r"an interrupted run goes on as if"),
        ({"batch_eval_metrics": True}, r"measured as a whole"),
        ({"max_steps": 0}, r"trains nothing"),
        ({"train_sampling_strategy": "group_by_length"}, r"is not done here"),
    ],
)
def test_a_wrong_name_is_answered_before_anything_starts(trainer, sentence):
    with pytest.raises(UserError, match=sentence):
        check_trainer(trainer)


@pytest.mark.parametrize("trainer", [{"optim": "adm"}, {"eval_strategy": False}, {"remove_unused_columns": True}])
def test_a_value_that_the_trainer_refuses(trainer, tmp_path):
    with pytest.raises(UserError, match=r"does not take these settings under trainer\.\*: "):
        make_arguments(trainer, tmp_path, seed=0)


def test_who_stops_early_saves_when_he_evaluates():
    settings = stop_early({"eval_strategy": "steps", "eval_steps": 5, "save_strategy": "no", "save_steps": 9}, LOSS)
    assert (settings["save_strategy"], settings["save_steps"]) == ("steps", 5)
    assert settings["load_best_model_at_end"] and settings["metric_for_best_model"] == "loss"
    assert settings["greater_is_better"] is False
    assert stop_early({"eval_strategy": "epoch"}, Measure("accuracy", "Accuracy", ""))["greater_is_better"] is True


@pytest.mark.parametrize("name", ["loss", "eval_loss", "grad_norm"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_stops_training(tmp_path, name, value):
    arguments = make_arguments({"learning_rate": 0.5}, tmp_path, seed=0)
    state, control = TrainerState(global_step=12), TrainerControl()
    StopOnNaN().on_log(arguments, state, control, logs={name: 3.0})
    with pytest.raises(
        UserError, match=rf"The {name} became {value} at step 12: .*trainer\.learning_rate \(now 0\.5\)"
    ):
        StopOnNaN().on_log(arguments, state, control, logs={name: value})


def test_a_gradient_that_overflows_in_half_precision_is_the_scaler_s_affair(tmp_path):
    arguments = make_arguments({}, tmp_path, seed=0)
    arguments.fp16 = True
    StopOnNaN().on_log(arguments, TrainerState(), TrainerControl(), logs={"grad_norm": math.inf, "loss": 1.0})
