"""When is looking tokens up, piece by piece, exactly what the tokenizer returns for the text?

Always when, at every junction that the grammar allows, the tokenizer keeps the two sides apart whatever stands further
off:

- A pre-tokenizer that cuts between two pieces decides so by the piece and the characters that follow it at once;
  nothing it cut apart is merged. One encoding a piece and a beginning of what may follow it shows the cut.
- Byte pair encoding that does not cut there: a sequence of tokens is what BPE returns exactly when each neighbouring
  pair of them is what BPE returns for the two joined (Berglund and van der Merwe, "Formalizing BPE tokenization",
  2023).

Where neither holds (WordPiece or Unigram inside one word, merges across a junction) there is no table.
"""

import contextlib
import functools
import json
from collections.abc import Iterator, Sequence

import numpy as np
from tokenizers import Encoding, Tokenizer

from llmimg.errors import UserError
from llmimg.textify import START, Grammar, Ragged
from llmimg.textify.finding import Finder
from llmimg.tokens.lookup import TokenTable, token_dtype
from llmimg.tokens.tokenizer import encoded

# How far pre-tokenizers look past a point where they cut: one character (`\s+(?!\S)`), and three from an apostrophe
# (English contractions: `'ll`).
_LOOK_AHEAD, _LOOK_AHEAD_FROM_APOSTROPHE = 2, 3
# A second's work: more come of lexicons of many single characters, which no pretrained tokenizer keeps apart.
_MOST_JUNCTIONS = 100_000


class NotProven(Exception):
    """A table may not be exact; the message names the junction."""


class Contexts:
    """Every piece as the tokenizer reads it in every state of the grammar, after the shortest text that leads there.

    Attributes:
        prefix: state → token ids of that shortest text.
        ids: (state, kind) → token ids of each piece of the kind, the prefix's included.
        added: texts besides the pieces' that the tokenizer takes whole, wherever they come up; a tokenizer of pieces
            alone has its special tokens, which are not asked for in an image.
    """

    def __init__(self, grammar: Grammar, backend: Tokenizer, of_pieces: bool = False):
        self.grammar = grammar
        self.backend = backend
        self.added = [] if of_pieces else [token.content for token in backend.get_added_tokens_decoder().values()]
        self.text = {START: ""}
        for state in self.text_order():
            for kind, after in grammar.moves.get(state, {}).items():
                piece = grammar.lexicon.pieces[grammar.lexicon.kinds[kind].start]
                self.text.setdefault(after, self.text[state] + piece)
        self.prefix = {state: self._ids([text], [])[0] for state, text in self.text.items()}
        self.ids = {
            (state, kind): self._ids([self.text[state] + text for text in self.of(kind)], self.prefix[state])
            for state in self.text
            for kind in grammar.moves.get(state, {})
        }

    def text_order(self) -> Iterator[str]:
        """The states, those reached by fewer pieces first, as they become known."""
        seen = 0
        while seen < len(self.text):
            yield list(self.text)[seen]
            seen += 1

    def of(self, kind: str) -> tuple[str, ...]:
        """The pieces of a kind."""
        members = self.grammar.lexicon.kinds[kind]
        return self.grammar.lexicon.pieces[members.start : members.stop]

    @functools.cached_property
    def finder(self) -> Finder:
        return Finder(self.grammar)

    @functools.cached_property
    def _rests(self) -> dict[str, set[str]]:
        rests: dict[str, set[str]] = {}
        for piece in (*self.grammar.lexicon.pieces, *self.added):
            for index in range(1, len(piece)):
                rests.setdefault(piece[:index], set()).add(piece[index:])
        return rests

    def rests(self, text: str) -> set[str]:
        """What would have to follow `text` for a piece, or a token that was added to the tokenizer, to begin in it and
        end behind it: one taken whole would span both."""
        return set().union(*(self._rests.get(text[index:], ()) for index in range(len(text))))

    def encode(self, texts: list[str]) -> list[Encoding]:
        """Each text, unframed.

        Raises:
            NotProven: where the tokenizer refuses one, as it has no token for the unknown.
        """
        try:
            return encoded(self.backend, texts)
        except UserError as error:
            raise NotProven("it refuses pieces that are cut off") from error

    def _ids(self, texts: list[str], otherwise: list[int]) -> list[list[int]]:
        """Ids of each text; of one that the tokenizer refuses, as it has no token for the unknown, `otherwise`."""
        with contextlib.suppress(NotProven):
            return [encoding.ids for encoding in self.encode(texts)]
        return [otherwise] if len(texts) == 1 else [self._ids([text], otherwise)[0] for text in texts]


def check_readable(contexts: Contexts, unknown: int | None, tokenizer_name: str) -> None:
    """Refuse a tokenizer that cannot tell the pieces apart.

    Raises:
        UserError: a piece is an unknown token or nothing at all, or two pieces that may stand at the same position are
            one; it names them.
    """
    lost = unreadable(contexts, unknown)
    if lost:
        names = ", ".join(repr(contexts.grammar.lexicon.pieces[piece]) for piece in sorted(lost)[:6])
        more = f" and {len(lost) - 6} more" if len(lost) > 6 else ""
        raise UserError(
            f"The tokenizer of {tokenizer_name} cannot tell these pieces from others or from nothing: {names}{more}. "
            "Choose vocabulary=extend (adds them as tokens), vocabulary=own, or another textifier or setting of it "
            "(numbers are safe)."
        )


def unreadable(contexts: Contexts, unknown: int | None) -> set[int]:
    """The ids of pieces that the tokenizer loses (unknown, or no token) or confuses with one at the same position."""
    lost = set()
    for state, prefix in contexts.prefix.items():
        seen: dict[tuple[int, ...], int] = {tuple(prefix): -1}
        for kind in contexts.grammar.moves.get(state, {}):
            members = contexts.grammar.lexicon.kinds[kind]
            for piece, ids in zip(members, contexts.ids[state, kind], strict=True):
                twin = seen.setdefault(tuple(ids), piece)
                if twin != piece:
                    lost |= {piece, twin} - {-1}
                if unknown is not None and unknown in ids[len(prefix) :]:
                    lost.add(piece)
    return lost


def prove(contexts: Contexts, whole: bool = False) -> TokenTable:
    """The table for a tokenizer, with the proof that it is exact.

    Args:
        whole: whether the tokenizer does nothing but find pieces, the longest first: then it keeps every junction that
            no longer piece spans.

    Raises:
        NotProven: where some junction is not kept.
    """
    grammar = contexts.grammar
    at_start: dict[int, list[int]] = {}
    inside: dict[int, list[int]] = {}
    for (state, kind), encodings in contexts.ids.items():
        known = at_start if state == START else inside
        for piece, ids in zip(grammar.lexicon.kinds[kind], encodings, strict=True):
            prefix = contexts.prefix[state]
            if ids[: len(prefix)] != prefix or known.setdefault(piece, ids[len(prefix) :]) != ids[len(prefix) :]:
                raise NotProven(_junction(contexts.text[state], grammar.lexicon.pieces[piece]))

    done = set()
    for state, moves in grammar.moves.items():
        for kind, after in moves.items():
            if state in contexts.text and (kind, after, state == START) not in done:
                done.add((kind, after, state == START))
                _check_spanning(contexts, kind, after)
                if not whole:
                    _check_junctions(contexts, state, kind, after, inside)

    size = len(grammar.lexicon)
    rows = [inside.get(piece) or at_start.get(piece) or [] for piece in range(size)]
    rows += [at_start.get(piece) or inside.get(piece) or [] for piece in range(size)]
    dtype = token_dtype(contexts.backend)
    ids = Ragged.from_rows([np.asarray(row, dtype) for row in rows], dtype)
    return TokenTable(ids, start_differs=any(inside.get(piece, row) != row for piece, row in at_start.items()))


def _check_spanning(contexts: Contexts, kind: str, after: str) -> None:
    """No piece or added token begins in one of `kind` and ends in what may follow it: taken whole, it would stand
    instead of them."""
    for rest in sorted(set().union(*map(contexts.rests, contexts.of(kind)))):
        if contexts.finder.opens(after, rest):
            raise NotProven(f"a longer piece may begin in one and end with the next one's {rest!r}")


def _check_junctions(contexts: Contexts, state: str, kind: str, after: str, inside: dict[int, list[int]]) -> None:
    """Every piece of `kind`, in `state`, keeps apart from whatever may follow it."""
    grammar = contexts.grammar
    openings = sorted(_openings(grammar, after, _look_ahead(grammar)))
    if len(openings) * len(contexts.of(kind)) > _MOST_JUNCTIONS:
        raise NotProven(f"{len(openings) * len(contexts.of(kind)):,} junctions are too many to look at")
    prefix = contexts.prefix[after]
    alone = [encoding.ids[len(prefix) :] for encoding in contexts.encode([contexts.text[after] + o for o in openings])]
    uncut = set()
    for text, ids in zip(contexts.of(kind), contexts.ids[state, kind], strict=True):
        joints = contexts.encode([contexts.text[state] + text + opening for opening in openings])
        for opening, right, joint in zip(openings, alone, joints, strict=True):
            if not right or joint.ids != ids + right:
                raise NotProven(_junction(text, opening))
            if joint.word_ids[len(ids) - 1] == joint.word_ids[len(ids)]:
                uncut.add((ids[-1], opening[0]))
    if uncut:
        if not _is_simple_bpe(contexts.backend):
            raise NotProven(_junction(contexts.of(kind)[0], openings[0]))
        followers = {
            (inside[piece][0], grammar.lexicon.pieces[piece][0]) for piece, _ in grammar.allowed(after) if inside[piece]
        }
        for left, opening in uncut:
            for right, first in followers:
                if opening == first:
                    _check_pair(contexts.backend, left, right)


def _check_pair(backend: Tokenizer, left: int, right: int) -> None:
    texts = str(backend.id_to_token(left)), str(backend.id_to_token(right))
    if [token.id for token in backend.model.tokenize("".join(texts))] != [left, right]:
        raise NotProven(_junction(*texts))


def _is_simple_bpe(backend: Tokenizer) -> bool:
    written = json.loads(backend.to_str())
    model, cutter = written["model"], json.dumps(written["pre_tokenizer"])
    affixes = ("dropout", "ignore_merges", "continuing_subword_prefix", "end_of_word_suffix")
    # A regular expression may cut a piece by how much of a word came before it: `\d{1,3}`.
    expressed = '"Regex"' in cutter or '"use_regex": true' in cutter
    return model["type"] == "BPE" and not any(model.get(name) for name in affixes) and not expressed


def _look_ahead(grammar: Grammar) -> int:
    apostrophe = any("'" in piece for piece in grammar.lexicon.pieces)
    return _LOOK_AHEAD_FROM_APOSTROPHE if apostrophe else _LOOK_AHEAD


def _openings(grammar: Grammar, state: str, length: int) -> set[str]:
    """The first `length` characters of whatever may come from `state` on (fewer where the text ends before)."""
    openings = set()
    for piece, after in grammar.allowed(state):
        text = grammar.lexicon.pieces[piece]
        rest = _openings(grammar, after, length - len(text)) if len(text) < length else set()
        openings |= {text[:length]} if after in grammar.final or not rest else set()
        openings |= {text + more for more in rest}
    return openings


def _junction(left: str, right: str) -> str:
    return f"it does not keep {left!r} and {right!r} apart"


def sample_differs(pieces: Ragged, table: TokenTable, texts: Sequence[str], backend: Tokenizer) -> bool:
    """Whether real texts come out otherwise than the tokenizer has them: a second look at what was proven."""
    encodings = backend.encode_batch_fast(list(texts), add_special_tokens=False)
    return any(ids.tolist() != encoding.ids for ids, encoding in zip(table(pieces), encodings, strict=True))
