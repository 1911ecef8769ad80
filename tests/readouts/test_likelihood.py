import numpy as np
import pytest
import torch

from llmimg.errors import UserError
from llmimg.models.language import make_model
from llmimg.models.settings import ModelSettings
from llmimg.readouts.base import READOUTS
from llmimg.tasks.base import TASKS
from llmimg.tasks.pretrain import Cost
from llmimg.textify import make
from llmimg.tokens.layout import Layout
from llmimg.tokens.sample import Example
from llmimg.tokens.script import Script
from llmimg.tokens.vocabulary import make_vocabulary


def made(task: str, architecture: str, **settings):
    textifier = make("gray")
    vocabulary = make_vocabulary("own", textifier, None)
    name = {"clm": "likelihood", "mlm": "masked"}[task]
    readout = READOUTS[name](TASKS[task].with_settings(**settings), Layout.of(vocabulary, 12), Script(vocabulary))
    torch.manual_seed(0)
    shape = ModelSettings(architecture, architecture=architecture, layers=2, width=32, heads=2)
    return readout, make_model(shape, vocabulary, 20, readout.auto_class, readout.head()).eval()


@torch.no_grad()
def test_likelihood_is_the_product_of_the_tokens(architecture, rows):
    readout, model = made("clm", architecture)
    found = readout.outputs(model, readout.batch(rows))
    for row, (nats, tokens) in zip(rows, found.tolist(), strict=True):
        frame = readout.layout.frame
        ids = [*frame.before, *row.image.tolist(), *frame.after]
        steps = model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
        assert nats == pytest.approx(
            -sum(steps[index, ids[index + 1]].item() for index in range(len(ids) - 1)), abs=1e-4
        )
        assert tokens == len(ids) - 1


@torch.no_grad()
@pytest.mark.parametrize("room", [12, 30])
def test_packed_sequences_cost_what_they_cost_alone(architecture, room, rows):
    readout, model = made("clm", architecture)
    packed, _ = made("clm", architecture, pack=room)
    batch = packed.training_batch(rows)
    assert batch["input_ids"].shape == (1 if room == 30 else 2, room)
    nats, tokens = readout.outputs(model, readout.batch(rows)).sum(dim=0)
    labels = batch.pop("labels")
    found = model(**packed.given(model, batch), labels=labels).loss
    assert found.item() == pytest.approx((nats / tokens).item(), abs=1e-5)
    assert (labels != -100).sum() == tokens


@torch.no_grad()
@pytest.mark.parametrize("mask", ["token", "span"])
def test_hidden_tokens_are_what_is_learned(mask, rows):
    readout, model = made("mlm", "bert", mask=mask, rate=0.5)
    batch = readout.batch(rows)
    learned = readout.training_batch(rows)
    assert torch.equal(learned["labels"], batch["hidden"]) and torch.equal(learned["input_ids"], batch["input_ids"])
    unmasked = torch.from_numpy(readout.layout.of_images([row.image for row in rows]).ids)
    hidden = batch["hidden"] != -100
    assert torch.equal(batch["hidden"][hidden], unmasked[hidden])
    assert torch.equal(batch["input_ids"][~hidden], unmasked[~hidden])
    assert hidden.sum(dim=1).tolist() == [2, 1, 4]
    assert not hidden[:, 0].any()
    nats, tokens = readout.outputs(model, batch).sum(dim=0)
    assert model(**learned).loss.item() == pytest.approx((nats / tokens).item(), abs=1e-5)


def test_a_tokenizer_without_a_mask_token_is_refused():
    readout, _ = made("mlm", "bert")
    readout.vocabulary.tokenizer.mask_token = None
    with pytest.raises(UserError, match=r"needs a tokenizer with a mask token"):
        READOUTS["masked"](readout.task, readout.layout, readout.script)


def test_metrics():
    clm, mlm = TASKS["clm"].with_settings(), TASKS["mlm"].with_settings()
    output = [Cost(2.0, 4.0), Cost(6.0, 4.0)]
    assert clm.metrics(output, [{}, {}]) == pytest.approx(
        {"loss": 1.0, "perplexity": np.e, "bits_per_image": 4 * np.log2(np.e)}
    )
    assert mlm.metrics(output, [{}, {}]) == pytest.approx({"loss": 1.0, "perplexity": np.e})
    with pytest.raises(UserError, match=r"no token to score"):
        clm.metrics([Cost(0.0, 0.0)], [{}])
    with pytest.raises(UserError, match=r"diverged"):
        clm.metrics([Cost(np.nan, 1.0)], [{}])


def test_what_a_recogniser_hides_follows_from_the_image_and_from_nothing_else():
    """Images of no split have no row: not the same positions in every one, and the same in one wherever it stands."""
    readout, _ = made("mlm", "bert", rate=0.5)
    rng = np.random.default_rng(0)
    images = [Example(rng.integers(5, 40, 10).astype(np.uint16), {}) for _ in range(8)]
    together = readout.batch(images)["hidden"]
    assert len({tuple((row != -100).tolist()) for row in together}) > 4
    for image, row in zip(images, together, strict=True):
        wider = Example(image.image.astype(np.uint32), {})
        assert torch.equal(readout.batch([wider])["hidden"][0], row)


@pytest.mark.parametrize("permute", ["fixed", "each"])
def test_rectangles_are_hidden_in_the_image_whatever_its_tokens_order(permute):
    vocabulary = make_vocabulary("own", make("gray"), None)
    boxes = np.array([[x, y, x + 1, y + 1] for y in range(8) for x in range(8)], np.int32)
    task = TASKS["mlm"].with_settings(mask="block", block=0.5)
    kind, layouts = READOUTS["masked"], [Layout.of(vocabulary, 70, permute=each) for each in ("none", permute)]
    row = Example(np.random.default_rng(0).integers(5, 20, 64).astype(np.uint16), {})
    as_it_is, moved = (
        kind(task, each, Script(vocabulary), boxes).batch([row])["hidden"][0, 1:65].numpy() for each in layouts
    )
    assert (as_it_is != -100).sum() == 10
    assert np.array_equal(moved, as_it_is[layouts[1].order(row.image)])
