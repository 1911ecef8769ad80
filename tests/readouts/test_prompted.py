from dataclasses import replace

import numpy as np
import pytest
import torch

from llmimg.errors import UserError
from llmimg.readouts.base import READOUTS
from llmimg.readouts.settings import ScoreSettings
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.textify import make
from llmimg.tokens.layout import Frame, Layout
from llmimg.tokens.sample import Example
from llmimg.tokens.vocabulary import load_tokenizer, make_vocabulary
from tests.scripting import before_answer, script_of, with_choices


def naive(readout, model, ids) -> torch.Tensor:
    """log P(answer | prompt) of each answer, `[K]`: one pass each, nothing shared and nothing padded."""
    scores, before = [], before_answer(readout, ids)
    for answer in readout.choices.answers:
        with torch.no_grad():
            steps = model(torch.tensor([[*before, *answer]])).logits[0].log_softmax(dim=-1)
        scores.append(sum(steps[len(before) - 1 + index, token] for index, token in enumerate(answer)))
    return torch.stack(scores)


@torch.no_grad()
def outputs(readout, model, rows) -> torch.Tensor:
    batch = readout.batch(rows)
    return readout.outputs(model, batch)


def test_scores_are_those_of_one_pass_an_answer(prompted, rows):
    readout, model = prompted("score")
    assert len({len(answer) for answer in readout.choices.answers}) == 1
    for row, found in zip(rows, outputs(readout, model, rows), strict=True):
        assert found.numpy() == pytest.approx(naive(readout, model, row.image).log_softmax(0).numpy(), abs=1e-5)


def test_scores_of_answers_of_several_lengths(prompted, rows):
    readout, model = prompted("score", normalise="length")
    answers = ((9,), (8, 10, 3), (8, 9))
    with_choices(readout, readout.choices.shared, answers)
    lengths = torch.tensor([1, 3, 2])
    for row, found in zip(rows, outputs(readout, model, rows), strict=True):
        expected = (naive(readout, model, row.image) / lengths).log_softmax(0)
        assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_the_prior_is_the_answer_without_an_image(prompted, rows):
    readout, model = prompted("score", normalise="prior")
    prior = naive(readout, model, np.empty(0, np.int64))
    for row, found in zip(rows, outputs(readout, model, rows), strict=True):
        expected = (naive(readout, model, row.image) - prior).log_softmax(0)
        assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_an_example_does_not_depend_on_its_batch(prompted, rows):
    for name in ("score", "generate"):
        readout, model = prompted(name)
        together = outputs(readout, model, rows)
        for index, row in enumerate(rows):
            assert outputs(readout, model, [row])[0].numpy() == pytest.approx(together[index].numpy(), abs=1e-5)


def test_what_is_generated_has_the_probability_of_its_steps(prompted, rows):
    """Held to the answers, each step's probability is among the tokens that go on with one."""
    readout, model = prompted("generate")
    answers = ((9, 4), (8, 10, 3), (8, 9))
    with_choices(readout, readout.choices.shared, answers)
    for row, found in zip(rows, outputs(readout, model, rows), strict=True):
        before = before_answer(readout, row.image)
        with torch.no_grad():
            first = model(torch.tensor([before])).logits[0, -1, [9, 8]].log_softmax(0)
            second = model(torch.tensor([[*before, 8]])).logits[0, -1, [10, 9]].log_softmax(0)
        expected = [first[0], first[1] + second[0], first[1] + second[1]]
        assert found.numpy() == pytest.approx(np.array(expected), abs=1e-4)


def test_what_is_learned_is_the_answer_alone(prompted, rows):
    readout, _ = prompted("score")
    batch = readout.training_batch(rows)
    kept = batch.pop("logits_to_keep")
    assert (batch["labels"][:, : 1 - kept] == -100).all()  # logits are made from the token before the first on
    for ids, mask, labels, row in zip(*batch.values(), rows, strict=True):
        answer = readout.choices.answers[row.row["label"]]
        expected = [*before_answer(readout, row.image), *answer]
        assert ids[mask == 1].tolist() == expected
        assert labels[labels != -100].tolist() == list(answer)
        assert labels[len(expected) - len(answer) : len(expected)].tolist() == list(answer)


@pytest.mark.parametrize("name", ["score", "generate"])
def test_answers_that_are_truncated_are_counted(prompted, rows, name):
    """Those of images made anew may be longer than any that was stored."""
    readout, _ = prompted(name)
    lengths = readout.training_batch(rows)["attention_mask"].sum(dim=1)
    assert readout.notes == []
    readout.layout = replace(readout.layout, context=int(lengths.max()) - 1)
    longest = int((lengths == lengths.max()).sum())
    for times in (1, 2):
        assert readout.training_batch(rows)["input_ids"].shape[1] == readout.layout.context
        (note,) = readout.notes
        assert note.startswith(f"At least {times * longest} answers were longer than the context leaves room for")


def test_an_answer_with_nothing_in_front_is_refused(prompted, small_tokenizer):
    """… by a tokenizer that puts nothing in front of a text, where the prompt has nothing but the image."""
    _, model = prompted("score")
    task = TASKS["classify"].with_settings(DataInfo(("cat", "dog")), prompts="{image}{answer}")
    script = script_of(task, make_vocabulary("reuse", make("gray"), load_tokenizer(str(small_tokenizer))))
    layout = Layout.of(script.vocabulary, 40, frame=Frame())
    with pytest.raises(UserError, match="no token has a probability: put some words in front"):
        READOUTS["score"](task, layout, script, settings=ScoreSettings("prior"))
    readout = READOUTS["score"](task, layout, script)
    with pytest.raises(UserError, match="no token has a probability: put some words in front"):
        outputs(readout, model, [Example(np.array([9, 9]), {}), Example(np.empty(0, np.int64), {})])
