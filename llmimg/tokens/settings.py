"""conf/vocabulary and conf/tokens."""

from dataclasses import dataclass

from llmimg.errors import UserError
from llmimg.nearest import choose


@dataclass(frozen=True)
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

    name: str = "auto"
    path: str | None = None
    size: int = 1024
    learn_images: int = 2000
    learn_seed: int = 0
    open_size: int = 1000

    def __post_init__(self):
        choose(self.name, dict.fromkeys(("auto", "own", "reuse", "extend", "learn")), "vocabulary")
        for name, least in (("size", 1), ("learn_images", 1), ("open_size", 256)):
            if getattr(self, name) < least:
                raise UserError(f"vocabulary.{name}={getattr(self, name)} is out of range: it takes {least} or more.")


@dataclass(frozen=True)
class TokensSettings:
    """How image text becomes cached token ids, and what happens where it is too long.

    Attributes:
        overflow: what becomes of text that does not fit the context: `error`, or `truncate` (cut off, and reported).
        max_length: the longest sequence, framing included; null is the model's context.
        num_proc: processes that prepare; null is one for every 20,000 images, up to the number of cores.
        permute: a control: the image's tokens in another order, `fixed` for all images or drawn for `each`; or `none`.
        cache_dir: where prepared ids are kept; null is `$LLMIMG_CACHE`, or `~/.cache/llmimg`.
    """

    overflow: str = "error"
    max_length: int | None = None
    num_proc: int | None = None
    permute: str = "none"
    cache_dir: str | None = None

    def __post_init__(self):
        choose(self.permute, dict.fromkeys(("none", "fixed", "each")), "tokens.permute")
        choose(self.overflow, {"error": None, "truncate": None}, "tokens.overflow")
        for name in ("max_length", "num_proc"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise UserError(f"tokens.{name}={getattr(self, name)} is out of range: it takes 1 or more, or null.")
