"""Open text → token ids: prompts, questions, captions, plain text. Pieces never take its words for themselves."""

import functools
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from llmimg.errors import UserError
from llmimg.tokens.pieces import put_names, tokens_of
from llmimg.tokens.tokenizer import (
    WORDS,
    encoded,
    inside_reader,
    leaves_out,
    marked,
    may_leave_out,
    open_text_reader,
    unknown_id,
)

OPEN = "open_tokenizer.json"  # beside a run's tokenizer.json
_NAME = "\U00100000"  # in front of its tokens, in the vocabulary of the pieces: no text has it


def learn_open(texts: Iterable[str], size: int) -> Tokenizer:
    """A byte-level BPE (Radford et al. 2019) of at most `size` tokens, which can read any text."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    )
    return backend


def saved_open(folder: str | Path) -> Tokenizer | None:
    """What a run that had open text of its own left in its folder; None where it had none.

    Raises:
        UserError: where it cannot be read.
    """
    file = Path(folder) / OPEN
    if not file.is_file():
        return None
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the tokenizers' own are bare
        raise UserError(f"{file} cannot be read: give a whole folder, or carry its run out again.") from error


def with_names(tokenizer: PreTrainedTokenizerFast, backend: Tokenizer) -> PreTrainedTokenizerFast:
    """A tokenizer of pieces in whose ids those of open text stand, behind the others."""
    return put_names(tokenizer, (f"{_NAME}{backend.id_to_token(token)}" for token in range(backend.get_vocab_size())))


class OpenText:
    """What reads open text.

    Args:
        name, tokenizer: the vocabulary's.
        backend: what a tokenizer of pieces has for open text, if it has.
    """

    def __init__(self, name: str, tokenizer: PreTrainedTokenizerFast, backend: Tokenizer | None = None):
        self._name, self._tokenizer, self._backend = name, tokenizer, backend

    @functools.cached_property
    def original_tokenizer(self) -> Tokenizer | None:
        """The tokenizer as it was before pieces were added to it; None where none were."""
        return open_text_reader(self._tokenizer)

    @functools.cached_property
    def unknown(self) -> int | None:
        """The id that stands for what cannot be read."""
        return None if self._backend else unknown_id(self._tokenizer)

    @functools.cached_property
    def _words(self) -> dict[str, int]:
        words = marked(self._tokenizer, WORDS)
        read = zip(words, tokens_of(self._tokenizer, words), strict=True)
        return {word: token for word, token in read if token is not None}

    @functools.cached_property
    def _start(self) -> int:
        """The id of the first token of `backend`, if there is one."""
        return 0 if self._backend is None else self._tokenizer.get_vocab()[f"{_NAME}{self._backend.id_to_token(0)}"]

    @functools.cached_property
    def _inside_reader(self) -> Tokenizer:
        return inside_reader(self._reader) or self._reader

    @property
    def _reader(self) -> Tokenizer:
        return self.original_tokenizer or self._tokenizer.backend_tokenizer

    @property
    def tokens(self) -> list[int]:
        """The ids of all tokens that may be written: those of `backend`, or of the tokenizer without special ones."""
        if self._backend:
            return list(range(self._start, self._start + self._backend.get_vocab_size()))
        special = set(self._tokenizer.all_special_ids)
        added = self._tokenizer.backend_tokenizer.get_added_tokens_decoder()
        special |= {each for each, token in added.items() if token.special}
        return sorted(set(self._reader.get_vocab().values()) - special)

    def read(self, text: str, inside: bool = False) -> list[int]:
        """Token ids, unframed; what cannot be read is `unknown`.

        Args:
            inside: whether something stands in front of it.

        Raises:
            UserError: where it cannot be read, and there is no such id.
        """
        if text in self._words:
            return [self._words[text]]
        if self._backend:
            return [self._start + token for token in self._backend.encode(text).ids]
        backend = self._inside_reader if inside else self._reader
        (encoding,) = encoded(backend, [text])
        if self.unknown is None and may_leave_out(backend) and leaves_out(encoding, text):
            raise self.unreadable(text)
        return encoding.ids

    def text(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens left out."""
        pieces = self._tokenizer.backend_tokenizer
        if not self._backend:
            return pieces.decode([int(each) for each in ids], skip_special_tokens=True)
        span = range(self._start, self._start + self._backend.get_vocab_size())
        texts = []
        for is_open, run in itertools.groupby(map(int, ids), key=span.__contains__):
            reader = self._backend if is_open else pieces
            texts.append(reader.decode([token - is_open * self._start for token in run], skip_special_tokens=True))
        return "".join(texts)

    def unreadable(self, text: str) -> UserError:
        """What is said of a text that cannot be read."""
        return UserError(
            f"The tokenizer (vocabulary={self._name}) has no tokens for the text {text[:40]!r}: take one that reads "
            "any text, as vocabulary=reuse with the tokenizer of GPT-2 does."
        )
