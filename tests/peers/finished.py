"""A finished run, and what its saved model says, image by image, in plain torch."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file

from llmimg.data import example_seeds
from llmimg.readouts.masks import hidden_tokens, instead
from llmimg.tasks.pretrain import MlmSettings
from tests.peers.pictures import CLASSES, Picture, middle, text_of

TEMPLATE = "\nclass: {}\n"


@dataclass(frozen=True, eq=False)
class Finished:
    """Attributes:
    kind: `head`, `score`, `generate`, `clm`, `mlm`, a baseline's name, or `vit`.
    folder: of the run.
    pictures: split → its images.
    length: the longest sequence.
    """

    kind: str
    folder: Path
    pictures: dict[str, list[Picture]]
    length: int
    text: str = ""

    @functools.cached_property
    def metrics(self) -> dict[str, float]:
        return json.loads((self.folder / "metrics.json").read_text())

    @functools.cached_property
    def tokenizer(self) -> Any:
        return transformers.AutoTokenizer.from_pretrained(self.folder / "model")

    @functools.cached_property
    def model(self) -> Any:
        auto = {"head": "SequenceClassification", "mlm": "MaskedLM", "vit": "ImageClassification"}
        kind = getattr(transformers, f"AutoModelFor{auto.get(self.kind, 'CausalLM')}")
        return kind.from_pretrained(self.folder / "model").eval()

    @functools.cached_property
    def weights(self) -> dict[str, np.ndarray]:
        return load_file(self.folder / "model" / "model.safetensors")

    def labels(self, split: str) -> np.ndarray:
        return np.array([picture.label for picture in self.pictures[split]])

    def ids(self, picture: Picture) -> list[int]:
        """Of the whole text, unframed."""
        return self.tokenizer(text_of(picture.pixels), add_special_tokens=False).input_ids

    @functools.cached_property
    def tails(self) -> list[list[int]]:
        """What follows an image's text, for each class."""
        return [self.tokenizer(TEMPLATE.format(name), add_special_tokens=False).input_ids for name in CLASSES]

    @functools.cached_property
    def frame(self) -> tuple[list[int], list[int]]:
        if self.kind in ("score", "generate"):
            return [], []
        begin = self.tokenizer.bos_token_id
        return [self.tokenizer.eos_token_id if begin is None else begin], [self.tokenizer.eos_token_id]

    @functools.cached_property
    def room(self) -> int:
        around = max(map(len, self.tails)) if self.kind in ("score", "generate") else 2
        return self.length - around

    def sequence(self, picture: Picture) -> list[int]:
        before, after = self.frame
        return [*before, *self.ids(picture)[: self.room], *after]

    @functools.cache  # noqa: B019 - runs live as long as the test
    def logits(self, split: str) -> np.ndarray:
        """[N, K]; of words, log-probabilities."""
        with torch.no_grad():
            return np.stack([getattr(self, f"_{self.kind}", self._pixels)(each) for each in self.pictures[split]])

    def _head(self, picture: Picture) -> np.ndarray:
        return self.model(torch.tensor([self.sequence(picture)])).logits[0].double().numpy()

    def _score(self, picture: Picture) -> np.ndarray:
        """Each answer behind the text, in a pass of its own."""
        found = []
        for tail in self.tails:
            ids = self.sequence(picture) + tail
            steps = self.model(torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
            found.append(
                sum(steps[position - 1, ids[position]].item() for position in range(len(ids) - len(tail), len(ids)))
            )
        return np.array(found)

    def _generate(self, picture: Picture) -> np.ndarray:
        """Each answer token by token, of those alone with which an answer goes on."""
        found = []
        for tail in self.tails:
            total = 0.0
            for position, token in enumerate(tail):
                written = tail[:position]
                allowed = sorted({other[position] for other in self.tails if other[:position] == written})
                logits = self.model(torch.tensor([self.sequence(picture) + written])).logits[0, -1].double()
                total += logits[allowed].log_softmax(dim=0)[allowed.index(token)].item()
            found.append(total)
        return np.array(found)

    def _pixels(self, picture: Picture) -> np.ndarray:
        """A ViT of 3 × 3 patches on 4 × 4 pixels, whose last ones go on as the edge does."""
        pixels = np.pad(middle(picture.pixels, 4), ((0, 2), (0, 2)), mode="edge").astype(np.float32) / 127.5 - 1
        return self.model(torch.tensor(pixels)[None, None]).logits[0].double().numpy()

    @functools.cache  # noqa: B019
    def costs(self, split: str) -> np.ndarray:
        """Of each image the nats of what was counted, and how many tokens that were: [N, 2]."""
        how = self._masked_costs if self.kind == "mlm" else self._causal_costs
        with torch.no_grad():
            return np.array([how(index, picture) for index, picture in enumerate(self._rows(split))])

    def _rows(self, split: str) -> list[Picture]:
        return self.pictures[split]

    def _causal_costs(self, index: int, picture: Picture) -> tuple[float, int]:
        return self.nats(self.sequence(picture))

    def nats(self, ids: list[int]) -> tuple[float, int]:
        """Of each token after the first."""
        steps = self.model(torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
        return -sum(steps[position - 1, ids[position]].item() for position in range(1, len(ids))), len(ids) - 1

    def _masked_costs(self, index: int, picture: Picture) -> tuple[float, int]:
        """Which tokens are hidden is drawn as the run draws it; all else is by hand."""
        ids = np.array(self.sequence(picture))
        # Rows are numbered with the broken ones, of which each class has one, its fourth.
        row = index + sum(index >= each for each in self._gaps(picture))
        seed = example_seeds(0, 0, [row])[0]
        hidden = 1 + np.flatnonzero(hidden_tokens(MlmSettings(), len(ids) - 2, int(seed)))
        seen = ids.copy()
        seen[hidden] = instead(ids[hidden], self.tokenizer.mask_token_id, len(self.tokenizer), int(seed))
        steps = self.model(torch.tensor(seen)[None]).logits[0].double().log_softmax(dim=-1)
        return -sum(steps[each, ids[each]].item() for each in hidden), len(hidden)

    def _gaps(self, picture: Picture) -> list[int]:
        split = picture.id.split("/")[0]
        each = len(self.pictures[split]) // len(CLASSES)
        return [3 + each * label for label in range(len(CLASSES))]
