"""A small causal model with a prompt before it, and images of several lengths in tokens."""

import numpy as np
import pytest
import torch

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

NAMES = ["cat", "catfish", "dog"]
ROWS = [
    Example(np.array(ids, np.uint16), {"label": label}, label, np.uint64(label))
    for label, ids in enumerate([[7, 8, 9, 10, 11], [9, 9], [5, 20, 6, 12, 13, 14, 15]])
]


@pytest.fixture
def rows() -> list[Example]:
    return ROWS


@pytest.fixture(params=["gpt2", "llama"])
def architecture(request) -> str:
    return request.param


@pytest.fixture
def prompted(architecture):
    """(readout's name, its settings) → the readout and a random model for it."""

    def made(name: str, **settings):
        textifier = make("gray")
        task = TASKS["classify"].with_settings(DataInfo(tuple(NAMES)), prompts="see {image} is {answer}")
        shot = Shot(Sample(("see ", ImageSlot(0), " is "), task.candidates[2]), np.array([6, 7, 8]))
        script = script_of(task, make_vocabulary("own", textifier, None), [shot])
        vocabulary = script.vocabulary
        layout = Layout.of(vocabulary, 40, frame=Frame())
        readout = READOUTS[name](task, layout, script, settings=SETTINGS[name](**settings))
        torch.manual_seed(0)
        shape = ModelSettings(architecture, architecture=architecture, layers=2, width=32, heads=2)
        return readout, make_model(shape, vocabulary, 40, readout.auto_class, readout.head()).eval()

    return made
