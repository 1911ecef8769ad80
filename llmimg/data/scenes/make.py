"""Scenes by their numbers: each is a function of the settings, the split, the seed, the epoch and its number alone,
whatever others are made with it."""

from dataclasses import dataclass

import numpy as np

from llmimg.data.rng import example_seeds, integers
from llmimg.data.scenes import foils
from llmimg.data.scenes.layout import lay_out
from llmimg.data.scenes.picture import boxes, paint
from llmimg.data.scenes.questions import NUMBERS, ask
from llmimg.data.scenes.settings import QUESTIONS, SceneSettings
from llmimg.data.scenes.things import make_things
from llmimg.data.scenes.words import Thing, Words, caption

SPLITS = ("train", "validation", "test")
_WORDS_STREAM = 2**30
_FOILS_STREAM = 2**30 + 2**20


@dataclass(frozen=True)
class Scenes:
    """N scenes.

    Attributes:
        images: uint8 [N, H, W, C]; C = 1 for digits, 3 for shapes.
        masks: uint8 [N, H, W]: 0 where the ground is seen, else 1 + the class.
        things: of each scene, in reading order: by the upper edge of their boxes, then by the left one.
        captions: one each.
        questions: of each scene one of every type that is asked and that it admits: (type, question, answer).
        chosen: int64 [N], which of its `questions` the scene's own one is; −1 where it has none.
        foils: of each scene captions that are not its own, (kind, caption): none of training scenes.
    """

    images: np.ndarray
    masks: np.ndarray
    things: list[list[Thing]]
    captions: list[str]
    questions: list[list[tuple[str, str, str]]]
    chosen: np.ndarray
    foils: list[list[tuple[str, str]]]


def scene_words(settings: SceneSettings) -> Words:
    """What classes, colours and sizes of these scenes are called."""
    things = make_things(settings.things, settings.sides)
    return Words(things.names, things.colors, settings.size_words)


def make_scenes(settings: SceneSettings, split: str, seed: int, numbers: np.ndarray, epoch: int = 0) -> Scenes:
    """Make scenes of a split by their numbers (int64 [N], 0 or more).

    Args:
        split: "train", "validation" or "test"; none has a scene of another.
        epoch: 0 or more; others give other scenes to the same numbers.

    Raises:
        UserError: where so many things do not fit.
    """
    things = make_things(settings.things, settings.sides)
    own = int(example_seeds(seed, 0, [SPLITS.index(split)])[0])
    seeds = example_seeds(own, epoch, numbers)
    layout = lay_out(things, settings, split, seeds)
    found = boxes(layout.owner, settings.most)
    categories = things.categories[layout.patch // things.sizes]
    classes = np.concatenate([np.zeros((len(seeds), 1), np.int64), categories + 1], axis=1).astype(np.uint8)
    masks = classes[np.arange(len(seeds))[:, None, None], layout.owner]
    lists = _in_reading_order(categories, layout.color, layout.patch % things.sizes, found, layout.placed)
    words = Words(things.names, things.colors, settings.size_words)
    asked = _questions(lists, words, settings, seeds)
    counts = np.array([len(each) for each in asked], np.int64)
    chosen = np.where(counts > 0, integers(seeds, _WORDS_STREAM, np.maximum(counts, 1)), -1)
    captions = [caption(each, words) for each in lists]
    changed = [] if split == "train" else _foils(lists, words, seeds)
    return Scenes(paint(layout, things, settings, seeds), masks, lists, captions, asked, chosen, changed)


def _in_reading_order(categories, colors, sizes, found, placed) -> list[list[Thing]]:
    rank = np.where(placed, found[..., 1] * 2**20 + found[..., 0], 2**62)
    order = np.argsort(rank, axis=1, kind="stable")
    columns = [np.take_along_axis(each, order, axis=1).tolist() for each in (categories, colors, sizes)]
    lying = np.take_along_axis(found, order[..., None], axis=1).tolist()
    counts = placed.sum(axis=1).tolist()
    return [
        [Thing(category, color, size, tuple(box)) for category, color, size, box in zip(*row, strict=True)][:count]
        for *row, count in zip(*columns, lying, counts, strict=True)
    ]


def _foils(things: list[list[Thing]], words: Words, seeds: np.ndarray) -> list[list[tuple[str, str]]]:
    numbers = np.stack([integers(seeds, _FOILS_STREAM + each, 2**31) for each in range(foils.NUMBERS)], axis=1)
    return [foils.foils(row, words, each) for row, each in zip(things, numbers.tolist(), strict=True)]


def _questions(
    things: list[list[Thing]], words: Words, settings: SceneSettings, seeds: np.ndarray
) -> list[list[tuple[str, str, str]]]:
    # A type's numbers do not depend on which other types are asked.
    streams = {name: _WORDS_STREAM + 1 + NUMBERS * QUESTIONS.index(name) for name in settings.asked}
    numbers = {
        name: np.stack([integers(seeds, stream + each, 2**31) for each in range(NUMBERS)], axis=1).tolist()
        for name, stream in streams.items()
    }
    return [
        [(name, *asked) for name, each in numbers.items() if (asked := ask(name, row, words, each[index])) is not None]
        for index, row in enumerate(things)
    ]
