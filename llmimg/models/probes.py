"""What an endpoint is asked before it is believed.

A server may be wrong without failing: log-probabilities that stand at the wrong token (abetlen/llama-cpp-python#1983 is
of the kind), a prompt truncated to its context, a temperature that is not kept, another model than the one named.
"""

import itertools
import re
from collections.abc import Sequence

import numpy as np

from llmimg.errors import UserError
from llmimg.models.answers import Answer
from llmimg.models.echoed import Tokens, echoed_tokens
from llmimg.models.endpoint import Endpoint
from llmimg.models.replies import Unspelled

# What is to be gone on with, and what is put behind: words that hardly anything lets expect, so that a value from
# elsewhere shows. An image's own text comes first: a model may know nothing else.
_PROBES = (
    ("Seven quiet lamps cost 52 pounds.\nThe capital of France is", " zebra 48 of\n\nthe"),
    ("1 2 3 4 5 6 7 8 9\nclass: 4\n9 8 7 6 5", " lamp, France 7\nquiet"),
)
_VERSION = re.compile(r"([-:@._](\d{2,}|latest|gguf|i?q\d\w*))*")
_WRITTEN = 8  # tokens that the server writes
# Nats. Half precision, other batches and quantised caches move single log-probabilities by some hundredths, at worst by
# a quarter or so; a neighbour's value lies whole nats away.
_NOISE, _MOST_NOISE = 0.15, 0.5
_SURE = 0.02
_CERTAIN = 1e-4
_LEAST_SHARE = 0.75  # of the tokens that a text was to have


def check_echo(endpoint: Endpoint, text: str, anew: bool = False) -> None:
    """Hold the log-probabilities that a server gives of a prompt against those of the same tokens as it wrote them.

    Args:
        text: an image's, of which a part is gone on with.

    Raises:
        UserError: where they differ, with both; where a server gives none; or where nothing could be compared.
    """
    words = text.split(" ")
    half = min(len(words) // 2, 24)
    own = (" ".join(words[:half]), f" {' '.join(words[half : 2 * half])}") if half else (text, text)
    compared = False
    greedy = [(*probe, {"temperature": 0.0}) for probe in (own, *_PROBES)]
    # Where greedy tokens are called certain, or are the same again and again, they are drawn.
    for prompt, behind, how in [*greedy, (*own, {"temperature": 1.0, "top_p": 1.0})]:
        try:
            agreed = _compare(endpoint, prompt, behind, how, anew)
        except Unspelled:
            if prompt == own[0]:
                raise
            continue  # a tokenizer of images' pieces has no other words
        compared |= agreed is not None
        if agreed:
            return
    if not compared:
        raise UserError(
            f"{endpoint.url} gives log-probabilities of a prompt for the model '{endpoint.model}' that cannot be held "
            "against those of what it writes: it writes nothing, or calls all it writes certain. Take readout=generate."
        )


def _compare(endpoint: Endpoint, prompt: str, behind: str, how: dict[str, float], anew: bool) -> bool | None:
    """As `_agree`, of what the model writes behind a prompt; None where it calls all that certain."""
    (said,) = endpoint.ask([{"prompt": prompt, "max_tokens": _WRITTEN, "logprobs": 1, **how}], anew, estimate=False)
    written = list(itertools.takewhile(lambda each: _is_its_text(each[0]), said.tokens[:_WRITTEN]))
    if all(value is None or abs(value) < _CERTAIN for _, value in written):
        return None
    text = prompt + "".join(token for token, _ in written) + behind
    given = {"prompt": text, "max_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0.0}
    (echoed,) = endpoint.ask([given], anew, estimate=False)
    return _agree(written, echoed_tokens(echoed, text), len(prompt), endpoint)


def _is_its_text(token: str) -> bool:
    """Whether a token's text is all there is to it: no mark of its own (`</s>`), no part of a character."""
    return bool(token) and token.isascii() and not (token.startswith("<") and token.endswith(">"))


def _agree(written: Tokens, given: Tokens, begin: int, endpoint: Endpoint) -> bool | None:
    """Whether the tokens from the character `begin` on have the log-probabilities they were written with, and could not
    have a neighbour's; None where the text was read as other tokens.

    Raises:
        UserError: where they have others.
    """
    starts = np.cumsum([0, *(len(token) for token, _ in given)])[: len(given)]
    first = int(np.searchsorted(starts, begin))
    pairs = ((one, other) for (one, _), (other, _) in zip(written, given[first:], strict=False))
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    if first == 0 or not same:
        return None
    told = np.array([np.nan if value is None else value for _, value in given], np.float64)
    wrote = np.array([np.nan if value is None else value for _, value in written[:same]], np.float64)
    apart = np.abs(told[first : first + same] - wrote)
    late, early = (
        np.abs(told[first + shift :][:same] - wrote).mean() if first + shift + same <= len(told) else np.inf
        for shift in (1, -1)
    )
    neighbour = min(late, early)
    mean = float(apart.mean())
    if not (mean <= _NOISE and apart.max() <= _MOST_NOISE) or (mean > _SURE and neighbour < mean / 2):
        worst = int(np.argmax(np.nan_to_num(apart, nan=np.inf)))
        raise UserError(
            f"{endpoint.url} gives other log-probabilities of a prompt than of the same words as the model "
            f"'{endpoint.model}' writes them: {written[worst][0]!r} has {told[first + worst]:.3f} when echoed and "
            f"{wrote[worst]:.3f} when written. No probability of a class could be trusted: use another server, or take "
            "readout=generate."
        )
    return bool(neighbour > max(2 * mean, _SURE)) and len({token for token, _ in written[:same]}) > 1


def parts(text: str) -> list[str]:
    """The first half and the first three quarters of an image's text, to see how the tokens read grow with it; none of
    a text too short to tell."""
    words = text.split(" ")
    if len(words) >= 16:
        return [" ".join(words[: len(words) * share // 4]) for share in (2, 3)]
    return [text[: len(text) * share // 4] for share in (2, 3)] if len(text) >= 64 else []


def short_reading(probes: Sequence[tuple[str, Answer]], asked: Sequence[tuple[str, Answer]]) -> str | None:
    """A sentence where the endpoint read fewer tokens than its prompts have, by its own count; None where it did not.

    Args:
        probes: the two `parts` of a text, each with its answer.
        asked: the texts asked about, each with its answer.
    """
    if any(answer.read is None for _, answer in (*probes, *asked)):
        return "The endpoint does not say how many tokens it read: whether it read whole prompts cannot be known."
    if len(probes) < 2:
        return None
    (half, less), (longer, more) = probes
    begin = less.read or 0
    gain = (more.read or 0) - begin

    def due(text: str) -> float:
        """Tokens that a prompt with the text has beyond one with the half, as far as characters and words tell."""
        sizes = [(len(each), len(each.split())) for each in (half, longer, text)]
        return gain * min((z - x) / (y - x) for x, y, z in zip(*sizes, strict=True) if y > x)

    short = [
        (read, begin + due(text))
        for text, read in ((text, answer.read or 0) for text, answer in asked)
        if gain <= 0 or read - begin < _LEAST_SHARE * due(text)
    ]
    if not short:
        return None
    read, whole = short[0]
    expected = f"{read:,} of about {whole:,.0f}" if gain > 0 else f"{read:,}, and as many of half the text"
    return (
        f"The endpoint read fewer tokens of {len(short):,} of {len(asked):,} prompts than they have, by its own count: "
        f"{expected}. It truncated them, or does not count what it kept of an earlier one: look at its context length, "
        "as an answer to a part of an image is none."
    )


def differing(one: Answer, other: Answer) -> str | None:
    """A sentence where the same request was answered in two ways."""
    if one.text == other.text:
        return None
    return (
        f"Asked the same twice, the endpoint wrote {one.text[:60]!r} and {other.text[:60]!r}: it does not keep to "
        "temperature=0, and another run will come to other numbers."
    )


def other_models(answers: Sequence[Answer], model: str) -> str | None:
    """A sentence where answers come from other models than the one asked, by the name that the endpoint gives."""
    names = sorted({answer.model for answer in answers if answer.model})
    other = [name for name in names if not _is_same(name, model)]
    if len(names) < 2 and not other:
        return None
    return (
        f"The endpoint says that {' and '.join(map(repr, names))} answered, where {model!r} was asked for: see which "
        "model that is."
    )


def _is_same(name: str, asked: str) -> bool:
    """A dated version, a path or a quantisation of the same name is the same."""
    short, long = sorted((each.casefold().rsplit("/", 1)[-1] for each in (name, asked)), key=len)
    return long.startswith(short) and _VERSION.fullmatch(long[len(short) :]) is not None
