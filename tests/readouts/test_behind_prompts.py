"""readout=score where candidates are prompts, against a plain loop over classes: one unpadded pass for each."""

import numpy as np
import pytest
import torch

from llmimg.errors import UserError
from llmimg.models.language import make_model
from llmimg.models.settings import ModelSettings
from llmimg.readouts.base import READOUTS
from llmimg.readouts.settings import SETTINGS
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.textify import make
from llmimg.tokens.layout import Frame, Layout
from llmimg.tokens.sample import Example, ImageSlot, Sample
from llmimg.tokens.script import Shot
from llmimg.tokens.vocabulary import make_vocabulary
from tests.scripting import script_of

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES, COUNTS = ("cat", "catfish", "dog", "emu"), (50, 1, 20, 9)
SHOT = [6, 7, 8]


@pytest.fixture(scope="module")
def task():
    info = DataInfo(label_names=NAMES, counts={"label": COUNTS}, size=(2, 3))
    made = TASKS["imagine"].with_settings(info, prompts="see {label}: ")
    return made.bind(info, make("gray", levels=5, longest_run=5))  # texts of several lengths


@pytest.fixture(scope="module", params=[("gpt2", False), ("llama", True)], ids=["gpt2", "llama after a shot"])
def parts(request, task):
    architecture, shot = request.param
    vocabulary = make_vocabulary("own", task.textifier, None)
    shots = [Shot(Sample(task.prompt({"label": 2}, None), (ImageSlot(0),)), np.array(SHOT))] if shot else []
    script = script_of(task, vocabulary, shots)
    layout = Layout.of(script.vocabulary, 40, frame=Frame(), beside=12)
    shape = ModelSettings(architecture, architecture=architecture, layers=2, width=32, heads=2, initializer_range=0.4)
    torch.manual_seed(0)
    readout = READOUTS["score"](task, layout, script)
    return readout, make_model(shape, script.vocabulary, 40, readout.auto_class, {}).eval(), shot


@pytest.fixture(scope="module")
def examples(task, parts):
    images = np.random.default_rng(0).integers(0, 2, (6, 2, 3, 1)).astype(np.uint8) * 99
    ids = parts[0].vocabulary.lookup(task.textifier.write(images))
    assert len({len(each) for each in ids}) > 1
    return [Example(each, {"id": str(row), "label": row % 4}) for row, each in enumerate(ids)]


def plain_loop(readout, model, image, shot: bool) -> list[float]:
    """log P(image, end | class) of each class."""
    vocabulary, found = readout.vocabulary, []
    bos = vocabulary.tokenizer.bos_token_id
    for name in NAMES:
        before = [bos, *([*vocabulary.read("see dog: "), *SHOT, vocabulary.end] if shot else [])]
        before += vocabulary.read(f"see {name}: ")
        answer = [*map(int, image), vocabulary.end]
        with torch.no_grad():
            logits = model(torch.tensor([[*before, *answer]])).logits[0].double().log_softmax(dim=1)
        found.append(sum(float(logits[len(before) + at - 1, token]) for at, token in enumerate(answer)))
    return found


def test_each_class_has_the_likelihood_of_the_whole_image(parts, examples):
    readout, model, shot = parts
    with torch.no_grad():
        scores = readout.outputs(model, readout.batch(examples)).numpy()
    expected = [plain_loop(readout, model, each.image, shot) for each in examples]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    assert np.std(expected, axis=1).min() > 0.01  # classes are told apart


def test_the_class_follows_by_bayes_rule(parts, examples):
    readout, model, shot = parts
    rows = [each.row for each in examples]
    with torch.no_grad():
        scores = readout.outputs(model, readout.batch(examples)).numpy()
    predictions = readout.predictions(scores, rows)
    expected = np.array([plain_loop(readout, model, each.image, shot) for each in examples])
    joint = np.exp(expected - expected.max(axis=1, keepdims=True)) * np.array(COUNTS) / sum(COUNTS)
    posterior, labels = joint / joint.sum(axis=1, keepdims=True), np.array([row["label"] for row in rows])
    table, metrics = readout.task.table(predictions, rows), readout.task.metrics(predictions, rows)
    np.testing.assert_allclose(np.stack(table["probabilities"]), posterior, rtol=1e-3)
    assert table["prediction"] == [NAMES[each] for each in posterior.argmax(axis=1)]
    assert metrics["accuracy"] == np.mean(posterior.argmax(axis=1) == labels)
    own = np.arange(len(rows)), labels
    assert metrics["loss"] == pytest.approx(-np.log(posterior[own]).mean(), rel=1e-4)
    assert 0 <= metrics["ece_low"] <= metrics["ece"] <= metrics["ece_high"] <= 1
    # Beside it, what the true images cost given their class.
    assert metrics["bits_per_image"] == pytest.approx(-expected[own].mean() / np.log(2))
    assert metrics["bits_per_dim"] == pytest.approx(metrics["bits_per_image"] / 6)


def test_answers_of_several_lengths_are_not_made_comparable(task, parts):
    readout = parts[0]
    with pytest.raises(UserError, match=r"set readout\.normalise=none"):
        READOUTS["score"](task, readout.layout, readout.script, settings=SETTINGS["score"](normalise="length"))
