"""CIFAR-10 and GPT-2's tokenizer: from a local folder where there is one, else from the hub."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import datasets
import numpy as np
from transformers import PreTrainedTokenizerFast

from benchmarks.settings import Settings
from llmimg import textify
from llmimg.data import DataSettings, Decoding, stack
from llmimg.data.sources import load_source
from llmimg.errors import UserError
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.vocabulary import load_tokenizer, make_vocabulary

if TYPE_CHECKING:
    from datasets import Dataset

# Either side of a comparison would draw bars over the other's.
datasets.disable_progress_bars()


def data_settings(settings: Settings) -> DataSettings:
    """As `data=cifar10` has them."""
    return DataSettings(name="cifar10", path=settings.data_path)


def cifar10(settings: Settings) -> Mapping[str, "Dataset"]:
    """The splits train and test as they are stored (nothing carved), undecoded, cut to `settings.images` in all.

    Raises:
        UserError: where the images can be had neither locally nor from the hub.
    """
    try:
        source = load_source(data_settings(settings))
    except UserError as error:
        raise UserError(
            f"The benchmarks need CIFAR-10, and '{settings.data_path}' gives none ({str(error).rstrip('.')}): name a "
            "local folder in the hub's layout with data=, or connect to the network."
        ) from error
    # Five in six are the training split's, as in the whole set.
    test = min(len(source["test"]), settings.images // 6)
    train = min(len(source["train"]), settings.images - test)
    return {"train": source["train"].select(range(train)), "test": source["test"].select(range(test))}


def gpt2_tokenizer(settings: Settings) -> PreTrainedTokenizerFast:
    """GPT-2's fast tokenizer.

    Raises:
        UserError: where it can be had neither locally nor from the hub.
    """
    try:
        return load_tokenizer(settings.tokenizer_path)
    except UserError as error:
        raise UserError(
            f"The benchmarks need GPT-2's tokenizer, and '{settings.tokenizer_path}' gives none: name a local folder "
            "that holds it with tokenizer=, or connect to the network."
        ) from error


def encoder(tokenizer: PreTrainedTokenizerFast, name: str = "region_color", **textifier_settings: int) -> Encoder:
    """Images as they are → the text of that textifier → the tokenizer's own tokens."""
    textifier = textify.make(name, **(textifier_settings or {"grid": 4}))
    return Encoder(Decoding(), textifier, make_vocabulary("reuse", textifier, tokenizer))


def decoded(dataset: "Dataset", count: int) -> np.ndarray:
    """The first images of a split: uint8 `[N, 32, 32, 3]`."""
    images, _ = Decoding()(dataset[:count]["image"])
    return stack(images)
