"""conf/vocabulary and conf/tokens."""

from typing import Annotated, Literal

from pydantic import Field

from llmimg.settings import Positive, Seed, settings_of


@settings_of("vocabulary")
class VocabularySettings:
    """conf/vocabulary.

    Attributes:
        name: `own`, `reuse`, `extend`, `learn`, or `auto`: `reuse` where the model is pretrained, `own` where it
            starts from scratch.
        path: whose tokenizer `reuse` and `extend` take, a hub id or a local folder; null is the model's.
        size: tokens that `learn` ends with, special ones included.
        learn_images: training images that `learn` merges pieces of.
        learn_seed: of their draw.
        open_size: tokens, at most, that `own` and `learn` have for open text, where a task has any; 256 of them are
            single bytes.
    """

    name: Literal["auto", "own", "reuse", "extend", "learn"] = "auto"
    path: str | None = None
    size: Positive = 1024
    learn_images: Positive = 2000
    learn_seed: Seed = 0
    open_size: Annotated[int, Field(ge=256)] = 1000


@settings_of("tokens")
class TokensSettings:
    """How image text becomes cached token ids, and what happens where it is too long.

    Attributes:
        overflow: what becomes of text that does not fit the context: `error`, or `truncate` (and reported).
        max_length: the longest sequence, framing included; null is the model's context.
        num_proc: processes that prepare; null is one for every 20,000 images, up to the number of cores.
        permute: a control: the image's tokens in another order, `fixed` for all images or drawn for `each`; or `none`.
        cache_dir: where prepared ids are kept; null is `$LLMIMG_CACHE`, or `~/.cache/llmimg`.
    """

    overflow: Literal["error", "truncate"] = "error"
    max_length: Positive | None = None
    num_proc: Positive | None = None
    permute: Literal["none", "fixed", "each"] = "none"
    cache_dir: str | None = None
