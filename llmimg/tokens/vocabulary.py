"""How pieces become token ids: `own` (one token a piece), `reuse` (a pretrained tokenizer's tokens), `extend` (pieces
added to it as tokens), `learn` (runs of pieces, by BPE)."""

import copy
import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from llmimg.errors import UserError
from llmimg.hub import load_tokenizer_files
from llmimg.nearest import choose
from llmimg.paths import local_path
from llmimg.textify import Grammar, Ragged, Textifier
from llmimg.tokens.automaton import Automaton
from llmimg.tokens.bpe import MergedPieces
from llmimg.tokens.exact import Lookup, add_pieces, answers_of_pieces, answers_of_tokenizer, image_lookup
from llmimg.tokens.lookup import BatchTokenizer, TokenTable
from llmimg.tokens.open_text import OPEN, OpenText, learn_open, saved_open, with_names
from llmimg.tokens.pieces import is_of_pieces, own_tokenizer, put_behind
from llmimg.tokens.proof import Contexts, sample_differs
from llmimg.tokens.tokenizer import PIECES, WORDS, compared_to_file, framing_of, inside_reader, mark, marked, settled


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The pieces of images and of answers as tokens of one tokenizer.

    Attributes:
        name: which of the vocabularies this is.
        tokenizer: the Hugging Face tokenizer; `tokenizer(text)` of an image's text has the ids that `lookup` gives.
        lookup: pieces of images → token ids.
        replaced: ids of tokens that the model's tokenizer did not have → the ids each stands for, if any.
        note: which way tokens are made, and why; and what was changed of the tokenizer.
        inside: whether images' texts are read as standing inside a text: without the space that some tokenizers put in
            front of one.
        grammar: of an answer that is written in pieces; None where none is.
        answers: its pieces → token ids, as they stand inside a text.
        open: what reads open text in a vocabulary of pieces, where there is any; its ids are counted from 0, and stand
            behind all others in the vocabulary (`open_ids`).
    """

    name: str
    tokenizer: PreTrainedTokenizerFast
    lookup: Lookup
    replaced: Mapping[int, tuple[int, ...]]
    note: str
    inside: bool = False
    grammar: Grammar | None = None
    answers: TokenTable | MergedPieces | None = None
    open: Tokenizer | None = None

    def checked(self, textifier: Textifier, pieces: Ragged) -> "Vocabulary":
        """Itself, or with the tokenizer instead of the table should they differ on these real pieces."""
        table, reader = self.lookup, self._image_reader
        if not isinstance(table, TokenTable) or not sample_differs(pieces, table, textifier.texts(pieces), reader):
            return self
        return self.by_tokenizer(textifier, "looked-up tokens differed on a sample of the images")

    def inside_a_text(self, textifier: Textifier) -> "Vocabulary":
        """Itself, for images whose text something stands in front of."""
        if self.of_pieces or inside_reader(self.tokenizer.backend_tokenizer) is None:
            return self
        lookup, note = image_lookup(self.name, textifier, self.tokenizer, inside=True)
        return dataclasses.replace(self, lookup=lookup, note=" ".join([note, *self.tokenizer.remarks]), inside=True)

    @functools.cached_property
    def _image_reader(self) -> Tokenizer:
        return (self.inside and inside_reader(self.tokenizer.backend_tokenizer)) or self.tokenizer.backend_tokenizer

    @property
    def is_table(self) -> bool:
        """Whether tokens of images are looked up."""
        return isinstance(self.lookup, TokenTable)

    @property
    def has_new_tokens(self) -> bool:
        """Whether there are tokens that no pretrained model knows."""
        return self.name in ("own", "learn") or bool(self.replaced)

    def by_tokenizer(self, textifier: Textifier, reason: str) -> "Vocabulary":
        """The same, with the tokenizer itself instead of the table."""
        note = f"Tokens: by the fast tokenizer in batches ({reason})."
        lookup = BatchTokenizer(textifier.lexicon, self._image_reader, self.unknown)
        return dataclasses.replace(self, lookup=lookup, note=" ".join([note, *self.tokenizer.remarks]))

    @property
    def framing(self) -> tuple[list[int], list[int]]:
        """The ids the tokenizer puts before and after a text: [CLS] and [SEP], BOS and EOS, or nothing."""
        return framing_of(self.tokenizer.backend_tokenizer)

    @property
    def end(self) -> int:
        """The id that ends an answer, and that is put behind a text where one is needed and the tokenizer puts none."""
        ids = (getattr(self.tokenizer, f"{name}_token_id") for name in ("eos", "sep", "pad"))
        return next(each for each in ids if each is not None)

    @property
    def of_pieces(self) -> bool:
        """Whether it has tokens for pieces alone: it was made here, or by the run that its tokenizer comes from."""
        return self.name in ("own", "learn") or is_of_pieces(self.tokenizer)

    @property
    def answer_table(self) -> TokenTable | MergedPieces:
        """`answers`, where some are written in pieces; a ValueError where none are."""
        if self.answers is None:
            raise ValueError("This vocabulary has no tokens for the pieces of answers.")
        return self.answers

    def automaton(self, grammar: Grammar | None, cells: Sequence[int] | np.ndarray | None = None) -> Automaton:
        """What holds answers to a grammar over their pieces, each of which fills `cells` of a budget, int `[P]`;
        without one, to one token or more of open text."""
        if grammar is None:
            return Automaton.free(self._open_text.tokens, self.end)
        return Automaton.of(self.answer_table.ways(grammar, cells), grammar.final, self.end)

    def answer_ids(self, pieces: np.ndarray) -> np.ndarray:
        """Token ids int64 `[T]` of the pieces of an answer, int `[L]`, unframed and without an end."""
        return self.answer_table(Ragged.from_rows([np.asarray(pieces, np.int64)])).values.astype(np.int64)

    @functools.cached_property
    def _open_text(self) -> OpenText:
        return OpenText(self.name, self.tokenizer, self.open)

    @property
    def original_tokenizer(self) -> Tokenizer | None:
        """What reads open text (prompts, answers): the tokenizer as it was before pieces were added to it, which would
        take the words of a sentence for themselves; None where it has none."""
        return self._open_text.original_tokenizer

    @property
    def unknown(self) -> int | None:
        """The id that stands for what the tokenizer cannot read."""
        return self._open_text.unknown

    def read(self, text: str, inside: bool = False) -> list[int]:
        """Token ids of open text, unframed; what cannot be read is `unknown`.

        Args:
            inside: whether something stands in front of it.

        Raises:
            UserError: where it cannot be read, and there is no such id.
        """
        return self._open_text.read(text, inside)

    def open_ids(self, text: str, inside: bool = False) -> list[int]:
        """Token ids of open text, unframed.

        Args:
            inside: whether something stands in front of it.

        Raises:
            UserError: where a token is unknown, as most text is to a vocabulary of pieces.
        """
        ids = self.read(text, inside)
        if self.unknown in ids:
            raise self._open_text.unreadable(text)
        return ids

    def text(self, tokens: Sequence[int]) -> str:
        """The text of token ids, special tokens left out."""
        return self._open_text.text(tokens)

    def with_words(self, words: Iterable[str]) -> "Vocabulary":
        """Itself with a token for each fixed word of a prompt, where it has tokens for pieces alone: of its own, or of
        a run that had. A word that is a piece is that piece's token; others never take part of an image's text for
        themselves."""
        if not self.of_pieces:
            return self
        words = list(filter(None, words))
        tokenizer = copy.deepcopy(put_behind(self.tokenizer, words))
        mark(tokenizer, WORDS, words)
        return self.with_tokenizer(tokenizer)

    def with_open(self, texts: Iterable[str], size: int) -> "Vocabulary":
        """Itself with what reads open text, where it has tokens for pieces alone: a byte-level BPE of at most `size`
        tokens, learned on these texts, or the one that it has."""
        if not self.of_pieces or self.open is not None:
            return self
        reader = learn_open(texts, size)
        return self.with_tokenizer(with_names(self.tokenizer, reader), open=reader)

    def with_tokenizer(self, tokenizer: PreTrainedTokenizerFast, **changes: object) -> "Vocabulary":
        """Itself with tokens behind its others: all that a model that comes from a run has no embeddings for."""
        new = range(len(self.tokenizer), len(tokenizer)) if self.name in ("reuse", "extend") else ()
        replaced = {**self.replaced, **dict.fromkeys(new, ())}
        return dataclasses.replace(self, tokenizer=tokenizer, replaced=replaced, **changes)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of all that shapes ids; of those of images alone it is `lookup.fingerprint`."""
        parts = [self.tokenizer.backend_tokenizer.to_str(), type(self.lookup).__name__]
        parts += [*marked(self.tokenizer, PIECES), *marked(self.tokenizer, WORDS)]
        parts += [" inside a text"] * self.inside
        parts += [each.fingerprint for each in (self.answers,) if each is not None]
        parts += [self.open.to_str()] if self.open is not None else []
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write the tokenizer and what reads open text, as JSON."""
        self.tokenizer.save_pretrained(folder, save_jinja_files=False)  # a chat template is JSON too
        if self.open is not None:
            (folder / OPEN).write_text(self.open.to_str(pretty=True), encoding="utf-8")


def make_vocabulary(
    name: str, textifier: Textifier, tokenizer: PreTrainedTokenizerFast | None, answers: Grammar | None = None
) -> Vocabulary:
    """The vocabulary of that name for a textifier, and for the pieces of answers.

    Args:
        name: `own`, `reuse`, `extend` or `learn`.
        tokenizer: the pretrained or learned tokenizer; `own` needs none, but for one that it made before.
        answers: of what is written in pieces, if anything is. Its start stands behind a prompt.

    Raises:
        UserError: where the tokenizer cannot tell pieces apart, or those of answers would be found in images' texts.
    """
    make = choose(name, VOCABULARIES, "vocabulary")
    made = make(textifier, tokenizer if tokenizer is None else settled(tokenizer))
    return with_answers(made, textifier, answers)


def load_tokenizer(path: str, gguf_file: str | None = None, revision: str | None = None) -> PreTrainedTokenizerFast:
    """A pretrained fast tokenizer from the hub, a local folder or a GGUF file.

    Raises:
        UserError: where there is none, or only a slow one.
    """
    path = str(local_path(path))
    tokenizer = load_tokenizer_files(path, gguf_file, revision)
    if not tokenizer.is_fast:
        raise UserError(
            f"The tokenizer of '{path}' is not a fast one: take vocabulary=own, or a model with a tokenizer.json."
        )
    tokenizer.open_text = saved_open(path)
    return compared_to_file(settled(tokenizer), path)


def _own(textifier: Textifier, tokenizer: PreTrainedTokenizerFast | None) -> Vocabulary:
    return _of_images("own", textifier, settled(own_tokenizer(textifier.lexicon, tokenizer)))


def _extend(textifier: Textifier, tokenizer: PreTrainedTokenizerFast) -> Vocabulary:
    replaced, _ = add_pieces(tokenizer, Contexts(textifier.grammar, tokenizer.backend_tokenizer))
    return dataclasses.replace(_of_images("extend", textifier, tokenizer), replaced=replaced)


def _of_images(name: str, textifier: Textifier, tokenizer: PreTrainedTokenizerFast) -> Vocabulary:
    lookup, note = image_lookup(name, textifier, tokenizer)
    return Vocabulary(
        name, tokenizer, lookup, {}, " ".join([note, *tokenizer.remarks]), open=getattr(tokenizer, "open_text", None)
    )


def with_answers(made: Vocabulary, textifier: Textifier, grammar: Grammar | None) -> Vocabulary:
    """A vocabulary with the pieces of answers, in a way that images are read as before; those of others stay tokens."""
    if grammar == made.grammar:
        return made
    if grammar is None:
        return dataclasses.replace(made, grammar=None, answers=None)
    if not made.of_pieces:
        made = _extended(made, textifier, grammar) if made.name == "extend" else made
        answers = answers_of_tokenizer(grammar, made.tokenizer, made.end)
    elif isinstance(made.lookup, MergedPieces) and grammar == textifier.grammar:
        answers = made.lookup
    else:
        made = made.with_tokenizer(put_behind(made.tokenizer, grammar.lexicon.pieces))
        answers = answers_of_pieces(grammar, made.tokenizer)
    return dataclasses.replace(made, grammar=grammar, answers=answers)


def _extended(made: Vocabulary, textifier: Textifier, grammar: Grammar) -> Vocabulary:
    """A pretrained tokenizer's, with answers' pieces of more than one token as tokens."""
    backend = made.tokenizer.backend_tokenizer
    if isinstance(made.lookup, BatchTokenizer):  # what reads images is not changed
        alone = dataclasses.replace(made.lookup, backend=Tokenizer.from_str(backend.to_str()))
        made = dataclasses.replace(made, lookup=alone)
    new, held = add_pieces(made.tokenizer, Contexts(grammar, inside_reader(backend) or backend), textifier.grammar)
    told = f" {len(held):,} pieces of answers stay several tokens, as an image's text may hold them: {held[:3]}."
    return dataclasses.replace(made, replaced={**made.replaced, **new}, note=made.note + told * bool(held))


VOCABULARIES = {
    "own": _own,
    "reuse": functools.partial(_of_images, "reuse"),
    "extend": _extend,
    "learn": functools.partial(_of_images, "learn"),
}
