"""Each task that a language model is asked: its rows, what stands around them, and what takes its answers."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from llmimg.configuration import Configuration
from llmimg.data import SPLITS, Data
from llmimg.data.rows import Rows
from llmimg.data.shown import images_shown
from llmimg.errors import UserError
from llmimg.models.language import context_limit
from llmimg.readouts.base import READOUTS, TextReadout
from llmimg.readouts.texts import check_length
from llmimg.solvers.base import Outcome
from llmimg.solvers.context import (
    answer_length,
    framed,
    longest_answer,
    make_layout,
    prompt_length,
    text_lengths,
    words_before,
    written_lengths,
)
from llmimg.solvers.preparation import common_boxes, written_pieces
from llmimg.solvers.scripts import make_script
from llmimg.tasks.base import Row, Task
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import Frame, Layout
from llmimg.tokens.script import Script
from llmimg.tokens.store import ImageIds
from llmimg.tokens.vocabulary import with_answers
from llmimg.training.examples import Examples, FreshImages, LiveExamples, StoredImages
from llmimg.training.fit import ReadoutTrainer

Ids = Mapping[str, ImageIds]  # of each split


class TaskPart:
    """One task, prepared for a language model.

    Args:
        settings: of this task alone.
        encoder: writes the images of its data.
        ids: of their texts.

    Attributes:
        known: split → its rows.
        shown: split → the row whose image stands for that of each (`llmimg.data.shown`).
        lengths: of texts, in tokens (`text_lengths`).
        script, layout, readout: set by `make_parts`.
    """

    script: Script
    layout: Layout
    readout: TextReadout

    def __init__(self, settings: Configuration, data: Data, task: Task, encoder: Encoder, ids: Ids):
        self.settings, self.data, self.task, self.encoder, self.ids = settings, data, task, encoder, ids
        self.kind: type[TextReadout] = READOUTS[settings.readout_name]
        self.known = {split: self.rows(split, task.columns_of(getattr(data, split).column_names)) for split in SPLITS}
        if settings.learns:
            task.check(self.known["train"].all_seen(ids["train"].whole))
        how, seed = settings.data.images, settings.data.split_seed
        self.shown = {split: images_shown(how, each.whole, len(each), seed) for split, each in ids.items()}
        self.lengths = text_lengths(settings, data, ids, encoder)

    def rows(self, split: str, columns: Sequence[str]) -> Rows:
        """The rows of a split, with these columns."""
        return Rows(getattr(self.data, split), columns, self.encoder.decoding)

    def rows_of(self, splits: Sequence[str]) -> Iterator[Row]:
        """All rows of some splits, as the model sees them."""
        return (row for split in splits for row in self.known[split].all_seen(self.ids[split].whole))

    def laid_out(self, limit: int | None, notes: list[str]) -> Layout:
        """How its sequences are laid out, around the longest of all prompts and answers.

        Args:
            limit: the longest sequence that the model reads; None has no limit.
            notes: what a reader must know is added.
        """
        task, kind, encoder = self.task, self.kind, replace(self.encoder, vocabulary=self.script.vocabulary)
        make = functools.partial(make_layout, self.settings, limit, encoder, self.ids)
        if not kind.prompted:
            return self._unprompted(make, framed(encoder.vocabulary, kind.causal, self.lengths))
        asked = functools.partial(self.rows_of, SPLITS)
        # What rows are held against must fit, too.
        answered = functools.partial(self.rows_of, SPLITS if task.by_split else SPLITS[:1])
        lengths = self.lengths
        if limit is None and self.settings.tokens.max_length is None:
            lengths = np.append(lengths, written_lengths(task, encoder.vocabulary))
        words = prompt_length(self.script, task, asked())
        answer = answer_length(self.script, task, answered())
        longest = None if task.candidates is not None else lambda: longest_answer(self.script, task, answered())
        layout = make(lengths, Frame(), words, answer, longest, task.own_words)
        if layout.answer < answer:
            notes.append(
                f"The context leaves {layout.answer:,} of {answer:,} tokens to an answer: a longer one breaks off."
            )
        return layout

    def _unprompted(self, make: Callable[..., Layout], frame: Frame) -> Layout:
        """How an image's text is laid out by itself, and a task's words by themselves."""
        if not self.kind.reads_words:
            return make(self.lengths, frame)
        longest = max(answer_length(self.script, self.task, self.rows_of(SPLITS)), self.lengths.max(initial=0))
        layout = make(np.append(self.lengths, longest), frame)
        check_length(longest_answer(self.script, self.task, self.rows_of(SPLITS)), layout.room)
        return layout

    def read_out(self) -> TextReadout:
        """What takes its answers from the model."""
        boxes = common_boxes(self.settings, self.data, self.kind.needs_boxes(self.task), self.encoder, self.lengths)
        readout = self.kind(self.task, self.layout, self.script, boxes, self.settings.readout_settings)
        around = self.layout.words or self.layout.frame.before or self.layout.frame.after or readout.blank
        if self.settings.data.images == "none" and not around:
            raise UserError(
                "data.images=none leaves nothing to read, as the tokenizer puts nothing around a text: take "
                "vocabulary=own, or readout=score."
            )
        return readout

    @property
    def before(self) -> int | None:
        """How many tokens stand in front of an image; None where that differs."""
        return words_before(self.script, self.task) if self.kind.prompted else len(self.layout.frame.before)

    def of_split(self, split: str) -> TextReadout:
        """The readout for a split, whose rows a task may hold against each other."""
        rows = self.known[split].scored(self.ids[split].whole) if self.task.by_split else ()
        return self.readout.of_split(rows)

    @functools.cached_property
    def examples(self) -> Mapping[str, Examples]:
        """What the Trainer reads of each split, to learn from this task alone or to answer it."""
        # What is hidden from it to learn differs from seed to seed; what it is tested on does not.
        held = {split: self._stored(split, self.known[split]) for split in SPLITS[1:]}
        return {"train": self.to_learn(self.known["train"]), **held}

    def _stored(self, split: str, known: Rows, **settings: Any) -> Examples:
        ids = self.ids[split]
        return Examples(ids, known, ids.whole, shown=self.shown[split], blank=self.readout.blank, **settings)

    def to_learn(self, known: Rows) -> Examples:
        """Training rows: image ids, or images written afresh where they are augmented or made anew.

        Args:
            known: the rows, with what is needed of them.
        """
        settings = self.settings
        if not settings.live:
            return self._stored("train", known, seed=settings.seed, balance=settings.data.balance)
        return self.live(known, self.encoder)

    def live(self, known: Rows, encoder: Encoder | None) -> LiveExamples:
        """Training rows with their images as they are in each epoch, written by an encoder; without one, as pixels."""
        settings = self.settings
        return LiveExamples(
            FreshImages(self.data.fresh, known) if self.data.fresh else StoredImages(self.data.train, known),
            known,
            self.ids["train"].whole,
            settings=settings.augment,
            encoder=encoder,
            seed=settings.seed,
            room=self.layout.room,
            balance=settings.data.balance,
            shown=self.shown["train"],
            blank=self.readout.blank,
        )

    def answered(self, trainer: ReadoutTrainer, split: str) -> "Answered":
        """What the model answers to a split."""
        readout = self.of_split(split)
        outputs, numbers = trainer.answer(self.examples[split], readout)
        rows, shown = self.known[split].scored(numbers), self.shown[split][numbers]
        tokens = {"tokens": np.where(shown < 0, len(self.readout.blank), self.ids[split].lengths[shown])}
        predictions = readout.predictions(outputs, rows)
        outcome = Outcome(numbers, rows, predictions, tokens, self.readout.costs(outputs))
        return Answered(outcome, self.readout.compared(outputs))


class Answered(NamedTuple):
    """The outcome of one task, and what of it is the same wherever the model is loaded (`Readout.compared`)."""

    outcome: Outcome
    compared: np.ndarray


def make_parts(
    settings: Configuration,
    data: Data,
    task: Task,
    encoders: Mapping[str, Encoder],
    ids: Mapping[str, Ids],
    notes: list[str],
) -> tuple[dict[str, TaskPart], Encoder]:
    """The tasks of a run, by name, and the encoder of the data that they share with all words in its vocabulary.

    Args:
        encoders, ids: of each set of data (`Data.every`).
        notes: what a reader must know is added.
    """
    parts, vocabulary = {}, encoders[""].vocabulary
    for name, each in settings.parts.items():
        if not task.asked[name].of_images:
            continue
        own = name if name in ids else ""
        pieces = written_pieces(each, task.asked[name])
        encoder = replace(encoders[own], vocabulary=with_answers(vocabulary, encoders[own].textifier, pieces))
        part = parts[name] = TaskPart(each, data.of(name), task.asked[name], encoder, ids[own])
        train = part.data.train, part.known["train"], part.ids["train"], part.shown["train"]
        part.script, encoder = make_script(each, part.task, part.kind, encoder, *train, notes)
        vocabulary = encoder.vocabulary
    for part in parts.values():
        pieces = written_pieces(part.settings, part.task)
        whole = with_answers(vocabulary, part.encoder.textifier, pieces)
        part.script, part.encoder = replace(part.script, vocabulary=whole), replace(part.encoder, vocabulary=whole)
        part.layout = part.laid_out(context_limit(settings.model, part.kind.causal), notes)
    context = max(part.layout.context for part in parts.values())
    for part in parts.values():
        part.layout = replace(part.layout, context=context)
        part.readout = part.read_out()
    return parts, replace(encoders[""], vocabulary=next(iter(parts.values())).script.vocabulary)
