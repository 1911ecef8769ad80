"""The path of a run whose model is asked over the network: data → text → requests → answers → report.

Nothing is trained, and no weights are here: the model is the one that somebody already runs.
"""

import itertools
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from llmimg.configuration import Configuration
from llmimg.data import Data, Decoding, load
from llmimg.data.draws import sampled
from llmimg.errors import UserError
from llmimg.fidelity import SAMPLE, fidelity
from llmimg.metrics.classification import Classification
from llmimg.models.answers import Answer
from llmimg.models.endpoint import Endpoint
from llmimg.models.settings import EndpointOptions
from llmimg.preparation import make_textifier
from llmimg.ranks import world_size
from llmimg.readouts.settings import ScoreSettings
from llmimg.report.archive import save_record
from llmimg.report.examples import evenly, surest_mistakes
from llmimg.report.page import render
from llmimg.report.record import Example, RunRecord
from llmimg.run_folder import RunFolder, write_text
from llmimg.settings import build
from llmimg.tasks.asked import prompt_text, read_answer, scored, written
from llmimg.tasks.base import TASKS
from llmimg.tasks.classify import Classify
from llmimg.tasks.prompt import draw_shots
from llmimg.textify import Textifier
from llmimg.tokens.cache import BROKEN_REMEDY, cache_folder
from llmimg.tokens.encoder import write_all

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
    data = load(settings.data, cache=cache_folder(settings.tokens.cache_dir))
    notes.extend(data.notes)
    task = TASKS[settings.task_name].of(data.label_names, **settings.task_settings)
    textifier = make_textifier(settings, data, data.decoding)
    shown = _shots(data, task, textifier, data.decoding, settings.seed)
    asked = _asked(data, textifier, data.decoding, settings.data.broken == "skip", notes)
    prepare_seconds = time.perf_counter() - started
    folder.begin(plain, settings.force)
    log.info("\n".join(notes))

    # Ask.
    started = time.perf_counter()
    if settings.readout_name == "score":
        normalise = build(ScoreSettings, settings.readout_settings, "readout").normalise
        outputs, answers, each = _scored(endpoint, task, shown, asked, normalise, settings.force)
    else:
        outputs, answers = _written(endpoint, task, shown, asked, settings.force)
        each = answers
        task = replace(task, label_names=(*task.label_names, UNREAD))
    ask_seconds = time.perf_counter() - started

    # Evaluate: an answer in words says nothing of how sure it is.
    unread = settings.readout_name == "generate"
    found = Classification(unread=unread).compute(predictions=outputs, references=asked.labels)
    metrics = {f"test/{key}": value for key, value in found.items()}
    table = {"id": asked.ids, **task.table(outputs, asked.labels), "tokens": [answer.read for answer in each]}
    if unread:
        metrics = {key: value for key, value in metrics.items() if not key.startswith(("test/loss", "test/ece"))}
        metrics["test/unread_answers"] = float((outputs.argmax(axis=1) == len(data.label_names)).mean())
        del table["probabilities"], table["log_likelihood"]
        table["answer"] = [answer.text for answer in answers]
    cost = endpoint.cost(answers)
    metrics |= {
        **_fidelity(asked, textifier, settings.data.split_seed),
        "data/test_images": len(asked.ids),
        "data/characters_per_image": float(np.mean([len(text) for text in asked.texts])),
        "endpoint/requests": len(answers),
        "endpoint/tokens_read": sum(answer.read for answer in answers),
        "endpoint/tokens_written": sum(answer.written for answer in answers),
        **({} if cost is None else {"endpoint/cost": cost}),
        "time/prepare_seconds": prepare_seconds,
        "time/ask_seconds": ask_seconds,
    }

    # Report: what others can see and compare.
    pyarrow.parquet.write_table(pa.table(table), folder.path / "predictions.parquet")
    places = evenly(len(asked.ids))
    mistakes = surest_mistakes(table)
    record = RunRecord(
        title=f"{settings.data.name} · {settings.textify['name']} · {settings.model.path}",
        config=folder.config(),
        environment=folder.environment(),
        metrics=metrics,
        history=[],
        label_names=data.label_names,
        labels=asked.labels,
        probabilities=np.array(table.get("probabilities", [])),
        lengths=np.empty(0, np.int64),
        context=0,
        examples=[_example(int(place), asked, table, textifier) for place in places],
        mistakes=[_example(int(place), asked, table, textifier) for place in mistakes],
        notes=notes,
    )
    save_record(record, folder)
    write_text(folder.path / "report.html", render(record))
    folder.finish(metrics)
    return metrics


def _shots(data: Data, task: Classify, textifier: Textifier, decoding: Decoding, seed: int) -> list[tuple[str, int]]:
    """Text and label of training images, drawn as for a model from a folder."""
    labels = np.asarray(data.train["label"])
    rows = draw_shots(labels, task.settings.shots, seed)
    if not rows:
        return []
    images, problems = decoding(data.train[rows]["image"], data.train[rows]["id"])
    if problems:
        raise UserError(f"{next(iter(problems.values()))} Mend or remove it, or draw other shots with seed=.")
    return list(zip(textifier.texts(write_all(textifier, images)), labels[rows].tolist(), strict=True))


def _asked(data: Data, textifier: Textifier, decoding: Decoding, skip_broken: bool, notes: list[str]) -> Asked:
    images, problems = decoding(data.test["image"], data.test["id"])
    if problems and not skip_broken:
        raise UserError(f"{next(iter(problems.values()))}{BROKEN_REMEDY}")
    if problems:
        notes.append(f"{len(problems):,} broken images of the test split were skipped.")
    whole = [place for place, image in enumerate(images) if image is not None]
    images = [images[place] for place in whole]
    texts: list[str] = []
    for start in range(0, len(images), _BATCH):
        texts += textifier.texts(write_all(textifier, images[start : start + _BATCH]))
    return Asked([data.test["id"][place] for place in whole], images, texts, np.asarray(data.test["label"])[whole])


def _scored(
    endpoint: Endpoint, task: Classify, shown: Sequence[tuple[str, int]], asked: Asked, normalise: str, anew: bool
) -> tuple[np.ndarray, list[Answer], list[Answer]]:
    """Log-probabilities of the classes float64 `[N, K]`, as `llmimg.readouts.score` has them; all answers that they are
    made from, and of each image the first one."""
    texts, names = list(asked.texts), task.label_names
    if normalise == "prior":
        texts.append("")  # what the answers have without an image
    prompts = [prompt_text(task.settings, names, shown, text) for text in texts]
    requests = [scored(task.settings, names, prompt) for prompt in prompts]
    answers = endpoint.ask([request for group in requests for request in group], anew)
    groups = [answers[start : start + len(names)] for start in range(0, len(answers), len(names))]
    found = np.array(
        [
            _log_likelihoods(group, [request["prompt"] for request in asked_so], len(prompt), normalise == "length")
            for group, asked_so, prompt in zip(groups, requests, prompts, strict=True)
        ]
    )
    if normalise == "prior":
        found = found[:-1] - found[-1]
    found -= np.logaddexp.reduce(found, axis=1, keepdims=True)
    return found, answers, [group[0] for group in groups[: len(asked.ids)]]


def _log_likelihoods(answers: Sequence[Answer], texts: Sequence[str], begin: int, by_length: bool) -> list[float]:
    """Of the tokens from the place `begin` of each text on, as far as the texts differ: their sum, or their mean."""
    tails = []
    for answer, text in zip(answers, texts, strict=True):
        # A token that begins every text may be told in front; what the model wrote itself stands behind.
        front = "".join(token for token, _ in answer.tokens).index(text)
        starts = np.cumsum([0, *(len(token) for token, _ in answer.tokens[:-1])]) - front
        inside = (begin <= starts) & (starts < len(text))
        tails.append([answer.tokens[place] for place in np.flatnonzero(inside)])
    alike = (len({token for token, _ in tokens}) == 1 for tokens in zip(*tails, strict=False))
    shared = min(sum(1 for _ in itertools.takewhile(bool, alike)), min(map(len, tails)) - 1)
    differing = [[log_probability for _, log_probability in tail[shared:]] for tail in tails]
    if any(None in each for each in differing):
        raise UserError(
            "An answer begins the text, where no token has a probability: put some words in front of {image} in "
            "task.template."
        )
    return [float(np.mean(each) if by_length else np.sum(each)) for each in differing]


def _written(
    endpoint: Endpoint, task: Classify, shown: Sequence[tuple[str, int]], asked: Asked, anew: bool
) -> tuple[np.ndarray, list[Answer]]:
    """The classes named, as logits float64 `[N, K + 1]`, the last for answers that name none; and the answers."""
    requests = [written(task.settings, task.label_names, shown, text) for text in asked.texts]
    answers = endpoint.ask(requests, anew)
    labels = [read_answer(answer.text, task.label_names) for answer in answers]
    none = len(task.label_names)
    return np.eye(none + 1)[[none if label is None else label for label in labels]], answers


def _fidelity(asked: Asked, textifier: Textifier, seed: int) -> dict[str, float]:
    images = [asked.images[place] for place in sampled(np.arange(len(asked.images)), SAMPLE, seed)]
    back = [textifier.read(textifier.write(image[None]), *image.shape[:2]) for image in images]
    return {} if any(each is None for each in back) else fidelity(images, [each[0] for each in back])


def _example(place: int, asked: Asked, table: Mapping[str, Sequence[Any]], textifier: Textifier) -> Example:
    image = asked.images[place]
    back = textifier.read(textifier.write(image[None]), *image.shape[:2])
    probabilities = table.get("probabilities")
    return Example(
        id=asked.ids[place],
        image=image,
        text=asked.texts[place],
        unread="",
        tokens=table["tokens"][place],
        cut=0,
        way_back=None if back is None else back[0],
        label=table["label"][place],
        prediction=table["prediction"][place],
        probability=float("nan") if probabilities is None else float(max(probabilities[place])),
    )
