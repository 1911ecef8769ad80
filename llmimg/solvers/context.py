"""How much room a model's sequences need: the texts of all images, those that training changes, and their ends."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from llmimg.configuration import Configuration
from llmimg.data import Data
from llmimg.data.rows import Rows
from llmimg.errors import UserError
from llmimg.readouts.prompted import choices_behind
from llmimg.tasks.base import Row, Task
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.image_answers import image_automaton
from llmimg.tokens.layout import IMAGE, Frame, Layout
from llmimg.tokens.sample import ImageSlot, RowText
from llmimg.tokens.script import Script
from llmimg.tokens.store import ImageIds
from llmimg.tokens.vocabulary import Vocabulary
from llmimg.training.examples import LiveExamples, StoredImages

_PROBED = 256  # training images that are augmented ahead, to see how long their texts become
_MARGIN = 1.25  # what a context made from scratch has room for beyond the longest of these


def text_lengths(settings: Configuration, data: Data, ids: Mapping[str, ImageIds], encoder: Encoder) -> np.ndarray:
    """Tokens of the texts of all images that are not broken, and of some training images as augmentation changes them:
    int64 `[N]`."""
    lengths = [each.lengths[each.whole] for each in ids.values()]
    if settings.augment.active and len(ids["train"].whole):
        rows = np.random.default_rng(settings.seed).permutation(ids["train"].whole)[:_PROBED]
        known = Rows(data.train, (), encoder.decoding)
        changed = LiveExamples(
            StoredImages(data.train, known),
            known,
            ids["train"].whole,
            settings=settings.augment,
            encoder=encoder,
            seed=settings.seed,
        )
        indices = np.searchsorted(ids["train"].whole, rows)
        lengths.append(np.array([len(example.image) for example in changed.__getitems__(indices)]))
    return np.concatenate(lengths)


def framed(vocabulary: Vocabulary, causal: bool, lengths: np.ndarray) -> Frame:
    """What stands around an image's text where no prompt does: the vocabulary's framing, and where the model is to
    foretell the text, all that its probability needs.

    Args:
        causal: whether it is. Then something stands in front of its first token, and an end behind its last where texts
            differ in length: where a text stops is part of what it says.
        lengths: of the texts, in tokens.

    Raises:
        UserError: where that takes a token that the tokenizer does not have.
    """
    frame = Frame.of(vocabulary)
    if not causal:
        return frame
    tokenizer = vocabulary.tokenizer
    ends = [each for each in (tokenizer.eos_token_id, tokenizer.sep_token_id) if each is not None]
    begins = [*ends, *(each for each in (tokenizer.bos_token_id, tokenizer.cls_token_id) if each is not None)]
    if not frame.before:
        if not begins:
            raise UserError(
                "The tokenizer has no token that may stand in front of a text (EOS or BOS), and nothing foretells a "
                "text's first token without one: take vocabulary=own, or a tokenizer that has one."
            )
        frame = replace(frame, before=(begins[0],))
    if not frame.after and lengths.size and lengths.min() < lengths.max():
        if not ends:
            raise UserError(
                f"The texts differ in length ({lengths.min():,} to {lengths.max():,} tokens), and the tokenizer has no "
                "token that ends one (EOS), which their probability needs: take vocabulary=own, or a tokenizer that "
                "has one."
            )
        frame = replace(frame, after=(ends[0],))
    return frame


def prompt_length(script: Script, task: Task, rows: Iterable[Row]) -> int:
    """How many tokens the words of the longest prompt have, in front of an answer.

    Args:
        rows: those that are asked, where they are asked in words of their own.
    """
    worded = task.in_every_wording()
    asked = rows if task.own_words else task.askings
    choices = [choices_behind(script, each) for each in worded]
    none = np.empty(0, np.int64)
    return max(
        (
            sum(len(span.ids) for span in script.prompt(each.prompt(variant, None), none, chosen))
            for row in asked
            for variant in (task.variants(row) if task.own_words else (row,))
            for each, chosen in zip(worded, choices, strict=True)
        ),
        default=0,
    )


def words_before(script: Script, task: Task) -> int | None:
    """How many tokens stand in front of the image that is asked about; None where that differs from sample to sample,
    or there is none."""
    found = set()
    for each, row in itertools.product(task.in_every_wording(), task.askings):
        parts = each.around_image(row)
        if ImageSlot() not in parts or any(isinstance(part, RowText) for part in parts[: parts.index(ImageSlot())]):
            return None
        spans = script.prompt(parts, np.empty(0, np.int64), choices_behind(script, each))
        slot = next(slot for slot, span in enumerate(spans) if span.role == IMAGE)
        found.add(sum(len(span.ids) for span in spans[:slot]))
    return found.pop() if len(found) == 1 else None


def answer_length(script: Script, task: Task, rows: Iterable[Row]) -> int:
    """How many tokens the longest answer has.

    Args:
        rows: those to learn from: answers in open text may be a margin longer than theirs.
    """
    if task.candidates is not None:
        chosen = (choices_behind(script, each) for each in task.in_every_wording())
        return max(len(answer) for choices in chosen if choices for answer in choices.answers)
    if task.open:
        return int(np.ceil(_MARGIN * longest_answer(script, task, rows)))
    if task.own_grammar is None:
        return longest_answer(script, task, [task.stand_in])
    return task.longest * script.vocabulary.answer_table.most_tokens + 1


def longest_answer(script: Script, task: Task, rows: Iterable[Row]) -> int:
    """How many tokens the longest of the answers to these rows has, and of their foils, its end among them, and an
    image's not."""
    worded = task.in_every_wording()
    answers = (
        answer
        for row in rows
        for answer in (
            *(each.answer(variant, None) for variant in task.variants(row) for each in worded),
            *task.foils(row),
        )
    )
    none = np.empty(0, np.int64)
    return max(sum(len(span.ids) for span in script.answer(answer, none)) for answer in answers)


def written_lengths(task: Task, vocabulary: Vocabulary) -> list[int]:
    """How many tokens the longest image's text has that the model may write; of a task that writes none, nothing."""
    if not task.writes_images:
        return []
    return [image_automaton(vocabulary, task.known_grammar, task.cells).longest(task.budget({}) or 0) - 1]


def make_layout(
    settings: Configuration,
    limit: int | None,
    encoder: Encoder,
    ids: Mapping[str, ImageIds],
    lengths: np.ndarray,
    frame: Frame,
    prompt: int = 0,
    answer: int = 0,
    learned: Callable[[], int] | None = None,
    asked: bool = False,
) -> Layout:
    """How sequences are laid out, in the context of a pretrained model (`limit`), or in as much as the data need.

    Augmented or fresh texts of varying length may become longer than any seen before: a context of our own choice has a
    margin for them, and what is longer still is truncated in training, and counted (`LiveExamples.room`).

    Args:
        lengths: `text_lengths(…)`.
        frame: what stands around each sequence.
        prompt: how many tokens stand in front of an answer besides.
        answer: how many an answer may have. In a context that is given it has what images leave, if that is less, but
            not less than answers to learn from have.
        learned: gives how many these have at most, as they are; None may have as many as any.
        asked: whether prompts have words of the rows' own, of which others may be longer.

    Raises:
        UserError: where the text of an image as it is and such an answer do not fit, and it was not to be truncated.
    """
    tokens = settings.tokens
    longest = int(lengths.max(initial=0))
    if settings.live and lengths.min(initial=longest) < longest:
        longest = int(np.ceil(_MARGIN * longest))
    limits = [each for each in (limit, tokens.max_length) if each is not None]
    layout = Layout.of(encoder.vocabulary, 0, tokens.overflow, frame, tokens.permute, prompt)
    left = min(limits) - layout.framing - longest if limits else answer
    if not limits and asked:
        prompt = int(np.ceil(_MARGIN * prompt))
    if left < answer and learned is not None:
        margin = _MARGIN if settings.live else 1
        answer = min(answer, max(left, int(np.ceil(margin * learned()))))
    layout = replace(layout, beside=prompt + answer, answer=answer)
    layout = replace(layout, context=min(limits, default=longest + layout.framing))
    for each in ids.values():
        layout.check(each.lengths)
    return layout
