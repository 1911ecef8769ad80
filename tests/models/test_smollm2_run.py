"""A real pretrained language model learns to read images, is saved, and reads them again."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from hydra import compose, initialize_config_dir

from llmimg import Recogniser
from llmimg.carry_out import carry_out
from llmimg.command_line import command_line
from llmimg.compose import resolve
from llmimg.data import DataSettings, load

SAMPLES = {"train_samples": 4, "val_samples": 2, "test_samples": 3}
OVERRIDES = (
    "model=smollm2",
    "textify=region_color",
    "textify.grid=2",
    "augment=none",
    "trainer.max_steps=5",
    "trainer.per_device_train_batch_size=4",
    "trainer.learning_rate=2e-4",
    "trainer.label_smoothing_factor=0",
    "trainer.eval_strategy='no'",
    "trainer.save_strategy='no'",
    "trainer.disable_tqdm=true",
    *(f"data.{name}={count}" for name, count in SAMPLES.items()),
)


@pytest.mark.slow
def test_smollm2_learns_digits(smollm2_file, tmp_path):
    ours = (f"model.path={smollm2_file}", f"run_dir={tmp_path / 'run'}", f"tokens.cache_dir={tmp_path / 'cache'}")
    with initialize_config_dir(str(Path(__file__).parents[2] / "conf"), version_base="1.3"):
        metrics = carry_out(resolve(compose("config", command_line([*OVERRIDES, *ours]))))
    history = json.loads((tmp_path / "run" / "record.json").read_text())["history"]
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert len(losses) == 5 and losses[-1] < losses[0] - 0.5
    assert metrics["model/parameters"] > 130e6

    model = tmp_path / "run" / "model"
    assert {file.suffix for file in model.iterdir()} <= {".safetensors", ".json"}
    images = load(DataSettings("digits", source="digits", **SAMPLES)).test["image"]
    table = pyarrow.parquet.read_table(tmp_path / "run" / "predictions.parquet")
    answers = Recogniser.load(tmp_path / "run")(images)
    assert [answer["label"] for answer in answers] == table["prediction"].to_pylist()
    probabilities = [list(answer["probabilities"].values()) for answer in answers]
    np.testing.assert_allclose(probabilities, table["probabilities"].to_pylist(), atol=1e-4)
