"""What a run leaves for others: model, tokenizer, textifier and task in one folder; images in, answers out."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, PreTrainedModel

from llmimg.errors import UserError
from llmimg.hub import RECOGNISER, load_config, recogniser_described
from llmimg.models.loading import are_adapters, load_model, relative_to
from llmimg.readouts.base import READOUTS, Readout
from llmimg.tasks.base import TASKS
from llmimg.textify import make
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import Layout, Prompt
from llmimg.tokens.learned import save_state, saved_decoding, with_saved_state
from llmimg.tokens.vocabulary import load_tokenizer, make_vocabulary

_FORMAT = 2


@dataclass(frozen=True)
class Recogniser:
    """A trained model with all it takes to put an image before it.

    >>> Recogniser.load("runs/digits/default/seed=0")(["four.png"])
    [{'label': '4', 'probability': 0.99…, 'probabilities': {…}}]
    """

    model: PreTrainedModel
    encoder: Encoder
    readout: Readout
    origin: dict[str, Any] = field(default_factory=dict)  # what the weights started from
    data: dict[str, Any] = field(default_factory=dict)  # which data it was trained and tested on, as data.json

    def __call__(self, images: Any, batch_size: int = 64) -> list[dict[str, Any]]:
        """The answer to each image, in JSON's types.

        Args:
            images: a sequence of what `llmimg.data.decode` takes (paths, bytes, PIL images, uint8 arrays), a batch
                uint8 `[N, H, W, C]`, or a single image.
            batch_size: images that go through the model at once.

        Raises:
            UserError: an image that cannot be read, or whose text does not fit the model's context.
        """
        is_batch = isinstance(images, np.ndarray) and images.ndim == 4
        if not is_batch and (not isinstance(images, Sequence) or isinstance(images, str | bytes)):
            images = [images]
        outputs = map(self.outputs, self._batches(images, batch_size))
        return [answer for output in outputs for answer in self.readout.task.answers(output.numpy())]

    @torch.inference_mode()
    def outputs(self, rows: Sequence[Mapping[str, Any]]) -> torch.Tensor:
        """What the task makes its answers from, `[N, …]`, for rows with the `image_ids` of each image."""
        self.model.eval()
        batch = {name: each.to(self.model.device) for name, each in self.readout.batch(rows).items()}
        return self.readout.outputs(self.model, batch).cpu()

    def _batches(self, images: Sequence[Any], batch_size: int) -> Iterator[list[dict[str, np.ndarray]]]:
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            ids, problems = self.encoder(batch, [f"number {start + place}" for place in range(len(batch))])
            if problems:
                raise UserError(next(iter(problems.values())))
            yield [{"image_ids": row} for row in ids]

    def save(self, folder: Path) -> None:
        """Write it: safetensors and JSON only; `from_pretrained` of transformers reads the folder too."""
        self.model.save_pretrained(folder)
        self.model.config.save_pretrained(folder)  # adapters come without
        self.encoder.vocabulary.tokenizer.save_pretrained(folder, save_jinja_files=False)  # a chat template is JSON too
        described = {
            "format": _FORMAT,
            "decoding": dataclasses.asdict(self.encoder.decoding),
            "textify": self.encoder.textifier.settings(),
            "layout": dataclasses.asdict(self.readout.layout),
            "task": {"name": TASKS.name_of(type(self.readout.task)), **self.readout.task.plain()},
            "readout": self.readout.describe(),
            "boxes": None if self.readout.boxes is None else self.readout.boxes.tolist(),
            "origin": relative_to(self.origin, folder),
            "data": self.data,
            "vocabulary": self.encoder.vocabulary.name,
            "inside": self.encoder.vocabulary.inside,
            "tokens": "table" if self.encoder.vocabulary.is_table else "tokenizer",
        }
        save_state(dict(self.encoder.textifier.state), folder)
        (folder / RECOGNISER).write_text(json.dumps(described, indent=1, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, run: str | Path, device: str | None = None) -> "Recogniser":
        """From a run's folder, or the `model` folder in it, wherever that was moved to.

        Args:
            device: where the model goes; None is the accelerator, where there is one.

        Raises:
            UserError: where there is none, or another version of llmimg wrote it.
        """
        folder, described = _described(run)
        encoder = _encoder(folder, described)
        plain = {group: dict(described[group]) for group in ("task", "readout")}
        layout = _layout(described)
        task = TASKS[plain["task"].pop("name")].of(**plain["task"])
        kind = READOUTS[plain["readout"].pop("name")]
        boxes = described.get("boxes")
        return cls(
            model=_model(kind.auto_class, folder).to(device or _accelerator()),
            encoder=encoder,
            readout=kind(task, layout, encoder.vocabulary, boxes and np.array(boxes, np.int32), **plain["readout"]),
            origin=described["origin"],
            data=described.get("data", {}),
        )


def load_encoder(run: str | Path) -> tuple[Encoder, Layout]:
    """What writes images as a recogniser reads them, and how much of that it reads, without its model; as
    `Recogniser.load`."""
    folder, described = _described(run)
    return _encoder(folder, described), _layout(described)


def _described(run: str | Path) -> tuple[Path, dict[str, Any]]:
    """The folder of a recogniser, and what it says of itself."""
    folder = next((each for each in (Path(run) / "model", Path(run)) if (each / RECOGNISER).is_file()), None)
    if folder is None:
        raise UserError(f"'{run}' holds no recogniser: give the folder of a finished run, or its model folder.")
    described = recogniser_described(folder)
    if described.get("format") != _FORMAT:
        raise UserError(
            f"'{folder}' was written by another version of llmimg (format {described.get('format')}, this one "
            f"reads {_FORMAT}): load it with that version, or train it anew."
        )
    return folder, described


def _layout(described: dict[str, Any]) -> Layout:
    plain = dict(described["layout"])
    prompt = plain.pop("prompt")
    answers = tuple(map(tuple, prompt["answers"]))
    before, after, blank = (tuple(prompt.get(name, ())) for name in ("before", "after", "blank"))
    return Layout(Prompt(before, after, answers, blank), **plain)


def _encoder(folder: Path, described: dict[str, Any]) -> Encoder:
    decoding = saved_decoding(described)
    textifier = with_saved_state(make(**described["textify"]), folder)
    # A saved tokenizer has its added pieces already.
    kind = "reuse" if described["vocabulary"] == "extend" else described["vocabulary"]
    vocabulary = make_vocabulary(kind, textifier, load_tokenizer(str(folder)))
    if described.get("inside"):
        vocabulary = vocabulary.inside_a_text(textifier)
    if described["tokens"] == "tokenizer" and vocabulary.is_table:
        vocabulary = vocabulary.by_tokenizer(textifier, "as in training")
    return Encoder(decoding, textifier, vocabulary)


def _model(auto_class: type[AutoModel], folder: Path) -> PreTrainedModel:
    """The model in a folder, or the one that the adapters in it belong to, with them."""
    config = load_config(str(folder))
    how = {} if are_adapters(folder) else {"use_safetensors": True}
    loaded = load_model(auto_class, str(folder), config, keep_adapters=True, dtype=config.dtype, **how)
    if loaded.drawn:
        raise UserError(
            f"'{folder}' lacks weights of its model ({', '.join(sorted(loaded.drawn)[:3])}): give a whole folder."
        )
    return loaded.model


def _accelerator() -> str:
    return torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else "cpu"
