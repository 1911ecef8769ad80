"""Piece ids → token ids: by table, or by the tokenizer itself where a table cannot be proven."""

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from llmimg.errors import UserError
from llmimg.textify import START, Grammar, Lexicon, Ragged
from llmimg.textify.ragged import ends_to_offsets
from llmimg.tokens.tokenizer import encoded


class Way(NamedTuple):
    """One or more pieces that may be written in a state of the grammar.

    Attributes:
        tokens: ids, one or more.
        pieces: ids.
        after: the grammar's state behind them.
        cells: how many cells of a budget they fill.
    """

    tokens: tuple[int, ...]
    pieces: tuple[int, ...]
    after: str
    cells: int = 0


def token_dtype(backend: Tokenizer) -> np.dtype:
    """The smallest unsigned type that holds every token id, 16 bits at least: half the cache for most vocabularies."""
    return np.promote_types(np.uint16, np.min_scalar_type(backend.get_vocab_size() - 1))


@dataclass(frozen=True)
class TokenTable:
    """Token ids by look-up, without a string being built. `llmimg.tokens.proof` makes it, and only where it is exact.

    Attributes:
        ids: 2·P rows for P pieces: what each is inside a text, then what each is at the start of one.
        start_differs: whether any piece reads differently at the start of a text.
    """

    ids: Ragged
    start_differs: bool

    @classmethod
    def one_each(cls, tokens: Sequence[int], dtype: np.dtype) -> "TokenTable":
        """Of pieces that are one token each, `[P]`."""
        ids = np.tile(np.asarray(tokens, dtype), 2)
        return cls(Ragged(ids, np.arange(len(ids) + 1)), start_differs=False)

    @property
    def dtype(self) -> np.dtype:
        """The type of token ids."""
        return self.ids.values.dtype

    @property
    def most_tokens(self) -> int:
        """How many tokens a piece has at most."""
        return int(self.ids.lengths.max())

    @property
    def fingerprint(self) -> str:
        """A hash of the token ids of each piece, and of nothing else."""
        parts = (self.dtype.str, self.ids.values.tobytes(), self.ids.offsets.astype(np.int64).tobytes())
        return _hashed("table", *parts, self.start_differs)

    def __call__(self, pieces: Ragged) -> Ragged:
        """Token ids of each row of pieces."""
        values, starts = self._rows(pieces), self.ids.offsets[:-1]
        lengths = self.ids.lengths
        if lengths.max(initial=1) == lengths.min(initial=1) == 1:
            return Ragged(self.ids.values[values], pieces.offsets)
        lengths = lengths[values]
        ends = ends_to_offsets(lengths)
        # Token j of a piece that begins at output index e and at table index s stands at table index s + (index − e).
        indices = np.repeat(starts[values] - ends[:-1], lengths) + np.arange(ends[-1])
        return Ragged(self.ids.values[indices], ends[pieces.offsets])

    def spans(self, pieces: Ragged) -> np.ndarray:
        """Which pieces each token is written by: int64 `[tokens, 2]`, first and last index in `pieces.values`."""
        index = np.repeat(np.arange(len(pieces.values)), self.ids.lengths[self._rows(pieces)])
        return np.stack([index, index], axis=1)

    def ways(self, grammar: Grammar, cells: Sequence[int] | np.ndarray | None = None) -> dict[str, list[Way]]:
        """What may be written in each state of a grammar: one piece at a time.

        Args:
            cells: how many cells of a budget each piece fills, int `[P]`; None is none.
        """
        half = len(self.ids) // 2
        return {
            state: [
                Way(
                    tuple(self.ids[piece + half * (self.start_differs and state == START)].tolist()),
                    (piece,),
                    after,
                    0 if cells is None else int(cells[piece]),
                )
                for piece, after in grammar.allowed(state)
            ]
            for state in grammar.moves
        }

    def _rows(self, pieces: Ragged) -> np.ndarray:
        if not self.start_differs:
            return pieces.values
        rows = pieces.values.astype(np.int64)
        rows[pieces.offsets[:-1][pieces.lengths > 0]] += len(self.ids) // 2
        return rows


@dataclass(frozen=True)
class BatchTokenizer:
    """Token ids by the fast tokenizer, in batches: always right, some hundred times slower.

    Attributes:
        lexicon: the pieces.
        backend: the tokenizer.
        unknown: the id that stands for what it cannot read, where there is one.
    """

    lexicon: Lexicon
    backend: Tokenizer
    unknown: int | None = None

    @property
    def dtype(self) -> np.dtype:
        """The type of token ids."""
        return token_dtype(self.backend)

    @property
    def fingerprint(self) -> str:
        """A hash of the tokenizer's contents, and of how it is used."""
        return _hashed(type(self).__name__, self.backend.to_str())

    def __call__(self, pieces: Ragged) -> Ragged:
        """Token ids of each row of pieces.

        Raises:
            UserError: a text whose pieces the tokenizer can read apart, and not together (a word may be too long).
        """
        texts = self._texts(pieces)
        encodings = encoded(self._reader, texts, offsets=False)
        for row, encoding in enumerate(encodings):
            if self.unknown is not None and self.unknown in encoding.ids:
                text = self.lexicon.text(pieces[row])
                raise UserError(
                    f"The tokenizer cannot read the text {text[:40]!r}… as a whole, though it can read its pieces: "
                    "take vocabulary=extend, vocabulary=own, or a textifier that writes spaces between its pieces."
                )
        return Ragged.from_rows([np.asarray(encoding.ids, self.dtype) for encoding in encodings], self.dtype)

    def spans(self, pieces: Ragged) -> np.ndarray:
        """Which pieces each token covers, from the tokenizer's offsets: int64 `[tokens, 2]`, first and last index."""
        spans, lengths = [np.empty((0, 2), np.int64)], self._lengths
        encodings = encoded(self._untrimmed, self._texts(pieces))
        for row, first, encoding in zip(pieces, pieces.offsets, encodings, strict=False):
            ends = np.cumsum(lengths[row])
            offsets = np.asarray(encoding.offsets, np.int64).reshape(-1, 2)
            begin = np.searchsorted(ends, offsets[:, 0], side="right")
            last = np.searchsorted(ends, np.maximum(offsets[:, 1] - 1, offsets[:, 0]), side="right")
            spans.append(first + np.stack([begin, last], axis=1))
        return np.concatenate(spans)

    def _texts(self, pieces: Ragged) -> list[str]:
        """What the tokenizer is given for each row."""
        return [self.lexicon.text(row) for row in pieces]

    @functools.cached_property
    def _lengths(self) -> np.ndarray:
        """How many characters stand for each piece in that: int64 `[P]`."""
        return np.array([len(piece) for piece in self.lexicon.pieces], np.int64)

    @property
    def _reader(self) -> Tokenizer:
        return self.backend

    @functools.cached_property
    def _untrimmed(self) -> Tokenizer:
        # Post-processors may take spaces out of the offsets (RoBERTa, Llama 3), and a space may be a piece.
        backend = Tokenizer.from_str(self._reader.to_str())
        backend.post_processor = None
        return backend


def one_token_pieces(lookup: Callable[[Ragged], Ragged], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pieces that are one token, and that token: int64 `[n]` both. A piece may come twice, as it is inside a text and
    as it is at the start of one.

    Args:
        lookup: one of these classes, or another that gives the token ids of pieces.
        count: how many pieces there are.
    """
    if isinstance(lookup, TokenTable):
        ids, pieces = lookup.ids, np.arange(len(lookup.ids)) % count
    else:
        alone = Ragged(np.arange(count), np.arange(count + 1))
        ids, pieces = lookup(alone), alone.values
    single = ids.lengths == 1
    return pieces[single], ids.values[ids.offsets[:-1][single]].astype(np.int64)


def _hashed(*parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else f"{part}\0".encode())
    return digest.hexdigest()


def token_boxes(spans: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The union of the boxes of the pieces each token covers.

    Args:
        spans: int64 `[tokens, 2]`, first and last piece, as `spans` of either class gives.
        boxes: int32 `[pieces, 4]`, as `Textifier.boxes` gives.

    Returns:
        int32 `[tokens, 4]`.
    """
    if not len(spans):
        return np.empty((0, 4), np.int32)
    # reduceat takes what lies between two positions; every second result is the gap between two spans.
    edges = np.stack([spans[:, 0], spans[:, 1] + 1], axis=1).reshape(-1)
    padded = np.concatenate([boxes, boxes[-1:]])
    low = np.minimum.reduceat(padded[:, :2], edges, axis=0)[::2]
    high = np.maximum.reduceat(padded[:, 2:], edges, axis=0)[::2]
    return np.concatenate([low, high], axis=1)
