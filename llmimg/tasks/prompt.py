"""The text around an image, in which a model reads it and answers: from the template to token ids."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmimg.errors import UserError
from llmimg.tasks.classify import ClassifySettings
from llmimg.tokens.layout import Prompt
from llmimg.tokens.vocabulary import Vocabulary

IMAGE = "\N{OBJECT REPLACEMENT CHARACTER}"  # stands for an image while a conversation is written


@dataclass(frozen=True)
class PromptText:
    """A prompt as text.

    Attributes:
        between: what stands in front of each shot's image, and in front of the image asked about; S + 1 strings.
        tails: what follows that image, once for each answer, the answer included.
        words: the same in parts that a vocabulary of pieces has one token for.
    """

    between: tuple[str, ...]
    tails: tuple[str, ...]
    words: tuple[str, ...]


def write_prompt(settings: ClassifySettings, names: Sequence[str], shots: Sequence[int]) -> PromptText:
    """The template with its shots, whose labels are given, for classes of these names."""
    head, middle, tail = template_parts(settings, names)
    tail = _closing(tail, names)
    tails = tuple(middle + name + tail for name in names)
    # A word of its own for all that follows an image: what an image ends with is never read together with a part of it.
    return PromptText((head, *(tails[label] + head for label in shots)), tails, (head, *tails))


def write_conversation(
    settings: ClassifySettings, names: Sequence[str], shots: Sequence[int], vocabulary: Vocabulary
) -> PromptText:
    """The same as a conversation, by the tokenizer's chat template.

    Raises:
        UserError: where it has none.
    """
    if not getattr(vocabulary.tokenizer, "chat_template", None):
        raise UserError("task.chat=true needs a tokenizer with a chat template, and this one has none: leave it out.")
    turns = conversation(settings, names, shots)
    written = vocabulary.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    *between, last = written.split(IMAGE)
    return PromptText(tuple(between), tuple(last + name for name in names), ())


def conversation(settings: ClassifySettings, names: Sequence[str], shots: Sequence[int]) -> list[dict[str, str]]:
    """The turns of a conversation in which the last one asks about an image; `IMAGE` stands for the text of each."""
    head, middle, _ = template_parts(settings, names)
    question = {"role": "user", "content": f"{head}{IMAGE}{middle}".strip()}
    turns = [turn for label in shots for turn in (question, {"role": "assistant", "content": names[label]})]
    return [*turns, question]


def make_prompt(
    settings: ClassifySettings,
    names: Sequence[str],
    vocabulary: Vocabulary,
    shots: Sequence[tuple[np.ndarray, int]],
    samples: Sequence[tuple[np.ndarray, str]],
) -> tuple[Prompt, Vocabulary, list[str]]:
    """Token ids of the prompt, the vocabulary with what words it needs, and what a reader must know of them.

    Args:
        names: the classes.
        shots: image ids and label of each.
        samples: some images' ids and texts.

    Raises:
        UserError: a template that the vocabulary cannot read, or two classes that it reads alike.
    """
    labels = [label for _, label in shots]
    if settings.chat:
        text = write_conversation(settings, names, labels, vocabulary)
        framing = Prompt((), ())  # a conversation's own marks are in its text
    else:
        text = write_prompt(settings, names, labels)
        framing = Prompt.framing(vocabulary)
        vocabulary = vocabulary.with_words(text.words)
    before = list(framing.before)
    inside = False  # whether anything of the text stands there already
    for each, (ids, _) in zip(text.between, [*shots, ((), 0)], strict=True):
        before += [*vocabulary.open_ids(each, inside), *map(int, ids)]
        inside |= bool(each) or len(ids) > 0
    blank = _blank(vocabulary, text.tails[0]) if not inside else ()
    tails = [vocabulary.open_ids(tail, inside=True) for tail in text.tails]
    alike = (len(set(ids)) == 1 for ids in zip(*tails, strict=False))
    shared = sum(1 for _ in itertools.takewhile(bool, alike))
    answers = _told_apart([tuple(tail[shared:]) for tail in tails], names, vocabulary)
    notes = []
    if (
        vocabulary.plain is None
        and not vocabulary.of_pieces
        and any(
            [*vocabulary.open_ids(text.between[-1], bool(shots)), *map(int, ids), *tails[0]]
            != vocabulary.open_ids(text.between[-1] + sample + text.tails[0], bool(shots))
            for ids, sample in samples
        )
    ):
        notes.append(
            "Tokens of the prompt: its parts are read apart, and where they meet the tokenizer would have read the "
            "whole otherwise. A line break on both sides of {image} in task.template usually mends it."
        )
    return Prompt(tuple(before), tuple(tails[0][:shared]), answers, blank), vocabulary, notes


def image_is_inside(settings: ClassifySettings) -> bool:
    """Whether anything of the prompt's text stands in front of the image that is asked about."""
    return settings.chat or settings.shots > 0 or not settings.template.startswith("{image}")


def _blank(vocabulary: Vocabulary, tail: str) -> tuple[int, ...]:
    """What the tokenizer puts in front of a text, where the text begins with what follows an image."""
    begun, inside = vocabulary.open_ids(tail), vocabulary.open_ids(tail, inside=True)
    place = len(begun) - len(inside)
    return tuple(begun[:place]) if place > 0 and begun[place:] == inside else ()


def draw_shots(labels: np.ndarray, rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` of some training rows, int64 `[count]`: as evenly of all classes as goes, in an order drawn by the seed.

    Args:
        labels: of all training rows, int `[N]`.
        rows: those to draw from, int64, ascending: what is broken is no example.

    Raises:
        UserError: more than there are.
    """
    labels = labels[rows]
    if count > len(labels):
        raise UserError(f"task.shots={count} asks for more examples than the {len(labels):,} training images.")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    # The how-manieth of its class each is: taking first ones first deals the classes out in turn.
    turn = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        places = np.flatnonzero(labels[order] == label)
        turn[places] = np.arange(len(places))
    chosen = order[np.lexsort((rng.permutation(len(labels)), turn))[:count]]
    return rows[rng.permutation(chosen)]


def template_parts(settings: ClassifySettings, names: Sequence[str]) -> tuple[str, str, str]:
    """What the template has before an image, between it and its answer, and behind the answer."""
    head, _, rest = settings.template.partition("{image}")
    middle, _, tail = rest.partition("{answer}")
    return head.replace("{classes}", ", ".join(names)), middle, tail


def _closing(tail: str, names: Sequence[str]) -> str:
    """What stands behind an answer: the template's tail, with a line break where one answer would begin another ("hot
    dog", "hot dog stand"). In words, as a server can be asked for no other end."""
    written = [name + tail for name in names]
    begins = any(one != other and other.startswith(one) for one in written for other in written)
    return f"{tail}\n" if begins else tail


def _told_apart(
    answers: Sequence[tuple[int, ...]], names: Sequence[str], vocabulary: Vocabulary
) -> tuple[tuple[int, ...], ...]:
    """Answers of which none begins another: with an end behind each, where one does (in a conversation)."""
    if len(set(answers)) < len(answers):
        alike = next(place for place, answer in enumerate(answers) if answer in answers[:place])
        raise UserError(
            f"The classes '{names[answers.index(answers[alike])]}' and '{names[alike]}' are the same to the tokenizer: "
            "rename one with data.label_names."
        )
    begins = any(one != other and other[: len(one)] == one for one in answers for other in answers)
    if not begins:
        return tuple(answers)
    return tuple((*answer, vocabulary.end) for answer in answers)
