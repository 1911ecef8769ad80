"""Scripts for tests."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from llmimg.tasks.base import Task
from llmimg.tokens.sample import Example
from llmimg.tokens.script import Choices, Script, Shot, fixed_words
from llmimg.tokens.trie import trie_of
from llmimg.tokens.vocabulary import Vocabulary


def script_of(task: Task, vocabulary: Vocabulary, shots: Sequence[Shot] = ()) -> Script:
    """What reads a task's samples, its fixed words among the vocabulary's."""
    script = Script(vocabulary, tuple(shots), task.settings.chat, task.candidates is not None)
    words = [word for row in task.askings for word in fixed_words(script, task.prompt(row, None), task.candidates)]
    return dataclasses.replace(script, vocabulary=vocabulary.with_words(words))


def before_answer(readout, image: Sequence[int]) -> list[int]:
    """The token ids in front of an answer about an image of these tokens."""
    spans = readout.prompt(Example(np.asarray(image, np.int64), {}), None)
    return [int(token) for span in spans for token in span.ids]


def with_choices(readout, shared: Sequence[int], answers: Sequence[tuple[int, ...]]) -> None:
    """Have the readout choose among other answers."""
    readout.choices = Choices(tuple(shared), tuple(answers))
    readout.answers_scored, readout.trie = tuple(answers), trie_of(answers)
