"""A finished run on made-up scenes, whose saved model is asked for its answers word by word, in plain torch."""

import functools
import io
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.numpy import load_file
from skimage.metrics import peak_signal_noise_ratio

from llmimg.configuration import Configuration
from llmimg.data import load
from llmimg.data.rows import Rows
from tests.peers.pictures import flat, image_of, ssim, text_of

SPLITS = {"train": "train", "val": "validation", "test": "test"}
NAMES = ("circle", "square", "triangle", "cross")
CANVAS, SEEN = 100, 10  # pixels a side, of the source and of what the model sees


class Written(NamedTuple):
    """What the model wrote: its words, the probability of each among those allowed, and whether it came to an end."""

    words: list[str]
    probabilities: list[float]
    ended: bool


class Scenes:
    """A run's split by split: `val` is `validation`.

    Args:
        settings: of the run, as plain values.
        column: `objects` or `mask`.
        allowed: of the words so far those that may follow; None is the end.
        truth: of a row the words of its right answer.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        column: str,
        prompt: str,
        allowed: Callable[[list[str]], list[str | None]],
        truth: Callable[[dict[str, Any]], list[str]],
    ):
        self.folder, self.prompt, self.allowed, self.truth = Path(settings["run_dir"]), prompt, allowed, truth
        self.metrics = json.loads((self.folder / "metrics.json").read_text())
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(self.folder / "model")
        self.model = transformers.AutoModelForCausalLM.from_pretrained(self.folder / "model").eval()
        data = load(Configuration.of(settings).data, needs=(column,))
        of_each = {name: getattr(data, split) for name, split in SPLITS.items()}
        self.rows = {
            name: Rows(of, (column,), data.decoding).scored(np.arange(len(of))) for name, of in of_each.items()
        }
        self.seen = {name: [_seen(image["bytes"]) for image in of["image"]] for name, of in of_each.items()}

    def ids(self, pixels: np.ndarray) -> list[int]:
        return self.tokenizer(text_of(brightness(pixels)), add_special_tokens=False).input_ids

    def tokens(self, words: list[str | None]) -> list[int]:
        return self.tokenizer.convert_tokens_to_ids(
            [self.tokenizer.eos_token if each is None else each for each in words]
        )

    def start(self, pixels: np.ndarray) -> list[int]:
        return [self.tokenizer.bos_token_id, *self.ids(pixels), *self.tokens([self.prompt])]

    def steps(self, ids: list[int]) -> torch.Tensor:
        with torch.no_grad():
            return self.model(torch.tensor([ids])).logits[0].double()

    @functools.cache  # noqa: B019 - runs live as long as the test
    def written(self, name: str) -> list[Written]:
        """The likeliest word that may follow, again and again, until the end or that of the context."""
        return [self._write(self.start(pixels)) for pixels in self.seen[name]]

    def _write(self, ids: list[int]) -> Written:
        words, probabilities = [], []
        while len(ids) < self.model.config.n_positions:
            allowed = self.allowed(words)
            found = self.steps(ids)[-1, self.tokens(allowed)].softmax(dim=0)
            best = int(found.argmax())
            if allowed[best] is None:
                return Written(words, probabilities, True)
            words.append(allowed[best])
            probabilities.append(found[best].item())
            ids = [*ids, *self.tokens([allowed[best]])]
        return Written(words, probabilities, False)

    def loss(self, name: str) -> float:
        """Nats of a token of the right answers and their ends, among all tokens that there are."""
        nats = []
        for pixels, row in zip(self.seen[name], self.rows[name], strict=True):
            before, answer = self.start(pixels), self.tokens([*self.truth(row), None])
            steps = self.steps([*before, *answer]).log_softmax(dim=-1)
            nats += [-steps[len(before) + place - 1, token].item() for place, token in enumerate(answer)]
        return math.fsum(nats) / len(nats)

    def peers(self) -> dict[str, Callable[[], float]]:
        """What every run says of its texts and its model."""
        found = Counter(token for pixels in self.seen["train"] for token in self.ids(pixels))
        total = sum(found.values())
        bits = -math.fsum(count / total * math.log2(count / total) for count in found.values())
        images = self.seen["test"]
        back = [given_back(pixels) for pixels in images]
        size = sum(array.size for array in load_file(self.folder / "model" / "model.safetensors").values())
        losses = {f"{name}/loss": functools.partial(self.loss, name) for name in ("val", "test")}
        counts = {f"data/{name}_images": functools.partial(len, rows) for name, rows in self.rows.items()}
        return (
            losses
            | counts
            | {
                "data/tokens_per_image": lambda: SEEN * SEEN,
                "data/truncated_images": lambda: 0,
                "data/truncated_fraction": lambda: 0,
                "data/bits_per_token": lambda: bits,
                "data/bits_per_image": lambda: bits * SEEN * SEEN,
                "data/fidelity_images": lambda: len(images),
                "data/psnr_db": lambda: peak_signal_noise_ratio(flat(images), flat(back), data_range=255),
                "data/ssim": lambda: np.mean(
                    [each for pair in zip(images, back, strict=True) for each in by_colour(*pair)]
                ),
                "model/parameters": lambda: size,
                "model/trainable_parameters": lambda: size,
            }
        )


def _seen(file: bytes) -> np.ndarray:
    """The mean of each ten by ten pixels: uint8 `[10, 10, 3]`."""
    image, side = np.asarray(Image.open(io.BytesIO(file))), CANVAS // SEEN
    return np.rint(image.reshape(SEEN, side, SEEN, side, 3).mean(axis=(1, 3))).astype(np.uint8)


def brightness(pixels: np.ndarray) -> np.ndarray:
    """As of ITU-R BT.601: uint8 `[H, W]`."""
    return ((pixels.astype(np.int64) @ [77, 150, 29] + 128) // 256).astype(np.uint8)


def given_back(pixels: np.ndarray) -> np.ndarray:
    levels = [int(each) for each in text_of(brightness(pixels)).split()]
    return np.repeat(image_of(levels, pixels.shape[:2])[..., None], 3, axis=2)


def by_colour(image: np.ndarray, other: np.ndarray) -> list[float]:
    return [ssim(image[..., colour], other[..., colour]) for colour in range(3)]
