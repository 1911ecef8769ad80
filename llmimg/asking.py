"""The path of a run whose model is asked over the network: data → text → requests → answers → report.

Nothing is trained, and no weights are here: the model is the one that somebody already runs.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from llmimg.configuration import Configuration
from llmimg.data import Data, Decoding
from llmimg.data.broken import broken_notes, refuse_broken
from llmimg.data.rng import sampled
from llmimg.errors import UserError
from llmimg.fidelity import SAMPLE, fidelity, notes_of_size
from llmimg.metrics.classification import Classification
from llmimg.models.asked_classes import AskedClasses, score_classes, write_classes
from llmimg.models.endpoint import Endpoint
from llmimg.models.settings import EndpointOptions
from llmimg.preparation import make_textifier
from llmimg.provenance import identify, load_data, parts_of, read_hashes, shown_rows
from llmimg.ranks import world_size
from llmimg.readouts.settings import ScoreSettings
from llmimg.report.examples import evenly, surest_mistakes
from llmimg.report.record import Example
from llmimg.report.results import save_results
from llmimg.run_folder import RunFolder
from llmimg.settings import build
from llmimg.tasks.asked import Shots
from llmimg.tasks.base import TASKS
from llmimg.tasks.classify import Classify
from llmimg.textify import Textifier
from llmimg.tokens.encoder import reconstructions, write_all
from llmimg.tokens.folders import cache_folder

log = logging.getLogger("llmimg")

UNREAD = "(no class)"  # the prediction where an answer names none
_BATCH = 1000


@dataclass(frozen=True)
class Asked:
    """What is asked about each test image.

    Attributes:
        ids: of the images.
        images: uint8 `[H, W, C]` each.
        texts: what they are written as.
        labels: int64 `[N]`.
    """

    ids: list[str]
    images: list[np.ndarray]
    texts: list[str]
    labels: np.ndarray


def run_asking(
    settings: Configuration, plain: Mapping[str, Any], folder: RunFolder, notes: list[str]
) -> dict[str, float]:
    """Carry out a configuration whose model is asked over the network; arguments and result as of `run_experiment`.

    Raises:
        UserError: a user's mistake, wherever it shows.
    """
    if world_size() > 1:
        raise UserError(f"The model '{settings.model.name}' is asked by one process: start it with plain python.")
    options = build(EndpointOptions, settings.model.options, "model.options")
    endpoint = Endpoint(settings.model.url, settings.model.path, options, cache_folder(settings.tokens.cache_dir))

    # Data and text: test images, and those of the training split that stand in front of each as examples.
    started = time.perf_counter()
    data = load_data(settings, notes)
    hashes = read_hashes(settings, data, parts_of(settings, data))
    identity = identify(settings, data, hashes, folder, notes)
    task = TASKS[settings.task_name].of(data.label_names, **settings.task_settings)
    textifier = make_textifier(settings, data, data.decoding)
    shown = _shots(settings, data, textifier)
    asked = _asked(data, textifier, data.decoding, settings.data.broken == "skip", notes)
    prepare_seconds = time.perf_counter() - started
    folder.begin(plain, settings.force, identity.plain())
    log.info("\n".join(notes))

    # Ask.
    started = time.perf_counter()
    found = _ask(settings, task, endpoint, shown, asked.texts)
    ask_seconds = time.perf_counter() - started
    notes.extend(found.notes)
    for note in found.notes:
        log.warning(note)

    # Evaluate.
    metrics, table = _results(task, found, asked)
    table["pixels"] = [pixels for pixels in hashes["test"] if pixels is not None]
    metrics |= {
        **_fidelity(asked, textifier, data.decoding, settings.data.split_seed, notes),
        "data/test_images": len(asked.ids),
        "data/characters_per_image": float(np.mean([len(text) for text in asked.texts])),
        **endpoint.metrics(),
        "time/prepare_seconds": prepare_seconds,
        "time/ask_seconds": ask_seconds,
    }

    # Report: what others can see and compare.
    places = {"examples": evenly(len(asked.ids)), "mistakes": surest_mistakes(table)}
    save_results(
        folder,
        title=f"{settings.data.name} · {settings.textify['name']} · {settings.model.path}",
        label_names=data.label_names,
        metrics=metrics,
        table=table,
        notes=notes,
        **{name: [_example(int(place), asked, table, textifier) for place in each] for name, each in places.items()},
    )
    return metrics


def _ask(
    settings: Configuration, task: Classify, endpoint: Endpoint, shots: Shots, texts: Sequence[str]
) -> AskedClasses:
    """The classes of the images with these texts, by their likelihoods (readout=score) or in the model's own words
    (readout=generate)."""
    if settings.readout_name == "score":
        normalise = build(ScoreSettings, settings.readout_settings, "readout").normalise
        return score_classes(endpoint, task, shots, texts, normalise, settings.force)
    return write_classes(endpoint, task, shots, texts, settings.force)


def _shots(settings: Configuration, data: Data, textifier: Textifier) -> Shots:
    """Text and label of the training images that the prompt shows."""
    rows = shown_rows(settings, data)
    if not len(rows):
        return []
    images, _ = data.decoding(data.train[rows]["image"])
    labels = np.asarray(data.train[rows]["label"])
    return list(zip(textifier.texts(write_all(textifier, images)), labels.tolist(), strict=True))


def _asked(data: Data, textifier: Textifier, decoding: Decoding, skip_broken: bool, notes: list[str]) -> Asked:
    images, problems = decoding(data.test["image"], data.test["id"])
    if not skip_broken:
        refuse_broken(problems)
    notes.extend(broken_notes(problems, "test"))
    whole = [place for place, image in enumerate(images) if image is not None]
    images = [images[place] for place in whole]
    texts: list[str] = []
    for start in range(0, len(images), _BATCH):
        texts += textifier.texts(write_all(textifier, images[start : start + _BATCH]))
    return Asked([data.test["id"][place] for place in whole], images, texts, np.asarray(data.test["label"])[whole])


def _results(task: Classify, found: AskedClasses, asked: Asked) -> tuple[dict[str, float], dict[str, Any]]:
    """Metrics, and the columns of predictions.parquet."""
    unread = bool(found.readings)
    if unread:
        task = replace(task, label_names=(*task.label_names, UNREAD))
    scores = Classification(unread=unread).compute(predictions=found.outputs, references=asked.labels)
    table = {
        "id": asked.ids,
        **task.table(found.outputs, asked.labels),
    }
    if all(answer.read is not None for answer in found.answers):
        table["tokens"] = [answer.read for answer in found.answers]
    if unread:  # an answer in words says nothing of how sure it is
        scores = {key: value for key, value in scores.items() if not key.startswith(("loss", "ece"))}
        scores["unread_answers"] = float(np.mean([reading.label is None for reading in found.readings]))
        del table["probabilities"], table["log_likelihood"]
        table |= {
            "answer": [answer.text for answer in found.answers],
            "finish": [answer.finish for answer in found.answers],
            "problem": [", ".join(reading.problems) for reading in found.readings],
        }
    return {f"test/{key}": value for key, value in scores.items()}, table


def _fidelity(asked: Asked, textifier: Textifier, decoding: Decoding, seed: int, notes: list[str]) -> dict[str, float]:
    images = [asked.images[place] for place in sampled(np.arange(len(asked.images)), SAMPLE, seed)]
    given = reconstructions(textifier, images)
    if given is None:
        return {}
    notes.extend(notes_of_size(decoding))
    return fidelity(images, given)


def _example(place: int, asked: Asked, table: Mapping[str, Sequence[Any]], textifier: Textifier) -> Example:
    image = asked.images[place]
    given = reconstructions(textifier, [image])
    probabilities = table.get("probabilities")
    return Example(
        id=asked.ids[place],
        image=image,
        text=asked.texts[place],
        unread="",
        tokens=table["tokens"][place] if "tokens" in table else 0,
        cut=0,
        reconstruction=None if given is None else given[0],
        label=table["label"][place],
        prediction=table["prediction"][place],
        probability=float("nan") if probabilities is None else float(max(probabilities[place])),
    )
