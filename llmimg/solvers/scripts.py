"""The prompts of a run: their words, the samples that stand in front as examples, and how the tokenizer reads them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import datasets
import numpy as np

from llmimg.configuration import Configuration
from llmimg.data.rng import sampled
from llmimg.data.rows import Rows
from llmimg.data.shots import draw_shots
from llmimg.readouts.base import TextReadout
from llmimg.tasks.base import Row, Task
from llmimg.tokens.encoder import Encoder, write_all
from llmimg.tokens.sample import ImageSlot, Sample, is_fixed
from llmimg.tokens.script import Script, Shot, fixed_words
from llmimg.tokens.store import ImageIds
from llmimg.tokens.tokenizer import encoded
from llmimg.tokens.vocabulary import Vocabulary

_SAMPLE = 16  # training images on which it is tried how the tokenizer reads a prompt as a whole


def image_is_inside(task: Task) -> bool:
    """Whether anything of the prompt's text stands in front of the image that is asked about."""
    if task.settings.chat or task.settings.shots > 0:
        return True
    return any(each.prompt(task.stand_in, None)[0] != ImageSlot() for each in task.in_every_wording())


def make_script(
    settings: Configuration,
    task: Task,
    readout: type[TextReadout],
    encoder: Encoder,
    train: datasets.Dataset,
    known: Rows,
    ids: ImageIds,
    shown: np.ndarray,
    notes: list[str],
) -> tuple[Script, Encoder]:
    """What reads the samples of a run, and the encoder with what words that needs.

    Args:
        train: the training split, of which `known` are the rows, and `ids` the images' tokens.
        shown: the row whose image stands for that of each (`llmimg.data.shown`).
        notes: what a reader must know is added.
    """
    vocabulary = encoder.vocabulary
    if not readout.prompted:
        return Script(vocabulary), encoder
    shots = _shots(settings, task, encoder, train, known, ids, shown)
    script = Script(vocabulary, shots, task.settings.chat, task.candidates is not None)
    words = []
    for each in task.in_every_wording():
        for row in each.askings:
            words += fixed_words(script, each.prompt(row, None), each.candidates)
    script = replace(script, vocabulary=vocabulary.with_words(dict.fromkeys(words)))
    some = sampled(ids.whole, _SAMPLE, settings.data.split_seed)
    texts = encoder.textifier.texts(write_all(encoder.textifier, encoder.decoding.whole(train[some]["image"])))
    rows = known.seen(some)
    samples = [(ids[number], text, row) for number, text, row in zip(some, texts, rows, strict=True)]
    notes.extend(_seams(script, task, samples))
    return script, replace(encoder, vocabulary=script.vocabulary)


def shot_sample(task: Task, row: Row, number: int) -> Sample:
    """A training row as one of several that stand in front."""
    given = (task.prompt(row, None), task.answer(row, None))
    return Sample(*(tuple(ImageSlot(number) if part == ImageSlot() else part for part in parts) for parts in given))


def _shots(
    settings: Configuration,
    task: Task,
    encoder: Encoder,
    train: datasets.Dataset,
    known: Rows,
    ids: ImageIds,
    shown: np.ndarray,
) -> tuple[Shot, ...]:
    if not task.settings.shots:
        return ()
    labels = np.asarray(train["label"][:])
    drawn = draw_shots(labels, ids.whole, task.settings.shots, settings.seed)
    given = shown[drawn]
    images = [ids[row] if row >= 0 else np.empty(0, np.int64) for row in given]
    begins = task.prompt(task.stand_in, None)[0] == ImageSlot() and not task.settings.chat
    if encoder.vocabulary.inside and begins and given[0] >= 0:
        images[0] = _at_the_start(encoder, train[int(given[0])]["image"])
    samples = [shot_sample(task, row, number) for number, row in enumerate(known.seen(drawn))]
    return tuple(Shot(sample, np.asarray(image)) for sample, image in zip(samples, images, strict=True))


def _at_the_start(encoder: Encoder, image: Any) -> np.ndarray:
    """Token ids of an image whose text begins all text."""
    texts = encoder.textifier.texts(write_all(encoder.textifier, encoder.decoding.whole([image])))
    return np.array(encoded(encoder.vocabulary.tokenizer.backend_tokenizer, texts)[0].ids)


def _seams(script: Script, task: Task, samples: Sequence[tuple[np.ndarray, str, Row]]) -> list[str]:
    """A note where the tokenizer would read an image's text and what stands around it otherwise as a whole.

    Args:
        samples: some images' ids and texts, and the rows that they are of.
    """
    vocabulary = script.vocabulary
    if vocabulary.original_tokenizer is not None or vocabulary.of_pieces:
        return []
    inside = bool(script.shots)
    if all(_reads_alike(vocabulary, *_around(script, task, row), ids, text, inside) for ids, text, row in samples):
        return []
    return [
        "Tokens of the prompt: its parts are read apart, and where they meet the tokenizer would have read the whole "
        "otherwise. A line break on both sides of {image} in task.prompts usually mends it."
    ]


def _reads_alike(vocabulary: Vocabulary, before: str, after: str, ids: np.ndarray, text: str, inside: bool) -> bool:
    """Whether an image's text, of these token ids, and the words around it are read apart as they are together."""
    apart = [*_ids(vocabulary, before, inside), *map(int, ids), *_ids(vocabulary, after, True)]
    return apart == _ids(vocabulary, before + text + after, inside)


def _around(script: Script, task: Task, row: Row) -> tuple[str, str]:
    """The words in front of the image that is asked about, and those behind it, an answer among them."""
    parts = task.around_image({**task.stand_in, **row})
    slot = parts.index(ImageSlot())
    before = "".join(part for part in parts[:slot] if isinstance(part, str))
    after = "".join(part for part in parts[slot + 1 :] if isinstance(part, str))
    if task.candidates is None:
        return before, after
    front = after[: len(after) - len(parts[-1])] if is_fixed(parts[-1]) else after
    return before, front + script.tails(parts, task.candidates)[0]


def _ids(vocabulary: Vocabulary, text: str, inside: bool) -> list[int]:
    return vocabulary.open_ids(text, inside) if text else []
