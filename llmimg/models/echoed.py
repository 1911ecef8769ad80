"""How likely a model finds the ends of texts, from the log-probabilities that a server echoes."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from llmimg.errors import UserError
from llmimg.models.answers import Answer

Tokens = Sequence[tuple[str, float | None]]


class Tails(NamedTuple):
    """Texts that begin alike.

    Attributes:
        log_likelihoods: of what follows where they part, for each.
        drift: how far the log-probabilities of their common beginning lie apart, at most, in nats: nothing, if the
            server is exact, as nothing that follows can change them.
    """

    log_likelihoods: list[float]
    drift: float


def tails(answers: Sequence[Answer], texts: Sequence[str], by_length: bool) -> Tails:
    """Log P(end of a text | what all texts begin with), by echoed tokens.

    Args:
        answers: one a text, with its echoed tokens.
        by_length: the mean of the tokens and not their sum.

    Raises:
        UserError: where a token has no log-probability, or one text is the beginning of another.
    """
    tokens = [echoed_tokens(answer, text) for answer, text in zip(answers, texts, strict=True)]
    columns = zip(*tokens, strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda column: len({name for name, _ in column}) == 1, columns))
    if any(len(each) == shared for each in tokens):
        raise UserError(
            "The tokens of one answer begin those of another, and an endpoint says nothing of where an answer ends: "
            "let task.prompts go on behind {answer}, as with a line break."
        )
    if any(value is None for each in tokens for _, value in each[max(shared, 1) :]):
        raise UserError(
            "The endpoint gives a token in the middle of a text no log-probability: take readout=generate, which reads "
            "what the model writes."
        )
    if any(each[shared][1] is None for each in tokens):
        raise UserError(
            "An answer begins the text, where no token has a probability: put some words in front of {image} in "
            "task.prompts."
        )
    common = np.array([[np.nan if value is None else value for _, value in each[:shared]] for each in tokens])
    known = common[:, ~np.isnan(common).any(axis=0)]
    drift = float(np.ptp(known, axis=0).max()) if known.size else 0.0
    ends = [[value for _, value in each[shared:] if value is not None] for each in tokens]
    return Tails([float(np.mean(each) if by_length else np.sum(each)) for each in ends], drift)


def echoed_tokens(answer: Answer, text: str) -> Tokens:
    """The tokens of `text` itself: what a server tells in front of it (the token that begins every text) and behind it
    (what the model wrote) left out."""
    names = [name for name, _ in answer.tokens]
    front = "".join(names).index(text)
    starts = np.cumsum([0, *map(len, names[:-1])]) - front
    return [answer.tokens[index] for index in np.flatnonzero((starts >= 0) & (starts < len(text)))]
