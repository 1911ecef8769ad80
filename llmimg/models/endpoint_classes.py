"""Classes of images by a model behind an endpoint: what is asked, what is read in the answers, and what a
reader of the results must know of them."""

from collections.abc import Sequence

import numpy as np

from llmimg.errors import UserError
from llmimg.models import probes
from llmimg.models.answers import Answer as Reply
from llmimg.models.echoed import echoed_tokens, tails
from llmimg.models.endpoint import Endpoint
from llmimg.models.endpoint_replies import ask_to_write
from llmimg.models.endpoint_requests import EndpointAnswers, RequestFormat
from llmimg.tasks.base import Row, Task
from llmimg.tasks.reading import AnswerReader, Reading, check_names, reading_notes
from llmimg.tokens.sample import Answer

_NOTED_DRIFT, _MOST_DRIFT = 0.05, 1.0  # nats between log-probabilities that should be the same


def score_classes(
    endpoint: Endpoint,
    task: Task,
    request_format: RequestFormat,
    rows: Sequence[Row],
    texts: Sequence[str],
    normalise: str,
    anew: bool,
) -> EndpointAnswers:
    """Log-probabilities of the classes, as `llmimg.readouts.score` has them.

    Args:
        rows, texts: of each image.
        anew: ask what was answered before, too.

    Raises:
        UserError: an endpoint whose log-probabilities cannot be trusted, among others.
    """
    probes.check_echo(endpoint, texts[0], anew)
    names, candidates = task.classes or (), task.candidates or ()
    asked = list(zip(rows, texts, strict=True))
    if normalise == "prior":  # what the answers have without an image; asked in one's own words, each row for itself
        asked += [(row, "") for row in (rows if task.own_words else rows[:1])]
    requests = [request_format.scored(task.prompt(row, None), text, candidates) for row, text in asked]
    answers = endpoint.ask([request for group in requests for request in group], anew)
    groups = [answers[start : start + len(names)] for start in range(0, len(answers), len(names))]
    found = [
        tails(group, [request["prompt"] for request in sent], normalise == "length")
        for group, sent in zip(groups, requests, strict=True)
    ]
    drift = max(each.drift for each in found)
    if drift > _MOST_DRIFT:
        raise UserError(
            f"{endpoint.url} gives the same words of one prompt log-probabilities that differ by {drift:.2f} nats from "
            "request to request: they cannot be trusted. Use another server, or take readout=generate."
        )
    outputs = np.array([each.log_likelihoods for each in found])
    if normalise == "prior":
        outputs = outputs[: len(rows)] - outputs[len(rows) :]
    outputs -= np.logaddexp.reduce(outputs, axis=1, keepdims=True)
    first = [(group[0], sent[0]["prompt"]) for group, sent in zip(groups[: len(texts)], requests, strict=False)]
    notes = [
        f"Log-probabilities of the same words of one prompt differ by up to {drift:.2g} nats from one request to the "
        "next: so far the endpoint is inexact."
        if drift > _NOTED_DRIFT
        else None,
        _count_note(first),
        probes.other_models(answers, endpoint.model),
    ]
    found = [Answer(scores=scores, tokens=reply.read) for scores, (reply, _) in zip(outputs, first, strict=True)]
    return EndpointAnswers(found, [note for note in notes if note])


def write_classes(
    endpoint: Endpoint, task: Task, request_format: RequestFormat, rows: Sequence[Row], texts: Sequence[str], anew: bool
) -> EndpointAnswers:
    """The classes that the model names in its answers.

    Args:
        rows, texts: of each image.
        anew: ask what was answered before, too.

    Raises:
        UserError: names of classes that an answer could not be read as, among others.
    """
    names = task.classes or ()
    answers = ["".join(map(str, answer)) for answer in task.candidates or ()]
    one_line = all("\n" in answer for answer in answers)
    check_names(names, answers[0].partition(names[0])[2], one_line)
    most = max(map(len, names))
    prompts = [task.prompt(row, None) for row in rows]
    written = ask_to_write(endpoint, request_format, prompts, texts, most, one_line, anew)
    reader = AnswerReader(names)
    readings = [reader.read(each.text, each.finish, one_line, each.thought) for each in written.replies]
    notes = [
        *reading_notes(readings, written.most),
        _line_note(written.replies) if one_line else None,
        *written.notes,
    ]
    found = [_answer(reply, reading) for reply, reading in zip(written.replies, readings, strict=True)]
    return EndpointAnswers(found, [note for note in notes if note])


def _answer(reply: Reply, reading: Reading) -> Answer:
    return Answer(
        text=reply.text,
        pieces=None if reading.label is None else np.array([reading.label]),
        problem=", ".join(reading.problems) or None,
        finish=reply.finish,
        tokens=reply.read,
    )


def _line_note(answers: Sequence[Reply]) -> str | None:
    on = sum("\n" in each.text.strip() for each in answers if not each.thought)
    if not on:
        return None
    return (
        f"{on:,} of {len(answers):,} answers go on behind the end of their line, where they were to stop (stop): the "
        "class must be named on the first."
    )


def _count_note(asked: Sequence[tuple[Reply, str]]) -> str | None:
    """A sentence where the count of tokens read is not that of the tokens echoed."""
    for answer, text in asked:
        told = len(echoed_tokens(answer, text))
        if answer.read is not None and abs(answer.read - told) > max(4, told // 10):
            return (
                f"The endpoint counts {answer.read:,} tokens read of a prompt that it echoes as {told:,}: "
                "endpoint/tokens_read and endpoint/cost follow its count."
            )
    return None
