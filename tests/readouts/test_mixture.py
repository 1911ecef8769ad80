"""Several tasks learned at once cost what each costs alone, whether they share rows or not."""

import dataclasses

import numpy as np
import pytest
import torch

from llmimg.models.language import make_model
from llmimg.models.settings import ModelSettings
from llmimg.readouts.base import READOUTS
from llmimg.readouts.loss import counts
from llmimg.readouts.mixture import Mixed, MixedMasked
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.tasks.mixture import Mixture, MixtureSettings
from llmimg.textify import make
from llmimg.tokens.layout import Frame, Layout
from llmimg.tokens.sample import Example
from llmimg.tokens.script import Script
from llmimg.tokens.vocabulary import make_vocabulary, with_answers
from tests.scripting import script_of

INFO = DataInfo(label_names=("cat", "dog", "bird"), classes={"objects": ("cat", "dog")})
KINDS = {"where": "detect", "what": "classify", "text": "clm"}
WEIGHTS = {"where": 2.0, "what": 1.0, "text": 1.0}
ASKED = [("where", "what"), ("what",), ("text",), ("where",), ("where", "what"), ("text",)]


@pytest.fixture
def examples() -> list[Example]:
    rng = np.random.default_rng(0)
    rows = [
        {
            "id": str(number),
            "label": number % 3,
            "size": (8, 8),
            "placement": None,
            "objects": {"bbox": [[0, 0, 4, 4]] * (number % 3), "category": [number % 2] * (number % 3)},
        }
        for number in range(len(ASKED))
    ]
    images = [rng.integers(5, 20, rng.integers(10, 25)) for _ in rows]
    every = zip(images, rows, ASKED, strict=True)
    return [Example(image, row, number, number, asked=asked) for number, (image, row, asked) in enumerate(every)]


def mixed(packed: bool, image_loss: float = 0.0, kinds=KINDS, kind=Mixed):
    """What several tasks learn together, and their readouts."""
    parts = {name: {"task": {"name": each}, "weight": WEIGHTS[name]} for name, each in kinds.items()}
    settings = MixtureSettings(parts=parts, packed=packed, image_loss=image_loss)
    few = {"detect": {"bins": 4, "most": 4}}
    tasks = {name: TASKS[each].with_settings(INFO, **few.get(each, {})) for name, each in kinds.items()}
    textifier, vocabulary = make("gray"), make_vocabulary("own", make("gray"), None)
    readouts = {"detect": "generate", "classify": "score", "clm": "likelihood", "mlm": "masked"}
    scripts = {}
    for name, task in tasks.items():
        own = with_answers(vocabulary, textifier, task.grammar)
        scripts[name] = script_of(task, own) if READOUTS[readouts[kinds[name]]].prompted else Script(own)
        vocabulary = scripts[name].vocabulary
    made = {}
    for name, task in tasks.items():
        script = dataclasses.replace(scripts[name], vocabulary=with_answers(vocabulary, textifier, task.grammar))
        frame = Frame() if kinds[name] not in ("clm", "mlm") else Frame((vocabulary.end,))
        layout = Layout.of(vocabulary, 60, frame=frame)
        made[name] = READOUTS[readouts[kinds[name]]](task, layout, script)
    return kind(Mixture.together(settings, tasks), made), made


def model_of(readout):
    torch.manual_seed(0)
    shape = ModelSettings("gpt2", architecture="gpt2" if readout.causal else "bert", layers=2, width=32, heads=2)
    return make_model(shape, readout.vocabulary, 60, readout.auto_class, {}).eval()


@torch.no_grad()
def losses(learning, model, batch) -> dict[str, float]:
    """Of each term, unweighted."""
    labels = {term.labels for term in learning.terms}
    given = {name: each for name, each in batch.items() if name not in labels}
    logits = model(**learning.given(model, given)).logits
    every = zip(learning.terms, counts(learning.terms, [batch]), strict=True)
    return {term.labels: float(term.cost(logits, batch[term.labels], count)) / term.weight for term, count in every}


def alone(made, model, examples, name: str) -> float:
    """What a task's examples cost without others'."""
    some = [each for each in examples if name in each.asked]
    return losses(made[name], model, made[name].training_batch(some))["labels"]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("packed", [True, False])
def test_each_task_costs_what_it_costs_alone(packed, order, examples):
    asked = examples if packed else [dataclasses.replace(e, asked=(name,)) for e in examples for name in e.asked]
    learning, made = mixed(packed, image_loss=0.5, kinds=dict([*KINDS.items()][::order]))
    model = model_of(next(iter(made.values())))
    batch = learning.training_batch(asked)
    found = losses(learning, model, batch)
    for name in KINDS:
        assert found[f"{name}/labels"] == pytest.approx(alone(made, model, examples, name), abs=1e-5)
    assert sorted(term.weight for term in learning.terms) == [0.5, 0.5, 0.5, 1.0]
    of_images = int((batch["image_labels"] != -100).sum())  # but what is its own row's first token
    read = [each for each in (examples if packed else asked) if each.asked != ("text",)]
    assert of_images == sum(len(each.image) for each in read)


def test_packed_rows_are_fewer_and_shorter(examples):
    learning, _ = mixed(True)
    batch = learning.training_batch(examples)
    apart, _ = mixed(False)
    asked = [dataclasses.replace(each, asked=(name,)) for each in examples for name in each.asked]
    single = apart.training_batch(asked)
    assert len(batch["input_ids"]) < len(single["input_ids"])
    assert (batch["owners"] >= 0).sum() < single["attention_mask"].sum()


@pytest.mark.parametrize("count", [0, 1, 3, 5])
@pytest.mark.parametrize("packed", [True, False])
def test_the_first_examples_of_a_batch_are_learned_alone(packed, count, examples):
    """An epoch's last batch over several processes has some a second time."""
    if not packed:
        examples = [dataclasses.replace(each, asked=each.asked[:1]) for each in examples]
    learning, made = mixed(packed, image_loss=0.5)
    model = model_of(next(iter(made.values())))
    batch = learning.training_batch(examples)
    some = learning.first(batch, count)
    if not count:
        assert all((some[term.labels] == -100).all() for term in learning.terms)
        return
    expected = losses(learning, model, learning.training_batch(examples[:count]))
    assert losses(learning, model, some) == pytest.approx(expected, abs=1e-5)


def test_tasks_that_fill_in_share_a_model_too(examples):
    kinds = {"where": "mlm", "text": "mlm"}
    learning, made = mixed(True, kinds=kinds, kind=MixedMasked)
    examples = [dataclasses.replace(each, asked=("where", "text")[: 1 + each.number % 2]) for each in examples]
    model = model_of(made["text"])
    batch = learning.training_batch(examples)
    found = losses(learning, model, batch)
    for name in kinds:
        assert found[f"{name}/labels"] == pytest.approx(alone(made, model, examples, name), abs=1e-5)
    first = losses(learning, model, learning.first(batch, 3))
    assert first == pytest.approx(losses(learning, model, learning.training_batch(examples[:3])), abs=1e-5)
