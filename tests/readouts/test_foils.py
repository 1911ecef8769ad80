"""Texts that one row alone is held against have the scores that they would have among those of all rows."""

import dataclasses

import numpy as np
import pytest
import torch

from llmimg.models.language import make_model
from llmimg.models.settings import ModelSettings
from llmimg.readouts.base import READOUTS
from llmimg.readouts.settings import SETTINGS
from llmimg.tasks.base import TASKS
from llmimg.textify import make
from llmimg.tokens.layout import Frame, Layout
from llmimg.tokens.sample import Example
from llmimg.tokens.vocabulary import make_vocabulary
from tests.scripting import script_of

FOILS = [["a dog", "two birds in a tree"], [], ["a bird"]]
CAPTIONS = ["a cat", "a tree", ["a dog", "a cat in a tree"]]


def examples(**columns) -> list[Example]:
    rng = np.random.default_rng(0)
    rows = [{name: each[row] for name, each in columns.items()} for row in range(3)]
    return [Example(rng.integers(5, 60, 9 - 2 * row), {"id": str(row), **each}) for row, each in enumerate(rows)]


@pytest.mark.parametrize("options", [{"normalise": "none"}, {"normalise": "length"}, {"normalise": "prior"}, None])
@torch.no_grad()
def test_foils_are_scored_as_texts_of_the_split_are(options):
    name = "score" if options else "contrastive"
    task = TASKS["retrieve"].with_settings(prompts=["look:{image}\ncaption:"])
    vocabulary = make_vocabulary("own", make("gray"), None).with_open(["a dog", "a cat and two birds in a tree"], 300)
    script = script_of(task, vocabulary)
    layout = dataclasses.replace(Layout.of(script.vocabulary, 90, frame=Frame()), beside=70, answer=60)
    readout = READOUTS[name](task, layout, script, None, SETTINGS[name](**(options or {})))
    torch.manual_seed(0)
    shape = ModelSettings(name="tiny", architecture="gpt2", layers=1, width=16, heads=2, initializer_range=0.3)
    model = make_model(shape, readout.vocabulary, 90, readout.auto_class, readout.head()).eval()
    rows = examples(caption=CAPTIONS, foils=FOILS)
    bound = readout.of_split([each.row for each in rows])
    found = bound.predictions(bound.outputs(model, bound.batch(rows)).numpy(), [each.row for each in rows])

    pool = ["a cat", "a tree", "a dog", "a cat in a tree", "two birds in a tree", "a bird"]
    among = readout.of_split([{"id": str(row), "caption": pool} for row in range(3)])
    outputs = among.outputs(model, among.batch(examples(caption=[pool] * 3))).numpy()
    if options is None:
        texts = outputs[:, 1:].reshape(6, -1)
        outputs = outputs[:, 0] @ texts.T / np.sum(texts**2, axis=1)
    for each, scores, captions, foils in zip(found, outputs, CAPTIONS, FOILS, strict=True):
        own = max(scores[pool.index(text)] for text in ([captions] if isinstance(captions, str) else captions))
        assert each.margins == pytest.approx([own - scores[pool.index(text)] for text in foils], abs=1e-4)
    plain = examples(caption=CAPTIONS)
    bare = readout.of_split([each.row for each in plain])
    without = bare.predictions(bare.outputs(model, bare.batch(plain)).numpy(), [each.row for each in plain])
    assert [each.to_text for each in without] == [each.to_text for each in found]
    assert all(each.margins == () for each in without)
