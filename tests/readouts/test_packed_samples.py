"""Several samples of a row behind one text of its image are learned as in rows of their own."""

import dataclasses

import numpy as np
import pytest
import torch

from llmimg.errors import UserError
from llmimg.models.language import make_model
from llmimg.models.settings import ModelSettings
from llmimg.readouts.base import READOUTS
from llmimg.readouts.loss import counts
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.textify import make
from llmimg.tokens.layout import Frame, Layout
from llmimg.tokens.sample import Example, ImageSlot, Sample
from llmimg.tokens.script import Shot
from llmimg.tokens.vocabulary import make_vocabulary
from tests.readouts.test_sight import MODELS, model_of
from tests.scripting import script_of

SAMPLES = 3
INFO = DataInfo(classes={"objects": ("cat", "dog")})


def example(number: int, objects: int, rng) -> Example:
    corners = rng.integers(0, 3, (objects, 2))
    boxes = np.concatenate([corners, np.full((objects, 2), 2)], axis=1)  # x, y, width, height
    known = {"bbox": boxes.tolist(), "category": rng.integers(2, size=objects).tolist()}
    row = {"objects": known, "size": (8, 8), "placement": None, "id": str(number)}
    return Example(rng.integers(5, 20, rng.integers(15, 30)), row, number, np.uint64(number))


@pytest.fixture
def rows() -> list[Example]:
    """Images of several lengths with several objects, with one, and with none."""
    rng = np.random.default_rng(0)
    return [example(number, objects, rng) for number, objects in enumerate([3, 1, 0, 4])]


def readout_of(shots: int = 0, begins: str = "", **settings):
    """Detection of objects in random order, with training rows in front, or behind a prompt that begins with words."""
    task = TASKS["detect"].with_settings(INFO, **{"bins": 4, "most": 4, "order": "random", **settings})
    if begins:

        class Begun(type(task)):
            def prompt(self, row, seed):
                return (begins, *super().prompt(row, seed), *(() if seed is None else (f" by {seed % 3}:",)))

        task = Begun(task.settings, task.info)
    vocabulary = make_vocabulary("own", make("gray"), None, task.grammar)
    shown = example(99, 2, np.random.default_rng(1))
    sample = Sample((ImageSlot(0), " is"), task.answer(shown.row, None))
    script = script_of(
        task,
        vocabulary.with_words([" is", *(f" by {each}:" for each in range(3))]),
        [Shot(sample, shown.image)] * shots,
    )
    layout = Layout.of(script.vocabulary, 100, frame=Frame())
    return READOUTS["generate"](task, layout, script)


def model_for(readout, architecture: str):
    torch.manual_seed(0)
    shape = ModelSettings(architecture, architecture=architecture, layers=2, width=32, heads=2)
    return make_model(shape, readout.vocabulary, 100, readout.auto_class, readout.head()).eval()


@torch.no_grad()
def losses(readout, model, batch) -> list[float]:
    """Each term's, as the Trainer takes it."""
    given = {name: each for name, each in batch.items() if name not in {term.labels for term in readout.terms}}
    logits = model(**readout.given(model, given)).logits
    every = zip(readout.terms, counts(readout.terms, [batch]), strict=True)
    return [float(term.cost(logits, batch[term.labels], count)) for term, count in every]


def apart(readout, examples):
    """The same samples in rows of their own, by another readout."""
    settings = dataclasses.replace(readout.task.settings, samples=1)
    alone = type(readout)(dataclasses.replace(readout.task, settings=settings), readout.layout, readout.script)
    seeds = [readout.seeds(each) for each in examples]
    rows = [dataclasses.replace(each, seed=seed) for each, own in zip(examples, seeds, strict=True) for seed in own]
    return alone, rows


@pytest.mark.parametrize("image_loss", [0.0, 0.3])
@pytest.mark.parametrize("how", [{}, {"prompts": "{image}"}, {"shots": 1}, {"begins": "see "}])
def test_a_packed_batch_costs_what_its_samples_cost_in_rows_of_their_own(architecture, how, image_loss, rows):
    readout = readout_of(**how, image_loss=image_loss, samples=SAMPLES)
    model = model_for(readout, architecture)
    alone, single = apart(readout, rows)
    batch, unpacked = readout.training_batch(rows), alone.training_batch(single)
    assert len(batch["input_ids"]) == len(rows) and len(unpacked["input_ids"]) == SAMPLES * len(rows)
    assert (batch["owners"] >= 0).sum() < 0.7 * unpacked["attention_mask"].sum()
    assert losses(readout, model, batch) == pytest.approx(losses(alone, model, unpacked), abs=1e-5)
    assert (batch["labels"] != -100).sum() == (unpacked["labels"] != -100).sum()
    if image_loss:  # once
        assert (batch["image_labels"] != -100).sum() == sum(len(each.image) for each in rows)


def test_samples_differ_and_the_first_is_the_one_there_is_without_others(rows):
    readout = readout_of(samples=SAMPLES)
    alone, single = apart(readout, rows)
    answers = [alone.answer(each, each.seed)[0].ids.tolist() for each in single]
    first = [alone.answer(each, each.seed)[0].ids.tolist() for each in rows]
    assert answers[::SAMPLES] == first
    assert len(set(map(tuple, answers[-SAMPLES:]))) > 1
    assert sorted(answers[-1]) == sorted(answers[-2])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_first_examples_of_a_batch_are_all_their_samples(count, rows):
    """An epoch's last batch over several processes has some a second time."""
    readout = readout_of(samples=SAMPLES)
    model = model_for(readout, "gpt2")
    some = readout.first(readout.training_batch(rows), count)
    if not count:
        assert not counts(readout.terms, [some]).any()
        return
    assert losses(readout, model, some) == pytest.approx(
        losses(readout, model, readout.training_batch(rows[:count])), abs=1e-5
    )


def test_what_is_asked_in_evaluation_does_not_depend_on_it(rows):
    one, several = (readout_of(samples=count).batch(rows) for count in (1, SAMPLES))
    assert one.keys() == several.keys() and all(torch.equal(one[name], several[name]) for name in one)


@pytest.mark.parametrize("name", [name for name, (_, _, apart) in MODELS.items() if apart is not None])
def test_models_that_do_not_go_by_the_mask_are_refused(name, rows):
    """A bias on distances too: there is another sample between one and what they share."""
    readout, model = readout_of(samples=SAMPLES), model_of(name, 128)
    batch = readout.training_batch(rows)
    labels = batch.pop("labels")
    if name == "a bias on distances" or not MODELS[name][2]:
        with pytest.raises(UserError, match=r"does not keep the sequences of one row apart: leave task\.samples"):
            readout.given(model, batch)
    else:
        assert losses(readout, model, {**batch, "labels": labels})
