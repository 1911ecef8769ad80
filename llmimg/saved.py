"""What the folder of a recogniser says, and what is made of it again: encoder, task, readout and model."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from llmimg.errors import UserError
from llmimg.hub import RECOGNISER, load_config, recogniser_described
from llmimg.models.loading import are_adapters, load_model
from llmimg.nearest import choose
from llmimg.readouts.base import READOUTS, TextReadout
from llmimg.readouts.settings import SETTINGS as READOUT_SETTINGS
from llmimg.settings import build
from llmimg.tasks.base import Task
from llmimg.tasks.chosen import kind_of, name_of
from llmimg.tasks.info import DataInfo
from llmimg.textify import Textifier, make
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import Frame, Layout
from llmimg.tokens.learned import saved_decoding, with_saved_state
from llmimg.tokens.sample import Sample
from llmimg.tokens.script import Script, Shot
from llmimg.tokens.vocabulary import load_tokenizer, make_vocabulary

FORMAT = 3


def described_task(encoder: Encoder, readout: TextReadout) -> dict[str, Any]:
    """A task with what asks and answers it, in JSON's types."""
    task = readout.task
    return {
        "decoding": dataclasses.asdict(encoder.decoding),
        "layout": dataclasses.asdict(readout.layout),
        "task": {
            "name": name_of(task),
            "settings": dataclasses.asdict(task.settings),
            "data": dataclasses.asdict(task.info),
        },
        "readout": readout.describe(),
        "shots": [{**shot.sample.as_json(), "image": shot.image.tolist()} for shot in readout.script.shots],
        "boxes": None if readout.boxes is None else readout.boxes.tolist(),
        "inside": encoder.vocabulary.inside,
        "tokens": "table" if encoder.vocabulary.is_table else "tokenizer",
    }


def saved_tasks(run: str | Path) -> tuple[Path, dict[str, dict[str, Any]]]:
    """The folder of a recogniser, and what it says of each of its tasks, by name, with what it says of all; one alone
    is unnamed.

    Raises:
        UserError: where there is none, or another version of llmimg wrote it.
    """
    folder, described = _described(run)
    shared = {name: each for name, each in described.items() if name != "parts"}
    return folder, {name: {**shared, **each} for name, each in described.get("parts", {"": {}}).items()}


def saved_readout(folder: Path, described: dict[str, Any]) -> tuple[Encoder, TextReadout]:
    """What writes the images of a task, and what asks and answers it."""
    encoder, task = _encoder(folder, described)
    readout = dict(described["readout"])
    name = readout.pop("name")
    kind, options = READOUTS[name], build(READOUT_SETTINGS[name], readout)
    chat = kind.prompted and task.settings.chat
    shots = [Shot(Sample.from_json(each), np.array(each["image"], np.int64)) for each in described["shots"]]
    script = Script(encoder.vocabulary, tuple(shots), chat, task.candidates is not None)
    boxes = described.get("boxes")
    return encoder, kind(task, _layout(described), script, boxes and np.array(boxes, np.int32), options)


def saved_model(folder: Path, tasks: Mapping[str, Mapping[str, Any]], device: str | None = None) -> PreTrainedModel:
    """The model of a recogniser, on a device (None: the accelerator, where there is one), or the one that the adapters
    in its folder belong to, with them."""
    name = next(iter(tasks.values()))["readout"]["name"]
    config = load_config(str(folder))
    how: dict[str, Any] = {} if are_adapters(folder) else {"use_safetensors": True}
    loaded = load_model(READOUTS[name].auto_class, str(folder), config, keep_adapters=True, dtype=config.dtype, **how)
    if loaded.drawn:
        raise UserError(
            f"'{folder}' lacks weights of its model ({', '.join(sorted(loaded.drawn)[:3])}): give a whole folder."
        )
    model: Any = loaded.model
    return model.to(device or _accelerator())


def load_readout(run: str | Path, task: str | None = None) -> tuple[Encoder, TextReadout]:
    """What writes images as a recogniser reads them, and what puts them before its model, without the model; of a
    mixture for one task. Errors are as of `Recogniser.load` and `Recogniser.of`."""
    folder, tasks = saved_tasks(run)
    return saved_readout(folder, chosen(tasks, task))


def chosen(tasks: Mapping[str, Any], task: str | None) -> Any:
    """The entry of one task, by its name; where there is one alone, unnamed, that one.

    Raises:
        UserError: a mixture that is not told which, or no task of it.
    """
    if "" in tasks:
        if task:
            raise UserError(f"This recogniser has one task alone: leave task={task} out.")
        return tasks[""]
    if not task:
        raise UserError(f"This recogniser has several tasks: say which by task={', '.join(tasks)}.")
    return choose(task, tasks, "task of this recogniser")


def _described(run: str | Path) -> tuple[Path, dict[str, Any]]:
    """The folder of a recogniser, and what it says of itself."""
    folder = next((each for each in (Path(run) / "model", Path(run)) if (each / RECOGNISER).is_file()), None)
    if folder is None:
        raise UserError(f"'{run}' holds no recogniser: give the folder of a finished run, or its model folder.")
    described = recogniser_described(folder)
    if described.get("format") != FORMAT:
        raise UserError(
            f"'{folder}' was written by another version of llmimg (format {described.get('format')}, this one "
            f"reads {FORMAT}): load it with that version, or train it anew."
        )
    return folder, described


def _task(described: Mapping[str, Any], textifier: Textifier) -> Task:
    kind = kind_of({"name": described["name"], **described["settings"]})
    return kind(build(kind.Settings, described["settings"])).bind(DataInfo.from_json(described["data"]), textifier)


def _layout(described: Mapping[str, Any]) -> Layout:
    settings = dict(described["layout"])
    frame = settings.pop("frame")
    return Layout(Frame(tuple(frame["before"]), tuple(frame["after"])), **settings)


def _encoder(folder: Path, described: dict[str, Any]) -> tuple[Encoder, Task]:
    decoding = saved_decoding(described)
    textifier = with_saved_state(make(**described["textify"]), folder)
    task = _task(described["task"], textifier)
    # A saved tokenizer has its added pieces already.
    kind = "reuse" if described["vocabulary"] == "extend" else described["vocabulary"]
    prompted = READOUTS[described["readout"]["name"]].prompted
    answers = task.own_grammar if prompted else None
    vocabulary = make_vocabulary(kind, textifier, load_tokenizer(str(folder)), answers)
    if described.get("inside"):
        vocabulary = vocabulary.inside_a_text(textifier)
    if described["tokens"] == "tokenizer" and vocabulary.is_table:
        vocabulary = vocabulary.by_tokenizer(textifier, "as in training")
    return Encoder(decoding, textifier, vocabulary), task


def _accelerator() -> str:
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return "cpu" if device is None else device.type
