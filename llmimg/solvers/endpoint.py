"""A model that is asked over the network: images → text → requests → answers. Nothing is trained, and no weights are
here: the model is the one that somebody already runs."""

import logging
import time
from collections.abc import Mapping, Sequence

import datasets
import numpy as np

from llmimg.configuration import Configuration
from llmimg.data import Data
from llmimg.data.broken import broken_notes, refuse_broken
from llmimg.data.identity import DataIdentity
from llmimg.data.rng import sampled
from llmimg.data.rows import Rows
from llmimg.data.shown import images_shown
from llmimg.errors import UserError
from llmimg.models.endpoint import Endpoint
from llmimg.models.endpoint_classes import score_classes, write_classes
from llmimg.models.endpoint_pieces import write_pieces
from llmimg.models.endpoint_requests import RequestFormat
from llmimg.models.endpoint_words import write_words
from llmimg.models.settings import EndpointOptions
from llmimg.provenance import parts_of, read_hashes, shown_rows
from llmimg.ranks import world_size
from llmimg.run_folder import RunFolder
from llmimg.settings import build
from llmimg.solvers.base import Outcome, Solver
from llmimg.solvers.fidelity import SAMPLE, fidelity, notes_of_size
from llmimg.solvers.preparation import make_textifier
from llmimg.solvers.scripts import shot_sample
from llmimg.tasks.base import Task
from llmimg.tasks.figures import Shown
from llmimg.tokens.encoder import reconstructions, write_all
from llmimg.tokens.folders import cache_folder

log = logging.getLogger("llmimg")

_BATCH = 1000


class EndpointSolver(Solver):
    """Test images as text, and those of the training split that stand in front of each as examples."""

    splits = ("test",)

    def __init__(self, settings: Configuration, data: Data, task: Task, notes: list[str]):
        super().__init__(settings, data, task, notes)
        options = build(EndpointOptions, settings.model.options)
        cache = cache_folder(settings.tokens.cache_dir)
        self.endpoint = Endpoint(settings.model.url or "", settings.model.path or "", options, cache)
        self.hashes = read_hashes(settings, data, parts_of(settings, data))
        self.textifier = make_textifier(settings, data, data.decoding)
        self.request_format = self._request_format()
        images, problems = data.decoding(data.test["image"], data.test["id"])
        if settings.data.broken != "skip":
            refuse_broken(problems)
        notes.extend(broken_notes(problems, "test"))
        self.numbers = np.array([index for index, image in enumerate(images) if image is not None], np.int64)
        self.images = [images[index] for index in self.numbers]
        self.texts: list[str] = []
        for start in range(0, len(self.images), _BATCH):
            self.texts += self.textifier.texts(write_all(self.textifier, self.images[start : start + _BATCH]))
        shown = self._shown(self.numbers, len(data.test))[self.numbers]
        self.given = np.where(shown < 0, -1, np.searchsorted(self.numbers, shown))  # indices in `images`
        self.texts = [self.texts[index] if index >= 0 else "" for index in self.given]

    @classmethod
    def check(cls, settings: Configuration) -> None:
        if world_size() > 1:
            raise UserError(f"The model '{settings.model.name}' is asked by one process: start it with plain python.")

    def _known(self, split: datasets.Dataset) -> Rows:
        return Rows(split, self.task.columns_of(split.column_names), self.data.decoding)

    def _shown(self, whole: np.ndarray, count: int) -> np.ndarray:
        data = self.settings.data
        return images_shown(data.images, whole, count, data.split_seed)

    def _request_format(self) -> RequestFormat:
        """What stands in front of each image: training images that the prompt shows, with their answers."""
        chat, lexicon, train = self.task.settings.chat, self.task.lexicon, self.data.train
        end = "\n" if self.task.candidates is None else ""  # a class has what the template says
        numbers = shown_rows(self.settings, self.data)
        if not len(numbers):
            return RequestFormat(chat=chat, lexicon=lexicon, end=end)
        shown = self._shown(np.arange(len(train)), len(train))[numbers]
        texts = [""] * len(numbers)
        if (shown >= 0).all():
            images = self.data.decoding.whole(train[shown]["image"], train[shown]["id"])  # another row's may be broken
            texts = self.textifier.texts(write_all(self.textifier, images))
        rows = self._known(train).seen(numbers)
        samples = [shot_sample(self.task, row, index) for index, row in enumerate(rows)]
        return RequestFormat(tuple(zip(samples, texts, strict=True)), chat, lexicon, end)

    def fit(self, folder: RunFolder, identity: DataIdentity) -> dict[str, float]:
        return {}

    def predict(self, split: str) -> Outcome:
        """By the likelihoods of classes (readout=score) or in the model's own words (readout=generate)."""
        settings, started = self.settings, time.perf_counter()
        rows = self._known(self.data.test).scored(self.numbers)
        asked = self.endpoint, self.task, self.request_format, rows, self.texts
        if settings.readout_name == "score":
            found = score_classes(*asked, settings.readout_settings.normalise, settings.force)
        elif self.task.open:
            train = self.data.train
            known = [self.task.answer(row, None) for row in self._known(train).all_seen(np.arange(len(train)))]
            found = write_words(*asked, ["".join(map(str, parts)) for parts in known], settings.force)
        elif self.task.candidates is None:
            found = write_pieces(*asked, settings.force)
        else:
            found = write_classes(*asked, settings.force)
        self.seconds = time.perf_counter() - started
        self.notes.extend(found.notes)
        for note in found.notes:
            log.warning(note)
        predictions = [self.task.read(answer, row) for answer, row in zip(found.answers, rows, strict=True)]
        tokens = [answer.tokens for answer in found.answers]
        columns: dict[str, list] = {} if None in tokens else {"tokens": tokens}
        if settings.readout_name == "generate":
            columns["answer"] = [answer.text for answer in found.answers]
            columns["finish"] = [answer.finish for answer in found.answers]
        return Outcome(self.numbers, rows, predictions, columns)

    def metrics(self, outcomes: Mapping[str, Outcome], scores: Mapping[str, float]) -> dict[str, float]:
        return {
            **self._fidelity(),
            "data/test_images": len(self.images),
            "data/characters_per_image": float(np.mean([len(text) for text in self.texts])),
            **self.endpoint.metrics(),
            "time/ask_seconds": self.seconds,
        }

    def _fidelity(self) -> dict[str, float]:
        chosen = sampled(np.arange(len(self.images)), SAMPLE, self.settings.data.split_seed)
        images = [self.images[index] for index in chosen]
        given = reconstructions(self.textifier, images)
        if given is None:
            return {}
        self.notes.extend(notes_of_size(self.data.decoding))
        return fidelity(images, given)

    def show(self, outcome: Outcome, indices: Sequence[int]) -> list[Shown]:
        tokens, shown = outcome.columns.get("tokens"), []
        for index in indices:
            seen = [self.images[self.given[index]]] if self.given[index] >= 0 else []
            given = reconstructions(self.textifier, seen) if seen else None
            shown.append(
                Shown(
                    image=self.images[index],
                    text=self.texts[index],
                    tokens=0 if tokens is None else tokens[index],
                    reconstruction=None if given is None else given[0],
                )
            )
        return shown

    @property
    def title(self) -> str:
        return " · ".join((self.settings.data.name, self.settings.textify["name"], self.endpoint.model))


SOLVER = EndpointSolver
