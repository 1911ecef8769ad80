"""A language model under the Trainer: images → tokens → model → answers."""

import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, enable_full_determinism, set_seed

from llmimg.configuration import Configuration
from llmimg.data import SPLITS, Data
from llmimg.data.identity import DataIdentity
from llmimg.data.rows import Rows
from llmimg.data.shown import images_shown
from llmimg.errors import UserError
from llmimg.models.adaptation import adapted, merged
from llmimg.models.language import context_limit, make_model
from llmimg.models.loading import origin
from llmimg.models.quantised import parameter_counts
from llmimg.provenance import save_trained_on
from llmimg.ranks import is_first_process
from llmimg.readouts.base import READOUTS, TextReadout
from llmimg.readouts.settings import KINDS
from llmimg.readouts.texts import check_length
from llmimg.recogniser import Recogniser
from llmimg.reloaded import check_recogniser
from llmimg.run_folder import RunFolder
from llmimg.solvers.base import Outcome, Solver
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
from llmimg.solvers.costs import data_metrics, peak_memory_mb
from llmimg.solvers.fidelity import fidelity_metrics
from llmimg.solvers.imagined import imagined
from llmimg.solvers.preparation import common_boxes, make_encoder, make_looks, prepare_split, prepare_text
from llmimg.solvers.scripts import make_script
from llmimg.solvers.seen import shown_texts
from llmimg.solvers.wordings import spread
from llmimg.tasks.base import Row, Task
from llmimg.tasks.figures import Figure, Shown
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import Frame, Layout
from llmimg.tokens.learned import run_decoding
from llmimg.tokens.script import Script
from llmimg.training.arguments import make_arguments
from llmimg.training.examples import Examples, FreshImages, LiveExamples, StoredImages
from llmimg.training.fit import make_trainer, train
from llmimg.training.mixture import mixed
from llmimg.training.resume import starting_point
from llmimg.training.weights import notes_of_weights

log = logging.getLogger("llmimg")


class LanguageSolver(Solver):
    """Every image is written as token ids once (later from the cache), and what stands around them is settled."""

    drawn: Sequence[Figure] = ()  # figures of images that the model wrote

    def __init__(self, settings: Configuration, data: Data, task: Task, notes: list[str]):
        super().__init__(settings, data, task, notes)
        kind = READOUTS[settings.readout_name]
        encoder = make_encoder(settings, data, task, notes)
        self.task = task = task.bind(task.info, encoder.textifier)  # which may have learned by now
        self.ids = {split: prepare_split(settings, data, split, encoder, notes) for split in SPLITS}
        self.hashes = {split: self.ids[split].pixels for split in SPLITS}
        self.known = {split: self._known(split) for split in SPLITS}
        if settings.learns:
            task.check(self.known["train"].all_seen(self.ids["train"].whole))
        how, seed = settings.data.images, settings.data.split_seed
        self.shown = {split: images_shown(how, each.whole, len(each), seed) for split, each in self.ids.items()}
        lengths = text_lengths(settings, data, self.ids, encoder)
        known, ids, shown = self.known["train"], self.ids["train"], self.shown["train"]
        script, self.encoder = make_script(settings, task, kind, encoder, data.train, known, ids, shown, notes)
        limit = context_limit(settings.model, kind.causal)
        frame = Frame() if kind.prompted else framed(encoder.vocabulary, kind.causal, lengths)
        self.layout = self._layout(script, frame, limit, lengths)
        self.context = self.layout.context
        self.plain_text = prepare_text(settings, task, self.encoder, self.layout, notes)
        boxes = common_boxes(settings, data, kind.needs_boxes(task), self.encoder, lengths)
        self.readout = kind(task, self.layout, script, boxes, settings.readout_settings)
        if how == "none" and not (self.layout.words or frame.before or frame.after or self.readout.blank):
            raise UserError(
                "data.images=none leaves nothing to read, as the tokenizer puts nothing around a text: take "
                "vocabulary=own, or readout=score."
            )
        before = words_before(script, task) if kind.prompted else len(frame.before)
        self.looks = make_looks(settings, data, task, self.encoder, self.layout, lengths, before)
        self.examples = {split: self._examples(split) for split in SPLITS}

    @classmethod
    def check(cls, settings: Configuration) -> None:
        names = [name for name in settings.task_kind.readouts if "language" in KINDS[name]]
        others = [name for name in names if not READOUTS[name].causal]
        context_limit(settings.model, READOUTS[settings.readout_name].causal, others)  # whether there is such a model

    def _layout(self, script: Script, frame: Frame, limit: int | None, lengths: np.ndarray) -> Layout:
        """How sequences are laid out, around the longest of all prompts and answers."""
        settings, task, kind = self.settings, self.task, READOUTS[self.settings.readout_name]
        if not kind.prompted:
            if not kind.reads_words:
                return make_layout(settings, limit, self.encoder, self.ids, lengths, frame)
            # Its words are texts of their own.
            longest = max(answer_length(script, task, self._rows_of(SPLITS)), lengths.max(initial=0))
            layout = make_layout(settings, limit, self.encoder, self.ids, np.append(lengths, longest), frame)
            check_length(longest_answer(script, task, self._rows_of(SPLITS)), layout.room)
            return layout
        asked = functools.partial(self._rows_of, SPLITS)
        # What rows are held against must fit, too.
        answered = functools.partial(self._rows_of, SPLITS if task.by_split else SPLITS[:1])
        if limit is None and settings.tokens.max_length is None:
            lengths = np.append(lengths, written_lengths(task, self.encoder.vocabulary))
        words, answer = prompt_length(script, task, asked()), answer_length(script, task, answered())
        longest = None if task.candidates is not None else lambda: longest_answer(script, task, answered())
        layout = make_layout(
            settings, limit, self.encoder, self.ids, lengths, frame, words, answer, longest, task.own_words
        )
        if layout.answer < answer:
            self.notes.append(
                f"The context leaves {layout.answer:,} of {answer:,} tokens to an answer: a longer one breaks off."
            )
        return layout

    def _rows_of(self, splits: Sequence[str]) -> Iterator[Row]:
        return (row for split in splits for row in self.known[split].all_seen(self.ids[split].whole))

    def _known(self, split: str) -> Rows:
        rows, path = getattr(self.data, split), self.settings.model.location[0]
        return Rows(rows, self.task.columns_of(rows.column_names), run_decoding(path, self.data.decoding, []))

    def _examples(self, split: str) -> Examples:
        """What the Trainer reads of a split: image ids, or images written afresh where they are augmented or made
        anew."""
        ids, known, settings = self.ids[split], self.known[split], self.settings
        given = {"shown": self.shown[split], "blank": self.readout.blank}
        if split != "train":  # what is hidden from it differs from seed to seed; what it is tested on does not
            return Examples(ids, known, ids.whole, **given)
        if settings.live:
            return self.live(self.encoder)
        return Examples(ids, known, ids.whole, seed=settings.seed, balance=settings.data.balance, **given)

    def live(self, encoder: Encoder | None) -> LiveExamples:
        """Training rows with their images as they are in each epoch, written by an encoder; without one, as pixels."""
        known, settings = self.known["train"], self.settings
        return LiveExamples(
            FreshImages(self.data.fresh, known) if self.data.fresh else StoredImages(self.data.train, known),
            known,
            self.ids["train"].whole,
            settings=settings.augment,
            encoder=encoder,
            seed=settings.seed,
            room=self.layout.room,
            shown=self.shown["train"],
            blank=self.readout.blank,
            balance=settings.data.balance,
        )

    def fit(self, folder: RunFolder, identity: DataIdentity) -> dict[str, float]:
        settings, self.identity = self.settings, identity
        # From here on devices and the process group are in use.
        self.arguments = make_arguments(settings.training_arguments, folder.path, settings.seed)
        self.learns = settings.learns
        self.began_from = origin(settings.model)
        start = starting_point(folder.checkpoints, self.arguments, self.learns, self.notes, *self._trained_from())
        (enable_full_determinism if self.arguments.full_determinism else set_seed)(settings.seed)
        self.model = self._model()
        self.trainer = make_trainer(
            self.model,
            self.arguments,
            self._readout_of("validation"),
            mixed(self.examples["train"], self.plain_text["train"], self.task, settings.seed),
            self.examples["validation"],
            layer_decay=settings.layer_decay,
            patience=settings.early_stopping.patience,
            profile=settings.profile,
        )
        trained = train(self.trainer, start, settings.ema) if self.learns else {}
        self.notes.extend(self.examples["train"].notes)
        self.history = self.trainer.state.log_history
        return trained

    def _trained_from(self) -> list[str]:
        """Fingerprints of what weights come from, which an interrupted run must find again: data, tokens, and the
        weights that it began from (those that do not learn are held against the checkpoint by themselves)."""
        base = self.began_from.get("base", {}).get("weights") if self.settings.adaptation.name == "full" else None
        return [self.identity.fingerprint, self.encoder.vocabulary.fingerprint, *([base] if base else [])]

    def _model(self) -> PreTrainedModel:
        """The model, of which only what learns takes gradients; what is said of it is logged, and noted."""
        said: list[str] = []
        vocabulary = self.encoder.vocabulary
        model = make_model(
            self.settings.model,
            vocabulary,
            self.layout.context,
            self.readout.auto_class,
            self.readout.head(),
            learns=self.learns,
            notes=said,
            looks=self.looks,
        )
        if said:
            log.info("\n".join(said))
        self.notes.extend(said)
        return adapted(model, self.settings.adaptation, vocabulary.has_new_tokens)

    def _readout_of(self, split: str) -> TextReadout:
        """The readout for a split, whose rows a task may hold against each other."""
        rows = self.known[split].scored(self.ids[split].whole) if self.task.by_split else ()
        return self.readout.of_split(rows)

    def predict(self, split: str) -> Outcome:
        readout = self._readout_of(split)
        outputs, numbers = self.trainer.answer(self.examples[split], readout)
        rows = self.known[split].scored(numbers)
        predictions = readout.predictions(outputs, rows)
        if split == "validation":
            self.notes.extend(notes_of_weights(self.trainer, readout.metrics(outputs, rows)))
        if split == "test":
            self.compared = self.readout.compared(outputs)
        shown = self.shown[split][numbers]
        tokens = {"tokens": np.where(shown < 0, len(self.readout.blank), self.ids[split].lengths[shown])}
        return Outcome(numbers, rows, predictions, tokens, self.readout.costs(outputs))

    def metrics(self, outcomes: Mapping[str, Outcome], scores: Mapping[str, float]) -> dict[str, float]:
        self.notes.extend(self.readout.notes)
        seed = self.settings.data.split_seed
        bits = None if "test/bits_per_dim" in scores else scores.get("test/bits_per_image")
        test, examples, answer = outcomes["test"], self.examples, self.trainer.answer
        said = imagined(self.readout, answer, test, self.data, examples, self.encoder, scores, seed)
        self.drawn = said.figures
        self.notes.extend(said.notes)
        sizes = zip(("model/parameters", "model/trainable_parameters"), parameter_counts(self.model), strict=True)
        return {
            **data_metrics(self.ids, self.examples, self.layout),
            **fidelity_metrics(self.encoder, self.data, self.examples, self.layout, seed, bits, self.notes),
            **self._text_scores(),
            **self._spread_over_prompts(scores),
            **said.metrics,
            **dict(sizes),
            "memory/peak_mb": peak_memory_mb(),
        }

    def figures(self, outcome: Outcome) -> list[Figure]:
        return [*super().figures(outcome), *self.drawn]

    def _text_scores(self) -> dict[str, float]:
        """How well the model foretells the plain text that was held out, where there is some."""
        metrics = {}
        for name, split in (("test", "test"), ("val", "validation")):
            if self.plain_text[split]:
                outputs, numbers = self.trainer.answer(torch.utils.data.ConcatDataset(self.plain_text[split]))
                rows: list[dict[str, Any]] = [{}] * len(numbers)
                found = self.task.metrics(self.readout.predictions(outputs, rows), rows)
                metrics |= {f"{name}/text_{key}": found[key] for key in ("loss", "perplexity")}
        return metrics

    def _spread_over_prompts(self, scores: Mapping[str, float]) -> dict[str, float]:
        if len(getattr(self.task.settings, "prompts", ())) < 2 or not self.readout.prompted:
            return {}
        rows = self.known["test"].scored(self.ids["test"].whole)
        return spread(self.trainer, self._readout_of("test"), self.examples["test"], rows, scores, self.notes)

    def save(self, folder: RunFolder) -> None:
        if not is_first_process():
            return
        learned = merged(self.model, self.settings.adaptation)
        Recogniser(learned, self.encoder, self.readout, self.began_from, self.identity.as_json()).save(folder.model)
        save_trained_on(self.settings, self.ids["train"].pixels if self.learns else (), folder.model)
        self.notes.extend(check_recogniser(folder.model, self.examples["test"], self.compared, self.arguments))

    def show(self, outcome: Outcome, indices: Sequence[int]) -> list[Shown]:
        numbers = outcome.numbers[np.asarray(indices, np.int64)]
        return shown_texts(self.data.test, numbers, self.shown["test"][numbers], self.encoder, self.layout)


SOLVER = LanguageSolver
