"""A language model under the Trainer: images → tokens → model → answers."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from transformers import PreTrainedModel, enable_full_determinism, set_seed

from llmimg.configuration import Configuration
from llmimg.data import SPLITS, Data
from llmimg.data.identity import DataIdentity
from llmimg.models.adaptation import adapted, merged
from llmimg.models.language import context_limit, make_model
from llmimg.models.loading import origin
from llmimg.models.quantised import parameter_counts
from llmimg.provenance import inside, save_trained_on
from llmimg.ranks import is_first_process
from llmimg.readouts.base import READOUTS
from llmimg.readouts.settings import KINDS
from llmimg.recogniser import Recogniser, together
from llmimg.reloaded import check_recogniser
from llmimg.run_folder import RunFolder
from llmimg.solvers.base import Outcome, Solver, of_each
from llmimg.solvers.costs import data_metrics, peak_memory_mb
from llmimg.solvers.fidelity import fidelity_metrics
from llmimg.solvers.imagined import imagined
from llmimg.solvers.mixture import (
    as_one,
    as_part,
    evaluated_apart,
    examples_of_all,
    learned_together,
    of_part,
)
from llmimg.solvers.parts import Answered, TaskPart, make_parts
from llmimg.solvers.preparation import make_encoder, make_looks, prepare_split
from llmimg.solvers.seen import shown_texts
from llmimg.solvers.text import TextPart
from llmimg.solvers.wordings import spread
from llmimg.tasks.base import Task
from llmimg.tasks.figures import Figure, Shown
from llmimg.tokens.learned import run_decoding
from llmimg.training.arguments import make_arguments
from llmimg.training.examples import Examples
from llmimg.training.fit import make_trainer, train
from llmimg.training.mixture import Mixture
from llmimg.training.resume import starting_point
from llmimg.training.weights import notes_of_weights

log = logging.getLogger("llmimg")


class LanguageSolver(Solver):
    """Every image is written as token ids once (later from the cache), and what stands around them is settled."""

    drawn: Sequence[Figure] = ()  # figures of images that the model wrote
    answered: Mapping[str, Answered]  # of the test split, by task

    def __init__(self, settings: Configuration, data: Data, task: Task, notes: list[str]):
        super().__init__(settings, data, task, notes)
        encoder = make_encoder(settings, data, task, notes)
        self.task = task = task.bind(task.info, encoder.textifier)  # which may have learned by now
        reading = {
            name: replace(encoder, decoding=run_decoding(settings.model.location[0], each.decoding, []))
            for name, each in data.every.items()
        }
        ids = {
            name: {
                split: prepare_split(settings.parts.get(name, settings), each, split, reading[name], notes)
                for split in SPLITS
            }
            for name, each in data.every.items()
        }
        self.hashes = {inside(name, split): each[split].pixels for name, each in ids.items() for split in SPLITS}
        self.text_scores: dict[str, dict[str, dict[str, float]]] = {}  # split → text → its metrics
        self.parts, self.encoder = make_parts(settings, data, task, reading, ids, notes)
        first = self._first
        self.context = first.layout.context
        self.texts = {
            name: TextPart(each, task.asked[name], self.encoder, first.layout, notes)
            for name, each in settings.parts.items()
            if not task.asked[name].of_images
        }
        written = [(part.task, part.script.vocabulary) for part in self.parts.values()]
        before = next((part.before for part in self.parts.values() if part.before is not None), None)
        self.looks = make_looks(settings, data, self.encoder, written, first.layout, first.lengths, before)

    @classmethod
    def check(cls, settings: Configuration) -> None:
        for each in settings.parts.values():
            names = [name for name in each.task_kind.readouts if "language" in KINDS[name]]
            others = [name for name in names if not READOUTS[name].causal]
            context_limit(settings.model, READOUTS[each.readout_name].causal, others)  # whether there is such a model

    def fit(self, folder: RunFolder, identity: DataIdentity) -> dict[str, float]:
        settings, self.identity = self.settings, identity
        # From here on devices and the process group are in use.
        self.arguments = make_arguments(settings.training_arguments, folder.path, settings.seed)
        self.learns = settings.learns
        self.began_from = origin(settings.model)
        start = starting_point(folder.checkpoints, self.arguments, self.learns, self.notes, *self._trained_from())
        (enable_full_determinism if self.arguments.full_determinism else set_seed)(settings.seed)
        self.model = self._model()
        first, examples = self._first, self._examples()
        self.trainer = make_trainer(
            self.model,
            self.arguments,
            first.of_split("validation"),
            examples,
            first.examples["validation"],
            together=learned_together(self.task, self._all),
            apart=evaluated_apart(self._all),
            headline=self.task.measures_for(self.task.settings)[0],
            layer_decay=settings.layer_decay,
            patience=settings.early_stopping.patience,
            profile=settings.profile,
        )
        trained = train(self.trainer, start, settings.ema) if self.learns else {}
        self.notes.extend(examples.notes)
        self.history = self.trainer.state.log_history
        return trained

    @property
    def _first(self) -> TaskPart:
        """Of the tasks that have no data of their own."""
        return next(part for part in self.parts.values() if part.data is self.data)

    @property
    def _all(self) -> dict[str, TaskPart | TextPart]:
        return {**self.parts, **self.texts}

    def _examples(self) -> Examples | Mixture:
        """What is learned from: the examples of one task, or of several."""
        if "" in self.parts:
            return self._first.examples["train"]
        return examples_of_all(self.task, self._all, self.settings.seed)

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
            self.context,
            self._first.readout.auto_class,
            self._first.readout.head(),
            learns=self.learns,
            notes=said,
            looks=self.looks,
        )
        if said:
            log.info("\n".join(said))
        self.notes.extend(said)
        return adapted(model, self.settings.adaptation, vocabulary.has_new_tokens)

    def predict(self, split: str) -> Outcome:
        found = {name: part.answered(self.trainer, split) for name, part in self.parts.items()}
        outcome = as_one(self.task, {name: each.outcome for name, each in found.items()})
        self.text_scores[split] = {name: text.scores(self.trainer, split) for name, text in self.texts.items()}
        if split == "validation":
            reached = self.text_scores[split] | of_each(self.task, outcome, intervals=False)
            self.notes.extend(notes_of_weights(self.trainer, self.task.combined(reached)))
        if split == "test":
            self.answered = found
        return outcome

    def metrics(self, outcomes: Mapping[str, Outcome], scores: Mapping[str, float]) -> dict[str, float]:
        first, seed = self._first, self.settings.data.split_seed
        bits = None if "test/bits_per_dim" in scores else scores.get("test/bits_per_image")
        sizes = zip(("model/parameters", "model/trainable_parameters"), parameter_counts(self.model), strict=True)
        fidelity = fidelity_metrics(self.encoder, self.data, first.examples, first.layout, seed, bits, self.notes)
        said = {name: self._said(name, scores) for name in self.parts}
        return {
            **data_metrics(first.ids, first.examples, first.layout),
            **fidelity,
            **self._of_texts(scores),
            **{as_part(key, name): value for name, found in said.items() for key, value in found.items()},
            **dict(sizes),
            "memory/peak_mb": peak_memory_mb(),
        }

    def _said(self, name: str, scores: Mapping[str, float]) -> dict[str, float]:
        """What else is to be said of one task, by the names that it has alone."""
        part, own = self.parts[name], of_part(scores, name)
        self.notes.extend(part.readout.notes)
        return {**self._spread_over_prompts(part, own), **self._imagined(name, own)}

    def _imagined(self, name: str, scores: Mapping[str, float]) -> dict[str, float]:
        """What is to be said of images that were drawn, where they were."""
        part, outcome = self.parts[name], self.answered[name].outcome
        seed = self.settings.data.split_seed
        answer = self.trainer.answer
        said = imagined(part.readout, answer, outcome, part.data, part.examples, part.encoder, scores, seed)
        self.drawn = [*self.drawn, *said.figures]
        self.notes.extend(said.notes)
        return said.metrics

    def figures(self, outcome: Outcome) -> list[Figure]:
        return [*super().figures(outcome), *self.drawn]

    def _of_texts(self, scores: Mapping[str, float]) -> dict[str, float]:
        """How well the model foretells the plain text that was held out; it is part of the loss."""
        found: dict[str, float] = {}
        for short, split in (("val", "validation"), ("test", "test")):
            for name, metrics in self.text_scores[split].items():
                found |= {f"{short}/{name}/{key}": value for key, value in metrics.items()}
                loss, share = found.get(f"{short}/loss", scores[f"{short}/loss"]), self.task.settings.share(name)
                found[f"{short}/loss"] = loss + share * metrics["loss"]
        return found

    def _spread_over_prompts(self, part: TaskPart, scores: Mapping[str, float]) -> dict[str, float]:
        if len(getattr(part.task.settings, "prompts", ())) < 2 or not part.readout.prompted:
            return {}
        rows = part.known["test"].scored(part.ids["test"].whole)
        return spread(self.trainer, part.of_split("test"), part.examples["test"], rows, scores, self.notes)

    def save(self, folder: RunFolder) -> None:
        if not is_first_process():
            return
        learned, data = merged(self.model, self.settings.adaptation), self.identity.as_json()
        each = {
            name: Recogniser(learned, part.encoder, part.readout, self.began_from, data)
            for name, part in self.parts.items()
        }
        together(each).save(folder.model)
        training = [pixels for name in self.data.every for pixels in self.hashes[inside(name, "train")]]
        save_trained_on(self.settings, training if self.learns else (), folder.model)
        for name, part in self.parts.items():
            compared = self.answered[name].compared
            self.notes.extend(check_recogniser(folder.model, part.examples["test"], compared, self.arguments, name))

    def show(self, outcome: Outcome, indices: Sequence[int]) -> list[Shown]:
        found = []
        for index in indices:
            part, number = self.parts[self.task.part_of(outcome.rows[index])], outcome.numbers[index : index + 1]
            found += shown_texts(part.data.test, number, part.shown["test"][number], part.encoder, part.layout)
        return found


SOLVER = LanguageSolver
