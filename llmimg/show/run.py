"""An image before the model of a finished run: all that it is given, and what may come out."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from llmimg.data import decode
from llmimg.errors import UserError
from llmimg.nearest import did_you_mean
from llmimg.readouts.base import TextReadout
from llmimg.recogniser import examples_of
from llmimg.run_folder import RunFolder
from llmimg.saved import load_readout
from llmimg.settings import read
from llmimg.show.image import cost_lines
from llmimg.show.lines import Style, Token
from llmimg.tasks.asked import all_asks, asked_by
from llmimg.tasks.chosen import name_of
from llmimg.tokens.layout import WORDS
from llmimg.tokens.names import token_names
from llmimg.tokens.sample import Example

_OWN = ("task", "full")


def show_run(run: str, path: str | None, given: Mapping[str, str]) -> str:
    """What the recogniser of a run puts before its model for the image at `path`, as lines for a terminal.

    Args:
        path: None for a task that reads none.
        given: what the task asks by, `full`, and of a mixture which `task`.

    Raises:
        UserError: a run that has no recogniser, or whose model reads no text; an image that cannot be read, or is
            missing; a setting that there is not, or that is missing.
    """
    _check(run, given)
    style = Style.of_terminal(read(given.get("full", False), bool, "full"))
    encoder, readout = load_readout(run, given.get("task"))
    _check_image(readout, path)
    columns = {name: each for name, each in given.items() if name not in _OWN}
    (asked,) = asked_by(readout.task, readout.asks, columns, 1)
    readout = readout.of_split([asked])
    if path is None:
        example = Example(np.empty(0, np.int64), {**asked, "id": "0"})
        return "\n".join(_lines(readout, example, style))
    image = encoder.decoding.fitted(decode(path, white=encoder.decoding.white))
    ((example,),) = examples_of(encoder, [image], [asked])
    text = encoder.textifier.texts(encoder.textifier.write(image[None]))[0]
    cost = cost_lines(path, encoder, run, readout.layout.room)
    return "\n".join([style.text(text), "", *_lines(readout, example, style), "", *cost])


def _check(run: str, given: Mapping[str, str]) -> None:
    known = {*_OWN, *all_asks()}
    for name in given:
        if name not in known:
            near = did_you_mean(name, known)
            raise UserError(f"show run=RUN has everything from the run, and no setting '{name}': {near}")
    model: dict[str, Any] = RunFolder(run).config().get("model", {})
    if model.get("kind", "language") != "language":
        why = "is asked over the network" if model["kind"] == "endpoint" else "reads no text"
        raise UserError(f"'{run}' is a run of model={model.get('name')}, which {why}: give one of a language model.")


def _check_image(readout: TextReadout, path: str | None) -> None:
    name = name_of(readout.task)
    if readout.draws and path is not None:
        raise UserError(f"task={name} writes images, and reads none: leave {path} out.")
    if not readout.draws and path is None:
        raise UserError(f"task={name} is asked of an image: python -m llmimg show IMAGE run=RUN.")


def _lines(readout: TextReadout, example: Example, style: Style) -> list[str]:
    """The sample token by token, and what may follow it."""
    laid, lines = readout.sequences([example]), []
    for ids, roles in zip(laid.ids, laid.roles, strict=True):
        names = token_names(readout.vocabulary, ids.tolist())
        lines += style.role_lines(Token(name, role) for name, role in zip(names, roles.tolist(), strict=True))
    texts, whole = readout.continuations(example.row)
    if not texts:
        return lines
    what = "answers" if whole else "tokens of open text" if readout.task.open else "tokens, by the grammar of answers"
    follows = style.listed("next", [Token(text, WORDS) for text in texts])
    return [*lines, "", f"What may follow is one of {len(texts):,} {what}:", *follows]
