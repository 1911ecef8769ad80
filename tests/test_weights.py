"""Which weights a finished run has, and that what it saved answers as it was measured."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_digits

from llmimg import Recogniser, UserError
from llmimg.carry_out import carry_out

pytestmark = pytest.mark.usefixtures("one_thread")
BEST = (
    "trainer.load_best_model_at_end=true",
    "trainer.metric_for_best_model=loss",
    "trainer.greater_is_better=false",
    "trainer.eval_strategy=steps",
    "trainer.eval_steps=1",
    "trainer.save_steps=2",  # the best was evaluated, and would not have been saved
    "trainer.learning_rate=0.3",
    "trainer.max_steps=4",
)


def record(run: Path) -> dict:
    return json.loads((run / "record.json").read_text())


def evaluated(run: Path) -> list[dict]:
    return [entry for entry in record(run)["history"] if "eval_loss" in entry]


def answers_as_measured(run: Path, within: float = 1e-5) -> bool:
    table = pyarrow.parquet.read_table(run / "predictions.parquet").to_pydict()
    numbers = {f"{number:04d}": number for number in range(1797)}
    images = [load_digits().images[numbers.get(name, 0)] for name in table["id"]]
    if not set(table["id"]) <= numbers.keys():
        images = [load_digits().images[int(name)] for name in table["id"]]
    given = Recogniser.load(run)((np.array(images) / 16 * 255).round().astype(np.uint8)[..., None])
    found = np.array([list(each["probabilities"].values()) for each in given])
    return np.allclose(found, np.stack(table["probabilities"]), atol=within)


@pytest.fixture(scope="module")
def base(run) -> Path:
    return run("base")


@pytest.mark.parametrize("way", ["all of it", "averaged", "adapters", "adapters averaged"])
def test_the_best_weights_are_kept_whatever_learns(run, base, way):
    more = {"all of it": (), "averaged": ("ema=0.3",)}
    lora = ("model=pretrained", f"model.path={base}", "adaptation=lora", "trainer.learning_rate=1.0")
    more |= {"adapters": lora, "adapters averaged": (*lora, "ema=0.3")}
    folder = run(f"best {way}", *BEST, *more[way])
    best = min(evaluated(folder), key=lambda entry: entry["eval_loss"])
    assert best["step"] < 4 and best["step"] % 2
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["val/loss"] == pytest.approx(best["eval_loss"], abs=1e-5)
    notes = record(folder)["notes"]
    what = "the moving average of its weights (ema)" if "averaged" in way else "its weights"
    assert f"The run has {what} at step {best['step']} of 4, where the validation loss was best." in notes
    assert not [note for note in notes if "BEWARE" in note]


def test_weights_cast_for_evaluation_are_saved_as_they_were(run, base):
    folder = run("cast", "trainer.bf16_full_eval=true")
    saved, expected = (load_file(each / "model" / "model.safetensors") for each in (folder, base))
    assert all(torch.equal(saved[name], expected[name]) for name in expected)
    assert "those of weights in " in "\n".join(record(folder)["notes"])
    given, full = (json.loads((each / "metrics.json").read_text())["test/loss"] for each in (folder, base))
    assert given != full and given == pytest.approx(full, abs=0.05)


@pytest.mark.parametrize("learn", ["true", "false"])
def test_what_is_trained_in_half_precision_is_evaluated_in_full(run, base, learn):
    begin = () if learn == "true" else ("model=pretrained", f"model.path={base}")
    folder = run(f"bf16 {learn}", "trainer.bf16=true", f"trainer.do_train={learn}", *begin)
    assert answers_as_measured(folder)
    if learn == "false":
        assert answers_as_measured(base)
        tables = [(each / "predictions.parquet").read_bytes() for each in (folder, base)]
        assert tables[0] == tables[1]


def test_statistics_of_batches_are_averaged_with_the_weights(run):
    few = ("model=resnet_tiny", "model.width=4", "trainer.save_strategy=no")
    last, average = (run(name, *few, *more) for name, more in (("last", ()), ("mean", ("ema=0.99",))))
    left, right = (load_file(each / "model" / "model.safetensors") for each in (last, average))
    running = [name for name in left if name.endswith("running_mean")]
    assert running and not any(torch.equal(left[name], right[name]) for name in running)


@pytest.mark.parametrize("model", ["gpt2_tiny", "resnet_tiny"])
def test_a_model_that_was_saved_otherwise_is_noticed(composed, monkeypatch, model):
    from transformers import PreTrainedModel

    save = PreTrainedModel.save_pretrained

    def other(self, folder, *args, **kwargs):
        if Path(folder).name == "model":
            with torch.no_grad():
                next(self.parameters()).mul_(2)
            save(self, folder, *args, **kwargs)
            with torch.no_grad():
                next(self.parameters()).div_(2)
        else:
            save(self, folder, *args, **kwargs)

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", other)
    settings = composed(f"otherwise {model}", f"model={model}", "trainer.learning_rate=0.1")
    with pytest.raises(RuntimeError, match=r"gives other answers than the run was measured by, for \d+ of 37"):
        carry_out(settings)
    folder = Path(settings["run_dir"])
    assert not (folder / "metrics.json").exists() and list((folder / "checkpoints").iterdir())


def test_evaluation_is_no_training(composed, monkeypatch):
    """Images a second are of training steps alone; the seconds of training are of all of it."""
    import time

    from llmimg.training.callbacks import BeginEpoch

    monkeypatch.setattr(BeginEpoch, "on_evaluate", lambda *_, **__: time.sleep(0.2), raising=False)
    monkeypatch.setattr(BeginEpoch, "on_save", lambda *_, **__: time.sleep(0.1), raising=False)
    settings = composed("slow", "trainer.eval_strategy=steps", "trainer.eval_steps=1", "trainer.max_steps=5")
    metrics = carry_out(settings)
    epochs = record(Path(settings["run_dir"]))["history"][-1]["epoch"]
    stepping = 64 * epochs / metrics["train/images_per_second"]
    assert stepping <= metrics["time/train_seconds"] - 5 * 0.3


def test_the_rate_of_the_highest_layer_is_shown(run):
    folder = run("slower", "layer_decay=0.5", "trainer.lr_scheduler_type=constant", "trainer.learning_rate=0.125")
    rates = {entry["learning_rate"] for entry in record(folder)["history"] if "loss" in entry}
    assert rates == {0.125}


def test_a_best_by_what_is_not_scored_is_refused_before_data_are_read(run, tmp_path):
    with pytest.raises(UserError, match=r"metric_for_best_model=f1 is no validation score: .*macro_f1"):
        run("f1", *BEST, "trainer.metric_for_best_model=f1", "data=folder", f"data.path={tmp_path / 'none'}")
