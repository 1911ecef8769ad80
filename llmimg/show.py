"""One image as text: what a language model would read of it, and at what cost."""

from dataclasses import dataclass
from typing import Any

from llmimg import textify
from llmimg.data import Decoding, decode
from llmimg.errors import UserError
from llmimg.metrics.image import psnr_db
from llmimg.settings import choose
from llmimg.tokens.vocabulary import VOCABULARIES, load_tokenizer, make_vocabulary

_SHOWN_CHARACTERS = 2000
_SHOWN_TOKENS = 32


@dataclass(frozen=True)
class ShowSettings:
    """Attributes:
    textify: the textifier's name and settings.
    size: height and width the image is brought to first; null leaves it as it is.
    fit: how (`stretch`, `crop`, `pad`).
    vocabulary: `own`, `reuse` or `extend`; null is `reuse` where a tokenizer is given, `own` otherwise.
    tokenizer: whose tokens to count: a hub id or a local folder.
    """

    textify: dict[str, Any]
    size: int | None = None
    fit: str = "stretch"
    vocabulary: str | None = None
    tokenizer: str | None = None


def show(path: str, settings: ShowSettings) -> str:
    """The text of the image at `path`, its tokens and their number, as lines for a terminal.

    Raises:
        UserError: an image that cannot be read or written as text, or a tokenizer that is not there.
    """
    names = dict(settings.textify)
    textifier = textify.make(names.pop("name"), **names)
    size = None if settings.size is None else (settings.size, settings.size)
    image = Decoding(size, settings.fit).fitted(decode(path))
    pieces = textifier.write(image[None])
    name = settings.vocabulary or ("reuse" if settings.tokenizer else "own")
    choose(name, VOCABULARIES, "vocabulary")
    if name == "learn":
        raise UserError("vocabulary=learn learns from a whole training split: show takes own, reuse or extend.")
    if name != "own" and not settings.tokenizer:
        raise UserError(f"vocabulary={name} needs a tokenizer: give tokenizer= a hub id or a local folder.")
    tokenizer = load_tokenizer(settings.tokenizer) if settings.tokenizer else None
    vocabulary = make_vocabulary(name, textifier, tokenizer)
    ids = vocabulary.lookup(pieces).values
    tokens = vocabulary.tokenizer.convert_ids_to_tokens(ids[:_SHOWN_TOKENS].tolist())
    text = textifier.texts(pieces)[0]
    back = textifier.read(pieces, *image.shape[:2])
    height, width, channels = image.shape
    lines = [
        _cut(text, _SHOWN_CHARACTERS),
        "",
        " │ ".join(tokens) + (f" │ … ({len(ids) - _SHOWN_TOKENS:,} more)" if len(ids) > _SHOWN_TOKENS else ""),
        "",
        f"{path}: {width} × {height} pixels, {'gray' if channels == 1 else 'colour'}",
        f"{len(text):,} characters, {len(pieces.values):,} pieces, {len(ids):,} tokens "
        f"({vocabulary.name}{f' of {settings.tokenizer}' if settings.tokenizer else ', one a piece'})",
        vocabulary.note,
    ]
    if back is not None:
        lines.append(f"The image its text gives back: PSNR {psnr_db([image], [back[0]]):.1f} dB.")
    return "\n".join(lines)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}… ({len(text) - length:,} more characters)"
