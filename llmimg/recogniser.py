"""What a run leaves for others: model, tokenizer, textifier and task in one folder; images in, answers out."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from llmimg.data import decode
from llmimg.data.rng import example_seeds
from llmimg.errors import UserError
from llmimg.hub import RECOGNISER
from llmimg.models.loading import relative_to
from llmimg.readouts.base import TextReadout
from llmimg.saved import FORMAT, chosen, described_task, saved_model, saved_readout, saved_tasks
from llmimg.tasks.asked import asked_by
from llmimg.tasks.base import Prediction, Row
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.image_answers import upper_part
from llmimg.tokens.learned import save_state
from llmimg.tokens.sample import Example


@dataclass(frozen=True)
class Recogniser:
    """A trained model with all it takes to put an image before it.

    >>> Recogniser.load("runs/digits/default/seed=0")(["four.png"])
    [{'label': '4', 'probability': 0.99…, 'probabilities': {…}}]
    """

    model: PreTrainedModel
    encoder: Encoder
    readout: TextReadout
    origin: dict[str, Any] = field(default_factory=dict)  # what the weights started from
    data: dict[str, Any] = field(default_factory=dict)  # which data it was trained and tested on, as data.json
    parts: Mapping[str, "Recogniser"] = field(default_factory=dict)  # one for each task of a mixture, by name

    def of(self, task: str | None = None) -> "Recogniser":
        """Itself, or for one task of a mixture, by its name.

        Raises:
            UserError: a mixture that is not told which, or no task of it.
        """
        return chosen(self.parts or {"": self}, task)

    def __call__(self, images: Any = None, batch_size: int = 64, task: str | None = None, **columns: Any) -> list[Any]:
        """The answer to each image, in JSON's types; of a task that writes images, an image uint8 `[H, W, C]` for each
        of what it is asked by: `recogniser(label=["7", "3"])`.

        Args:
            images: a sequence of what `llmimg.data.decode` takes (paths, bytes, PIL images, uint8 arrays), a batch
                uint8 `[N, H, W, C]`, or a single image.
            batch_size: images that go through the model at once.
            task: which is asked, of a mixture.
            columns: what each is asked by, where the task asks in words of its own (`question`): one text for all, or
                one for each.

        Raises:
            UserError: an image that cannot be read, or whose text does not fit the model's context; a column that the
                task does not ask by, or that is missing.
        """
        if self.parts or task:
            return self.of(task)(images, batch_size, **columns)
        if self.readout.draws:
            if images is not None:
                raise UserError(
                    "It writes images: take recogniser(label=['7']), or recogniser.written(images, label='7')."
                )
            return [each.image for each in self.written(batch_size=batch_size, **columns)[0]]
        is_batch = isinstance(images, np.ndarray) and images.ndim == 4
        if not is_batch and (not isinstance(images, Sequence) or isinstance(images, str | bytes)):
            images = [images]
        return [
            self.readout.task.as_json(prediction) for prediction in self.predictions(images, batch_size, **columns)[0]
        ]

    def predictions(
        self, images: Sequence[Any], batch_size: int = 64, **columns: Any
    ) -> tuple[list[Prediction], list[Row]]:
        """What the task reads in the answers to some images, and the rows that they are of; arguments and errors as of
        a call."""
        self.of()  # one of several must be told first
        found, rows, outputs = [], [], []
        asked = asked_by(self.readout.task, self.readout.asks, columns, len(images))
        asking = self.with_readout(self.readout.of_split(asked))
        for examples in examples_of(self.encoder, images, asked, batch_size):
            rows += [example.row for example in examples]
            outputs.append(asking.outputs(examples))
            if not self.readout.task.by_split:
                found += self.readout.predictions(outputs.pop(), rows[len(found) :])
        return found or asking.readout.predictions(np.concatenate(outputs or [np.empty((0, 0))]), rows), rows

    def written(
        self,
        images: Sequence[Any] | None = None,
        keep: float = 0.5,
        batch_size: int = 64,
        seed: int = 0,
        **columns: Any,
    ) -> tuple[list[Prediction], list[Row]]:
        """What a task that writes images makes of what it is asked by, and the rows that they are of.

        Args:
            images: as of a call; given down to `keep` of their height, and gone on with.
            seed: of all that is drawn.
            columns: one text, or a list of them.

        Raises:
            UserError: nothing to ask by, what the model does not know, or images whose text has no upper part.
        """
        self.of()
        if images is None:
            columns = {name: [each] if isinstance(each, str) else list(each) for name, each in columns.items()}
        count = max(map(len, columns.values()), default=0) if images is None else len(images)
        asked = asked_by(self.readout.task, self.readout.asks, columns, count)
        every = [Example(np.empty(0, np.int64), row) for row in asked]
        from_nothing = (every[start : start + batch_size] for start in range(0, count, batch_size))
        found, rows = [], []
        for some in from_nothing if images is None else examples_of(self.encoder, images, asked, batch_size, keep):
            rows += [each.row for each in some]
            seeds = example_seeds(seed, 0, np.arange(len(found), len(rows)))
            examples = [dataclasses.replace(each, seed=drawn) for each, drawn in zip(some, seeds, strict=True)]
            found += self.readout.predictions(self.outputs(examples), rows[len(found) :])
        return found, rows

    def with_readout(self, readout: TextReadout) -> "Recogniser":
        """Itself, with the answer taken otherwise."""
        return dataclasses.replace(self, readout=readout)

    @torch.inference_mode()
    def outputs(self, examples: Sequence[Example]) -> np.ndarray | tuple[np.ndarray, ...]:
        """What the readout makes answers from, arrays `[N, …]`."""
        self.model.eval()
        batch = {name: each.to(self.model.device) for name, each in self.readout.batch(examples).items()}
        found = self.readout.outputs(self.model, batch)
        return found.cpu().numpy() if isinstance(found, torch.Tensor) else tuple(each.cpu().numpy() for each in found)

    def save(self, folder: Path) -> None:
        """Write it: safetensors and JSON only; `from_pretrained` of transformers reads the folder too."""
        self.model.save_pretrained(folder)
        self.model.config.save_pretrained(folder)  # adapters come without
        self.encoder.vocabulary.save(folder)
        parts = {name: described_task(each.encoder, each.readout) for name, each in self.parts.items()}
        described = {
            "format": FORMAT,
            "textify": self.encoder.textifier.settings(),
            "origin": relative_to(self.origin, folder),
            "data": self.data,
            "vocabulary": self.encoder.vocabulary.name,
            "decoding": dataclasses.asdict(self.encoder.decoding),
            **({"parts": parts} if parts else described_task(self.encoder, self.readout)),
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
        folder, tasks = saved_tasks(run)
        model = saved_model(folder, tasks, device)
        return together({name: _loaded(model, folder, each) for name, each in tasks.items()})


def together(parts: Mapping[str, Recogniser]) -> Recogniser:
    """A recogniser for several tasks of one model; of one alone, unnamed, itself."""
    first = next(iter(parts.values()))
    return first if "" in parts else dataclasses.replace(first, parts=parts)


def _loaded(model: PreTrainedModel, folder: Path, described: dict[str, Any]) -> Recogniser:
    encoder, readout = saved_readout(folder, described)
    return Recogniser(model, encoder, readout, described["origin"], described.get("data", {}))


def examples_of(
    encoder: Encoder,
    images: Sequence[Any],
    asked: Sequence[Mapping[str, Any]],
    batch_size: int = 64,
    keep: float = 0,
) -> Iterator[list[Example]]:
    """Images that stand in no split, so many at once, as examples.

    Args:
        images: what `llmimg.data.decode` takes.
        asked: the columns that each is asked by.
        keep: how much of its height an answer goes on from, from its top.

    Raises:
        UserError: an image that cannot be read.
    """
    decoding = encoder.decoding
    for start in range(0, len(images), batch_size):
        batch = [
            decode(image, f"number {index}", decoding.white)
            for index, image in enumerate(images[start : start + batch_size], start)
        ]
        sizes = [image.shape[:2] for image in batch]
        rows = [
            {**asked[index], "size": size, "placement": decoding.placement(size)}
            for index, size in enumerate(sizes, start)
        ]
        fitted = [decoding.fitted(image) for image in batch]
        begun = [upper_part(encoder, image, keep)[0] if keep else 0 for image in fitted]
        every = zip(encoder.ids(fitted), rows, begun, strict=True)
        yield [Example(each, row, begun=count) for each, row, count in every]
