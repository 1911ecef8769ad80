"""What is learned from training images before any is written: the textifier's palettes and codebooks, and the tokenizer
of `vocabulary=learn`. Kept in the cache as prepared splits are, so that ranks and repeated runs have the same."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from safetensors.numpy import load_file, save_file
from transformers import PreTrainedTokenizerFast

from llmimg.data import Decoding
from llmimg.data.broken import refuse_broken
from llmimg.errors import UserError
from llmimg.hub import recogniser_described
from llmimg.textify import Textifier
from llmimg.tokens.bpe import learn_tokenizer
from llmimg.tokens.cache import mended
from llmimg.tokens.encoder import write_all
from llmimg.tokens.folders import keep
from llmimg.tokens.keys import digests, key_of
from llmimg.tokens.settings import VocabularySettings
from llmimg.tokens.vocabulary import load_tokenizer

_STATE = "textifier.safetensors"
_16_BITS = 65535  # what recognisers took for white that do not say it


class TrainingImages(Sequence[np.ndarray]):
    """The images of the training split, decoded where they are asked for. Instead of a broken one stands the next
    whole one, if broken images are skipped."""

    def __init__(self, train: datasets.Dataset, decoding: Decoding, skip_broken: bool):
        self._train, self._decoding, self._skip_broken = train, decoding, skip_broken
        self.broken: set[int] = set()  # rows that were asked for, and could not be read

    def __len__(self) -> int:
        return len(self._train)

    # No one asks for a slice, which would be decoded as a whole.
    # pyrefly: ignore[bad-override]
    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self):
            raise IndexError(index)
        for each in range(index, index + len(self)):
            row = self._train[each % len(self)]
            images, problems = self._decoding([row["image"]], [row["id"]])
            if (image := images[0]) is not None:
                return image
            if not self._skip_broken:
                refuse_broken(problems)
            self.broken.add(each % len(self))
        raise UserError("All images of the training split are broken: look at data.path.")

    def mended(self, broken: Sequence[int]) -> bool:
        """Whether one of these rows, which could not be read, can be now."""
        return mended(self._train, self._decoding, broken)


def learned_textifier(
    textifier: Textifier,
    train: datasets.Dataset,
    decoding: Decoding,
    *,
    folder: Path,
    about: dict[str, Any],
    skip_broken: bool = False,
) -> Textifier:
    """The textifier, with what it learns from the training split where it learns.

    Args:
        train: columns `image` (undecoded) and `id`.
        folder: `cache_folder(…)`.
        about: what `cache list` says of it.

    Raises:
        UserError: images that are broken, or of which what was asked cannot be learned.
    """
    if not textifier.is_learned:
        return textifier
    images = TrainingImages(train, decoding, skip_broken)
    if not textifier.learns_from_images:
        return textifier.with_state(textifier.learn(images))
    key = key_of(train, decoding, textifier, learned="textifier")
    about = {**about, "vocabulary": "(what the textifier learned)"}
    path = _kept(folder / key, lambda work: save_state(textifier.learn(images), work), images, about)
    return with_saved_state(textifier, path)


def _kept(path: Path, learn: Callable[[Path], Any], images: TrainingImages, about: dict[str, Any]) -> Path:
    """The folder `path` with what `learn` writes into it of some images, learned again where one that was broken no
    longer is."""

    def write(work: Path) -> set[int]:
        learn(work)
        return images.broken

    keep(path, write, {**about, "split": "train", "rows": len(images)}, lambda kept: images.mended(kept["broken"]))
    return path


def save_state(state: dict[str, np.ndarray], folder: Path) -> None:
    """Keep what a textifier learned in a folder; nothing where it learned nothing."""
    if state:
        save_file({name: np.ascontiguousarray(array) for name, array in state.items()}, folder / _STATE)


def with_saved_state(textifier: Textifier, folder: Path) -> Textifier:
    """The textifier with what `save_state` kept there.

    Raises:
        UserError: where it is missing.
    """
    if not textifier.is_learned:
        return textifier
    if not (folder / _STATE).is_file():
        raise UserError(f"'{folder}' lacks {_STATE}, what its textifier learned: give a whole folder.")
    return textifier.with_state(load_file(folder / _STATE))


def run_state(folder: str | None, textifier: Textifier, reuse: bool) -> Textifier | None:
    """The textifier with what it learned in an earlier run, whose `model` folder is given; None where it did not.

    Args:
        reuse: whether that run's tokens are read on.

    Raises:
        UserError: where they are, and would mean something else.
    """
    if folder is None or not (described := recogniser_described(folder)):
        return None
    before, now = described["textify"], json.loads(json.dumps(textifier.settings()))
    if before == now:
        return with_saved_state(textifier, Path(folder))
    if reuse and described["vocabulary"] in ("own", "learn"):
        differing = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        told = ", ".join(f"textify.{key}={before.get(key)}" for key in differing)
        raise UserError(
            f"The run in '{folder}' had {told}, and its tokens would mean something else here: give the same "
            "(textify=NAME chooses a name), or vocabulary=own to learn its tokens anew."
        )
    return None


def run_decoding(folder: str | None, decoding: Decoding, notes: list[str]) -> Decoding:
    """The decoding of the data, white being what it was in an earlier run, whose `model` folder is given: a gray goes
    on to mean what it meant. Where the data say otherwise, or images come in another size, it is added to `notes`."""
    if not (described := recogniser_described(folder)):
        return decoding
    before = saved_decoding(described)
    then, now = (f"{each.size} ({each.fit})" if each.size else "null" for each in (before, decoding))
    if then != now:
        notes.append(f"The run that the model comes from had data.size={then}, and this one has {now}.")
    known = before.white
    if known is None or known == decoding.white:
        return decoding
    if decoding.white is not None:
        notes.append(f"Instead of that, {known:,} counts as white, as it did in the run that the model comes from.")
    return replace(decoding, white=known)


def saved_decoding(described: dict[str, Any]) -> Decoding:
    """The decoding in what a recogniser says of itself."""
    saved = described["decoding"]
    return Decoding(size=saved["size"] and tuple(saved["size"]), fit=saved["fit"], white=saved.get("white", _16_BITS))


def learned_tokenizer(
    settings: VocabularySettings,
    textifier: Textifier,
    train: datasets.Dataset,
    decoding: Decoding,
    *,
    folder: Path,
    about: dict[str, Any],
    skip_broken: bool = False,
) -> PreTrainedTokenizerFast:
    """The tokenizer of `vocabulary=learn`, from the texts of training images."""
    what = {"size": settings.size, "images": settings.learn_images, "seed": settings.learn_seed}
    key = key_of(train, decoding, textifier, learned="tokenizer", state=digests(textifier.state), **what)
    images = TrainingImages(train, decoding, skip_broken)

    def learn(work: Path) -> None:
        chosen = np.random.default_rng(settings.learn_seed).permutation(len(images))[: settings.learn_images]
        pieces = write_all(textifier, [images[index] for index in chosen])
        learn_tokenizer(textifier, pieces, settings.size).save_pretrained(work)

    return load_tokenizer(str(_kept(folder / key, learn, images, {**about, "vocabulary": "(learned)"})))
