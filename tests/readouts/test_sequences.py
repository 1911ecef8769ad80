"""What stands before a model has a role at every token, and labels are of these."""

import numpy as np
import pytest
import torch

from llmimg.readouts.base import READOUTS
from llmimg.readouts.loss import IGNORED, Term
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.textify import make
from llmimg.tokens.layout import ANSWER, IMAGE, PADDING, Frame, Layout
from llmimg.tokens.names import token_names
from llmimg.tokens.sample import Example
from llmimg.tokens.script import Script
from llmimg.tokens.vocabulary import make_vocabulary
from tests.readouts.test_packed_samples import INFO, readout_of, rows  # noqa: F401
from tests.scripting import script_of

NAMES = ("cat", "dog")


def answering(name: str, **settings):
    task = TASKS["classify"].with_settings(DataInfo(NAMES), prompts="see {image} is {answer}", **settings)
    script = script_of(task, make_vocabulary("own", make("gray"), None))
    return READOUTS[name](task, Layout.of(script.vocabulary, 40, frame=Frame()), script)


@pytest.mark.parametrize("samples", [1, 3])
def test_labels_are_the_tokens_that_have_the_role(rows, samples):  # noqa: F811
    readout = readout_of(samples=samples, image_loss=0.5)
    laid, batch = readout.training_sequences(rows), readout.training_batch(rows)
    assert np.array_equal(batch["input_ids"].numpy(), laid.ids)
    answers, images = (np.where(laid.roles == role, laid.ids, IGNORED) for role in (ANSWER, IMAGE))
    learned = batch["labels"].numpy()
    assert np.array_equal(learned, answers)
    image = batch["image_labels"].numpy()
    assert (images[image != IGNORED] == image[image != IGNORED]).all()
    foretold = (images != IGNORED).sum() - (image != IGNORED).sum()
    assert foretold == 0 if samples == 1 else foretold >= 0


@pytest.mark.parametrize("name", ["score", "generate"])
def test_what_is_asked_ends_in_front_of_the_answer(rows, name):  # noqa: F811
    readout = answering(name)
    laid, batch = readout.sequences(rows), readout.batch(rows)
    assert np.array_equal(batch["input_ids"].numpy(), laid.ids)
    assert np.array_equal(laid.mask == 0, laid.roles == PADDING) and not (laid.roles == ANSWER).any()
    for row, example in enumerate(rows):
        assert laid.ids[row][laid.roles[row] == IMAGE].tolist() == example.image.tolist()
    assert readout.continuations(rows[0].row) == ([" is cat", " is dog"], True)


def test_an_answer_may_begin_with_what_the_grammar_allows(rows):  # noqa: F811
    readout = readout_of()
    texts, whole = readout.continuations(rows[0].row)
    grammar = readout.task.known_grammar
    pieces = [grammar.lexicon.pieces[piece] for piece, _ in grammar.allowed("start")]
    assert not whole and texts == [*pieces, "<eos>"]


def test_an_image_stands_behind_each_class_where_these_are_compared():
    info, gray = DataInfo(NAMES, size=(1, 3)), make("gray")
    task = TASKS["imagine"].with_settings(info).bind(info, gray)
    words = [part for parts in task.candidate_prompts for part in parts]
    vocabulary = make_vocabulary("own", gray, None).with_words(words)
    readout = READOUTS["score"](task, Layout.of(vocabulary, 40, frame=Frame()), Script(vocabulary))
    example = Example(np.array([7, 8, 9]), {"label": 0, "id": "0"})
    laid = readout.sequences([example])
    assert np.array_equal(readout.batch([example])["known_ids"][0].numpy(), laid.ids)
    for ids, roles in zip(laid.ids, laid.roles, strict=True):
        assert ids[roles == ANSWER].tolist() == [7, 8, 9, vocabulary.end]
    assert readout.continuations(example.row) == ((), True)


def test_a_head_says_a_class(rows):  # noqa: F811
    assert answering("head").continuations(rows[0].row) == (NAMES, True)


def test_a_head_of_several_labels_learns_those_that_hold():
    task = TASKS["classify"].with_settings(DataInfo(classes={"labels": NAMES}), multiple=True)
    vocabulary = make_vocabulary("own", make("gray"), None)
    readout, image = READOUTS["head"](task, Layout.of(vocabulary, 40), Script(vocabulary)), np.array([7, 8])
    examples = [Example(image, {"labels": labels}) for labels in ([0, 1], [], [1])]
    assert readout.targets(examples) == ["cat, dog", "nothing", "dog"]
    examples.append(Example(image, {"labels": [1]}, blend=({"labels": [0, 1]}, 0.75)))
    assert readout.targets(examples)[2:] == ["dog", "0.25 × cat, dog"]
    (term,), batch = readout.terms, readout.training_batch(examples)
    assert term.learned(batch).tolist() == [True] * 4 and term.count(batch) == 8
    assert readout.continuations({}) == ((), True)


def test_the_first_label_of_a_causal_model_is_not_learned():
    batch = {"labels": torch.tensor([[3, 4, IGNORED], [IGNORED, 5, 6]])}
    assert Term(shifted=True).learned(batch).tolist() == [[False, True, False], [False, True, True]]
    assert Term().learned(batch).tolist() == [[True, True, False], [False, True, True]]
    assert (Term().count(batch), Term(shifted=True).count(batch)) == (4, 3)
    assert Term().learned({"labels": torch.tensor([[0.0, 0.0], [0.5, 0.5]])}).tolist() == [False, True]


def test_tokens_are_called_by_what_they_stand_for(gpt2):
    own = make_vocabulary("own", make("gray"), None, readout_of().task.grammar)
    ids = [*own.framing[0], *own.lookup(make("gray").write(np.zeros((1, 1, 2, 1), np.uint8))).values, own.end]
    assert token_names(own, ids) == ["<bos>", "0", " 0", "<eos>"]
    reuse = make_vocabulary("reuse", make("gray"), gpt2)
    assert token_names(reuse, reuse.read("a cat")) == ["a", "Ġcat"]
