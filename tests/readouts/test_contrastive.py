"""Images and texts as vectors of one space: what is learned, and which vectors answers come from."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmimg.metrics.words import folded
from llmimg.models.language import make_model
from llmimg.models.settings import ModelSettings
from llmimg.readouts.base import READOUTS
from llmimg.readouts.contrastive import Contrast
from llmimg.readouts.settings import SETTINGS
from llmimg.tasks.base import TASKS
from llmimg.textify import make
from llmimg.tokens.layout import Layout
from llmimg.tokens.sample import Example
from llmimg.tokens.script import Script
from llmimg.tokens.vocabulary import make_vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")

CAPTIONS = [["a dog", "a cat"], ["a  cat"], "a tree", ["a bird", "a dog", "two birds"], "a tree"]


def readout_of(context: int = 60, **settings):
    task = TASKS["retrieve"].with_settings()
    vocabulary = make_vocabulary("own", make("gray"), None).with_open(["a dog", "a cat and two birds in a tree"], 300)
    options = SETTINGS["contrastive"](**settings)
    return READOUTS["contrastive"](task, Layout.of(vocabulary, context), Script(vocabulary), None, options)


def model_of(readout, architecture: str = "gpt2"):
    torch.manual_seed(0)
    shape = ModelSettings(name="tiny", architecture=architecture, layers=1, width=16, heads=2)
    return make_model(shape, readout.vocabulary, 60, readout.auto_class, readout.head()).eval()


def examples(captions=CAPTIONS, seed: int | None = None) -> list[Example]:
    rng = np.random.default_rng(0)
    return [
        Example(rng.integers(5, 60, 4 + index), {"id": f"row {index}", "caption": each}, index, seed)
        for index, each in enumerate(captions)
    ]


def by_hand(products: np.ndarray, learned: list[list[str]], drawn: list[str], rows: list[int]) -> float:
    """The mean over rows of both ways' −log softmax, with what is right for others left out, one by one."""
    nats = []
    for row in rows:
        texts = [one for one in rows if one == row or drawn[one] not in learned[row]]
        images = [one for one in rows if one == row or drawn[row] not in learned[one]]
        nats.append(np.log(np.exp(products[row, texts]).sum()) - products[row, row])
        nats.append(np.log(np.exp(products[images, row]).sum()) - products[row, row])
    return float(np.mean(nats))


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_the_loss_is_info_nce_both_ways(seed, count):
    """… in which texts that are right for an image are none of the wrong ones; the rows of a step that stand in it a
    second time neither learn nor are told from."""
    readout = readout_of()
    rng = np.random.default_rng(seed)
    batch = readout.training_batch(examples(seed=int(rng.integers(2**31))))
    vectors = rng.normal(size=(10, 7)).astype(np.float32)
    learned = [[folded(text) for text in ([each] if isinstance(each, str) else each)] for each in CAPTIONS]
    drawn = [
        folded("".join(map(str, readout.task.answer(each.row, each.seed))))
        for each in examples(seed=int(np.random.default_rng(seed).integers(2**31)))
    ]
    batch = readout.first(batch, count)
    (term,) = readout.terms
    assert int(term.count(batch)) == count
    cost = term.cost(torch.from_numpy(vectors), batch["labels"], term.count(batch))
    expected = by_hand(vectors[:5].astype(np.float64) @ vectors[5:].T, learned, drawn, list(range(count)))
    assert float(cost) == pytest.approx(expected, rel=1e-5)
    nothing = readout.first(batch, 0)
    assert term.count(nothing) == 0 and term.cost(torch.from_numpy(vectors), nothing["labels"], torch.tensor(0)) == 0


@pytest.mark.parametrize("architecture", ["gpt2", "bert"])
@torch.no_grad()
def test_vectors_are_those_of_each_text_alone(architecture):
    """… of images and of words, whatever stands beside them in a batch; each text of a split goes through once."""
    readout = readout_of(dimension=6, temperature=0.1)
    model, rows = model_of(readout, architecture), examples()
    bound = readout.of_split([each.row for each in rows])
    outputs = bound.outputs(model, bound.batch(rows)).numpy()
    texts = ["a dog", "a cat", "a tree", "a bird", "two birds"]
    assert outputs.shape == (5, 2, 6) and bound.task.pool == tuple(texts)
    before, after = bound.layout.frame.before, bound.layout.frame.after

    def alone(ids) -> np.ndarray:
        return model(torch.tensor([[*before, *map(int, ids), *after]])).logits[0].numpy()

    for place, (example, text) in enumerate(zip(rows, texts, strict=True)):
        assert outputs[place, 0] == pytest.approx(alone(example.image), abs=1e-5)
        (words,) = readout.task.words(text)
        ids = [*readout.vocabulary.open_ids(str(words), True), readout.vocabulary.end]
        assert outputs[place, 1] == pytest.approx(alone(ids), abs=1e-5)
    assert np.linalg.norm(outputs, axis=2) ** 2 == pytest.approx(1 / 0.1, rel=1e-5)
    few = readout.of_split([each.row for each in rows[:1]])  # more texts than rows
    assert few.outputs(model, few.batch(rows[:1])).shape == (1, 3, 6)
    learning = readout.training_batch(rows)
    vectors = model(input_ids=learning["input_ids"], attention_mask=learning["attention_mask"]).logits
    assert vectors[:5].numpy() == pytest.approx(outputs[:, 0], abs=1e-5)
    assert vectors[7].numpy() == pytest.approx(outputs[2, 1], abs=1e-5)


def test_answers_do_not_depend_on_the_order_of_rows():
    readout, rows = readout_of(), [each.row for each in examples()]
    bound = readout.of_split(rows)
    outputs = np.random.default_rng(0).normal(size=(5, 2, 4)).astype(np.float32)
    found = bound.predictions(outputs, rows)
    assert bound.predictions(outputs[::-1], rows[::-1]) == found[::-1]
    assert bound.predictions(outputs[:0], []) == []


def test_the_temperature_is_learned_and_products_grow_no_further_than_clips():
    readout = readout_of(temperature=0.02)
    model, (term,) = model_of(readout).train(), readout.terms
    optimizer = torch.optim.SGD([model.temperature.log_scale], lr=10.0)
    batch = readout.training_batch(examples(["a dog", "a cat", "a tree", "a bird", "two birds"]))
    before = model.temperature.log_scale.item()
    for _ in range(2):
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        term.cost(logits, batch["labels"], term.count(batch)).backward()
        optimizer.step()
    assert model.temperature.log_scale.item() != before
    with torch.no_grad():
        model.temperature.log_scale.fill_(9.0)
        vectors = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert (vectors**2).sum(dim=1).numpy() == pytest.approx(100, rel=1e-4)


def share_of(rank: int, folder: str) -> None:
    """Of one of two processes, its cost of half the rows and the gradient that its vectors get."""
    processes = torch.distributed
    processes.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    vectors, keys = torch.load(f"{folder}/given.pt")
    mine = slice(4 * rank, 4 * rank + 4)
    own = torch.cat([vectors[:8][mine], vectors[8:][mine]]).requires_grad_()
    labels = keys[mine] if rank else keys[mine, :2]  # no more texts than these rows have
    cost = Contrast().cost(own, labels, torch.tensor(7))
    cost.backward()
    torch.save((cost.detach(), own.grad), f"{folder}/{rank}.pt")
    processes.destroy_process_group()


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path: Path):
    """Each row is told from those of both; the costs, and the gradients, add up to those of one process."""
    torch.manual_seed(0)
    vectors = torch.randn(16, 5).requires_grad_()
    keys = torch.tensor([[each, each % 3, -100] for each in (1, 2, 3, 4, 3, 5, 6, -100)])
    keys[:4, 2], keys[5, 2] = -100, 2
    torch.save((vectors.detach(), keys), tmp_path / "given.pt")
    torch.multiprocessing.spawn(share_of, (str(tmp_path),), nprocs=2)
    costs, gradients = zip(*(torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)), strict=True)
    cost = Contrast().cost(vectors, keys, torch.tensor(7))
    cost.backward()
    assert sum(costs) == pytest.approx(cost.item(), rel=1e-6) and costs[0] != costs[1]
    images, texts = (torch.cat([each.chunk(2)[part] for each in gradients]) for part in (0, 1))
    assert torch.allclose(torch.cat([images, texts]), vectors.grad, atol=1e-7)
