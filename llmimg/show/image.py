"""One image as text: what a language model would read of it, and at what cost."""

from typing import Any

import numpy as np

from llmimg import textify
from llmimg.data import Decoding, decode, wide_samples
from llmimg.data.depth import white_for
from llmimg.data.placement import Fit
from llmimg.errors import UserError
from llmimg.metrics.image import psnr_db
from llmimg.nearest import choose
from llmimg.settings import Positive, settings_of
from llmimg.show.lines import Style, Token
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import IMAGE
from llmimg.tokens.names import token_names
from llmimg.tokens.vocabulary import VOCABULARIES, Vocabulary, load_tokenizer, make_vocabulary

_SHOWN_BEGINNING = 60


@settings_of()
class ShowSettings:
    """Attributes:
    textify: the textifier's name and settings.
    size: height and width the image is brought to first; null leaves it as it is.
    fit: how (`stretch`, `crop`, `pad`, `middle`).
    vocabulary: `own`, `reuse` or `extend`; null is `reuse` where a tokenizer is given, `own` otherwise.
    tokenizer: whose tokens to count: a hub id or a local folder.
    full: whether the middle of a long text is shown too.
    """

    textify: dict[str, Any]
    size: Positive | None = None
    fit: Fit = "stretch"
    vocabulary: str | None = None
    tokenizer: str | None = None
    full: bool = False


def show(path: str, settings: ShowSettings) -> str:
    """The text of the image at `path`, its tokens and their number, as lines for a terminal.

    Raises:
        UserError: an image that cannot be read or written as text, or a tokenizer that is not there.
    """
    textifier, image = textify.make(**settings.textify), _image(path, settings)
    textifier = _learned(textifier, image)
    encoder = Encoder(_decoding(path, settings), textifier, _vocabulary(textifier, settings))
    style = Style.of_terminal(settings.full)
    names = token_names(encoder.vocabulary, encoder.ids([image]).values.tolist())
    lines = [
        style.text(textifier.texts(textifier.write(image[None]))[0]),
        "",
        *style.listed("image", [Token(name, IMAGE) for name in names]),
        "",
        *cost_lines(path, encoder, settings.tokenizer),
    ]
    return "\n".join([*lines, _LEARNED] if textifier.is_learned else lines)


def cost_lines(path: str, encoder: Encoder, whose: str | None, room: int | None = None) -> list[str]:
    """What the text of the image at `path` costs, and what it keeps of the image.

    Args:
        whose: where the tokenizer is from; None of one that was made here.
        room: how many tokens of it are read; None reads all.
    """
    decoding, vocabulary = encoder.decoding, encoder.vocabulary
    image = decoding.fitted(decode(path, white=decoding.white))
    pieces = encoder.textifier.write(image[None])
    tokens = len(vocabulary.lookup(pieces).values)
    back = encoder.reconstructions([image], room)
    lines = [
        _about(path, image, decoding.white),
        f"{len(encoder.textifier.texts(pieces)[0]):,} characters, {len(pieces.values):,} pieces, {tokens:,} tokens "
        f"({vocabulary.name}{f' of {whose}' if whose else ', one a piece'})",
        vocabulary.note,
    ]
    if room is not None and tokens > room:
        lines.append(f"The model reads {room:,} of these tokens; the rest is truncated.")
    if back is not None:
        lines.append(f"The image its text gives back: PSNR {psnr_db([image], [back[0]]):.1f} dB.")
    return lines


def show_all(path: str, settings: ShowSettings) -> str:
    """Every textifier, as its settings are by default, on the image at `path`: what each costs and begins with.

    Raises:
        UserError: an image that cannot be read, or a tokenizer that is not there.
    """
    image = _image(path, settings)
    _vocabulary(textify.make("gray", levels=2), settings)  # a tokenizer that is not there is no textifier's fault
    rows = [("textify", "tokens", "characters", "PSNR", "text")]
    for name in sorted(textify.TEXTIFIERS.entries()):
        try:
            textifier = _learned(textify.make(name), image)
            pieces = textifier.write(image[None])
            vocabulary = _vocabulary(textifier, settings)
        except UserError as error:
            rows.append((name, "–", "–", "–", str(error)))
            continue
        text, back = textifier.texts(pieces)[0], textifier.read(pieces, *image.shape[:2])
        tokens = len(vocabulary.lookup(pieces).values)
        quality = "–" if back is None else f"{psnr_db([image], [back[0]]):.1f} dB"
        begins = text[:_SHOWN_BEGINNING].replace("\n", "⏎") + ("…" if len(text) > _SHOWN_BEGINNING else "")
        rows.append((name + "*" * textifier.is_learned, f"{tokens:,}", f"{len(text):,}", quality, begins))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([f"{row[0]:<{widths[0]}}", *(f"{row[column]:>{widths[column]}}" for column in (1, 2, 3)), row[4]])
        for row in rows
    ]
    counted = f"Tokens of {settings.tokenizer}." if settings.tokenizer else "One token a piece."
    return "\n".join([*lines, "", _about(path, image, _decoding(path, settings).white), f"{counted} * {_LEARNED}"])


_LEARNED = "What it writes with was learned from this image alone; a run learns from its training images."


def _image(path: str, settings: ShowSettings) -> np.ndarray:
    decoding = _decoding(path, settings)
    return decoding.fitted(decode(path, white=decoding.white))


def _decoding(path: str, settings: ShowSettings) -> Decoding:
    """By what the image's own samples say, as a run goes by those of its training images."""
    samples = wide_samples(path)
    try:
        white = None if samples is None else white_for(int(samples.max()))
    except UserError as error:
        raise UserError(f"The image {path} cannot be read: {error}.") from error
    return Decoding(None if settings.size is None else (settings.size, settings.size), settings.fit, white)


def _about(path: str, image: np.ndarray, white: int | None) -> str:
    height, width, channels = image.shape
    depth = "" if white is None or wide_samples(path) is None else f", {white:,} of its samples counts as white"
    return f"{path}: {width} × {height} pixels, {'gray' if channels == 1 else 'colour'}{depth}"


def _learned(textifier: textify.Textifier, image: np.ndarray) -> textify.Textifier:
    """The textifier; one that learns, with what copies of this image give that are moved about, so that they hold what
    lies between the points of its grid too."""
    if not textifier.is_learned:
        return textifier
    moved = [np.roll(image, (down, right), axis=(0, 1)) for down in range(4) for right in range(4)]
    return textifier.with_state(textifier.learn(moved))


def _vocabulary(textifier: textify.Textifier, settings: ShowSettings) -> Vocabulary:
    name = settings.vocabulary or ("reuse" if settings.tokenizer else "own")
    choose(name, VOCABULARIES, "vocabulary")
    if name == "learn":
        raise UserError("vocabulary=learn learns from a whole training split: show takes own, reuse or extend.")
    if name != "own" and not settings.tokenizer:
        raise UserError(f"vocabulary={name} needs a tokenizer: give tokenizer= a hub id or a local folder.")
    tokenizer = load_tokenizer(settings.tokenizer) if settings.tokenizer else None
    return make_vocabulary(name, textifier, tokenizer)
