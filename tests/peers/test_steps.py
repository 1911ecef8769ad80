"""A step is a step: one large batch, as many small ones accumulated, and as many processes learn the same, and log the
same loss; and both are what a plain loop over single, unpadded rows gives.

Run by torchrun, this file carries out the same steps in several processes, and leaves what came of them in a folder.
"""

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from llmimg.models.image import make_image_model
from llmimg.models.language import make_model
from llmimg.models.settings import ModelSettings
from llmimg.readouts.base import READOUTS
from llmimg.readouts.head import label_config
from llmimg.readouts.pixel_head import PixelHead
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.textify import make
from llmimg.tokens.layout import Frame, Layout
from llmimg.tokens.sample import Example
from llmimg.tokens.script import Script
from llmimg.tokens.vocabulary import make_vocabulary
from llmimg.training.arguments import make_arguments
from llmimg.training.fit import make_trainer
from tests.scripting import script_of, with_choices

ROOT = Path(__file__).parents[2]
ROWS, STEPS, BATCH = 39, 4, 16  # an epoch ends with 7 rows, which one of two processes has all of
CLASSES = ("cat", "dog", "hot dog")
INFO = DataInfo(
    CLASSES, {"objects": CLASSES, "labels": CLASSES}, counts={"label": (12, 20, 7), "labels": (9, 3, 20)}, rows=ROWS
)
# name → task, readout, architecture, settings of the task
KINDS = {
    **{f"head {kind}": ("classify", "head", kind, {}) for kind in ("gpt2", "bert", "llama", "modernbert")},
    **{f"blended {kind}": ("classify", "head", kind, {}) for kind in ("gpt2", "bert")},
    "weighted gpt2": ("classify", "head", "gpt2", {"class_weights": "balanced"}),
    "several bert": ("classify", "head", "bert", {"multiple": True}),
    "several blended gpt2": ("classify", "head", "gpt2", {"multiple": True, "class_weights": "balanced"}),
    "several in words": ("classify", "generate", "gpt2", {"multiple": True}),
    **{f"score {kind}": ("classify", "score", kind, {}) for kind in ("gpt2", "llama")},
    "generate gpt2": ("classify", "generate", "gpt2", {}),
    "likelihood gpt2": ("clm", "likelihood", "gpt2", {}),
    "likelihood llama": ("clm", "likelihood", "llama", {}),
    "packed gpt2": ("clm", "likelihood", "gpt2", {"pack": 60}),
    "packed samples": (
        *("detect", "generate", "gpt2"),
        {"bins": 4, "order": "random", "samples": 3, "image_loss": 0.3},
    ),
    **{f"masked {kind}": ("mlm", "masked", kind, {"rate": 0.3}) for kind in ("bert", "modernbert")},
    "pixels vit": ("classify", None, "vit", {}),
}


class Rows(torch.utils.data.Dataset):
    def __init__(self, examples: list[Example]):
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self.examples[index]

    def begin_epoch(self, epoch: int) -> None:
        pass


def objects(index: int) -> dict[str, Any]:
    """What is known of the objects in an image of 8 × 8 pixels."""
    count = index % 4
    boxes = [[2 * each, index % 5, 2, 2] for each in range(count)]
    known = {"bbox": boxes, "category": [(index + each) % 3 for each in range(count)]}
    labels = sorted(set(known["category"]))
    return {"objects": known, "labels": labels, "size": (8, 8), "placement": None, "id": str(index)}


def other(label: int) -> dict[str, Any]:
    """What is known of an image that is blended in."""
    return {"label": label, "labels": [label]}


def texts(tokens: int, blended: bool) -> list[Example]:
    """Image texts of different lengths, every image of one of three classes, or blended of two, with up to three
    objects."""
    rng = np.random.default_rng(0)
    return [
        Example(
            rng.integers(5, tokens, size=rng.integers(1, 30)),
            {"label": int(rng.integers(3)), **objects(index)},
            index,
            np.uint64(index),
            blend=(other(int(rng.integers(3))), float(rng.uniform(0.5, 1))) if blended else None,
        )
        for index in range(ROWS)
    ]


@cache
def parts(name: str):
    """A model that always starts alike, its rows, and what makes a batch of them."""
    task_name, readout_name, architecture, settings = KINDS[name]
    torch.manual_seed(0)
    shape = ModelSettings(name="tiny", architecture=architecture, layers=1, width=16, heads=2)
    task = TASKS[task_name].with_settings(INFO, **settings)
    if readout_name is None:
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, (ROWS, 8, 8, 1)).astype(np.uint8)
        labels = rng.integers(3, size=ROWS)
        examples = [Example(image, {"label": label}) for image, label in zip(pixels, labels, strict=True)]
        model = make_image_model(shape, (8, 8, 1), label_config(task))
        return model, Rows(examples), PixelHead(task, model.config)
    kind = READOUTS[readout_name]
    textifier = make("gray", levels=16)
    vocabulary = make_vocabulary("own", textifier, None, task.grammar)
    if kind.prompted:
        script = script_of(task, vocabulary)
        vocabulary = script.vocabulary
        readout = kind(task, Layout.of(vocabulary, 64, frame=Frame()), script)
        if readout.choices is not None:
            with_choices(readout, (2,), ((5,), (6,), (7, 8, 9)))
    else:
        readout = kind(task, Layout.of(vocabulary, 64), Script(vocabulary))
    model = make_model(shape, vocabulary, 64, kind.auto_class, readout.head())
    return model, Rows(texts(len(vocabulary.tokenizer), "blended" in name)), readout


def steps(name: str, batch: int, accumulated: int, folder: Path) -> dict[str, np.ndarray]:
    """The losses that were logged, and the weights after the last step."""
    model, rows, readout = parts(name)
    before = {key: each.clone() for key, each in model.state_dict().items()}
    settings = {
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": accumulated,
        "max_steps": STEPS,
        "optim": "sgd",
        "learning_rate": 0.1,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "weight_decay": 0.0,
        "logging_steps": 1,
        "save_strategy": "no",
        "eval_strategy": "no",
        "disable_tqdm": True,
    }
    trainer = make_trainer(model, make_arguments(settings, folder, 0), readout, rows, rows)
    trainer.train()
    whole = trainer.accelerator.unwrap_model(model)
    learned = {f"weight {key}": each.detach().clone().numpy() for key, each in whole.state_dict().items()}
    whole.load_state_dict(before)
    losses = [logged["loss"] for logged in trainer.state.log_history if "loss" in logged]
    return {"losses": np.array(losses), **learned}


@pytest.fixture(scope="module")
def by_two_processes(tmp_path_factory) -> Path:
    """All kinds' steps, each taken by two processes."""
    folder = tmp_path_factory.mktemp("two")
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", __file__, str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return folder


def alike(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_allclose(one[key], other[key], rtol=2e-4, atol=2e-5, err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_step_is_a_step(name, tmp_path, by_two_processes):
    whole = steps(name, BATCH, 1, tmp_path)
    assert whole["losses"][0] > 0.5
    alike(whole, steps(name, BATCH // 4, 4, tmp_path))
    alike(whole, dict(np.load(by_two_processes / f"{name}.npz")))


@pytest.mark.parametrize("name", [name for name in KINDS if not name.startswith(("packed", "pixels", "generate"))])
def test_the_first_loss_is_that_of_a_plain_loop(name, tmp_path):
    """… over the rows that the first step draws, one after the other, unpadded, each label's cost by itself."""
    model, rows, readout = parts(name)
    drawn: list[int] = []
    original = type(rows).__getitem__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(rows), "__getitem__", lambda self, index: (drawn.append(index), original(self, index))[1])
        logged = steps(name, BATCH, 1, tmp_path)["losses"][0]
    costs: list[float] = []
    model.eval()
    for index in drawn[:BATCH]:
        batch = readout.training_batch([rows[index]])
        labels = batch.pop("labels")[0]
        batch.pop("logits_to_keep", None)
        with torch.no_grad():
            scores = model(**batch).logits[0].double()
        logits, weights = scores.log_softmax(dim=-1), readout.task.class_weights
        if readout.task.independent and labels.is_floating_point():
            yes, no = scores.sigmoid().log(), (-scores).sigmoid().log()
            weights = torch.ones(3) if weights is None else torch.tensor(weights)
            costs += (-(weights * labels * yes + (1 - labels) * no)).tolist()
        elif labels.is_floating_point():
            costs.append(float(-(labels * logits).sum()))
        elif labels.ndim == 0:
            costs.append(float(-logits[labels]) * (1 if weights is None else float(weights[labels])))
        else:
            ahead = 0 if name.startswith("masked") else 1
            costs += [
                float(-logits[at - ahead, token]) for at, token in enumerate(labels) if at >= ahead and token >= 0
            ]
    assert logged == pytest.approx(np.mean(costs), rel=1e-4)


if __name__ == "__main__":
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            found = steps(kind, BATCH // 2, 1, Path(folder))
        if int(os.environ["RANK"]) == 0:
            np.savez(Path(sys.argv[1]) / f"{kind}.npz", **found)
