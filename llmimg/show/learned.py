"""A training batch as it is shown: every token by its name and role, and whether the loss is over it."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from llmimg.readouts.base import TextReadout
from llmimg.show.lines import BESIDES, LEARNED, Token
from llmimg.tokens.names import token_names
from llmimg.tokens.packing import SHARED, Packed
from llmimg.tokens.sample import Example


class LearnedRow(NamedTuple):
    """A row of a training batch.

    Attributes:
        parts: the tokens of each of its sequences; where several stand behind one text, that text's first.
        shared: whether they do.
        target: what is learned of it that is none of its tokens, in words.
    """

    parts: list[list[Token]]
    shared: bool = False
    target: str | None = None

    @property
    def tokens(self) -> list[Token]:
        """All of them, in their order."""
        return [token for part in self.parts for token in part]


def learned_rows(readout: TextReadout, examples: Sequence[Example]) -> list[LearnedRow]:
    """The rows of a training batch of these examples. A token that stands in another's stead is called by both
    (`<mask>→7`)."""
    laid, batch = readout.training_sequences(examples), readout.training_batch(examples)
    ids = batch["input_ids"]
    names = [token_names(readout.vocabulary, row) for row in ids.tolist()]
    marks = np.full(ids.shape, "")
    for number, term in enumerate(readout.terms):
        labels, learned = batch[term.labels], term.learned(batch)
        if learned.shape != ids.shape:  # what is learned of a row is none of its tokens
            continue
        marks[learned.numpy()] = BESIDES if number else LEARNED
        for row, column in torch.nonzero(learned & (labels != ids)).tolist():
            (meant,) = token_names(readout.vocabulary, [int(labels[row, column])])
            names[row][column] += f"→{meant}"
    owners = laid.owners if isinstance(laid, Packed) else np.full(ids.shape, SHARED)
    rows = []
    for row, target in enumerate(readout.targets(examples)):
        tokens = [Token(*each) for each in zip(names[row], laid.roles[row].tolist(), marks[row].tolist(), strict=True)]
        edges = [0, *(np.flatnonzero(np.diff(owners[row])) + 1).tolist(), len(tokens)]
        parts = [tokens[start:stop] for start, stop in itertools.pairwise(edges)]
        rows.append(LearnedRow(parts, len(parts) > 1 and owners[row, 0] == SHARED, target))
    return rows
