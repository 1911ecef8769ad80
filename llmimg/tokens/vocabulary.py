"""How pieces become token ids: `own` (one token a piece), `reuse` (a pretrained tokenizer's tokens), `extend` (pieces
added to it as tokens), `learn` (runs of pieces, by BPE)."""

import copy
import dataclasses
import functools
import hashlib
import re
from collections.abc import Iterable, Mapping

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from llmimg.errors import UserError
from llmimg.hub import load_tokenizer_files
from llmimg.paths import local_path
from llmimg.settings import choose
from llmimg.textify import Lexicon, Ragged, Textifier
from llmimg.tokens.bpe import SPECIAL, MergedPieces
from llmimg.tokens.lookup import BatchTokenizer, TokenTable
from llmimg.tokens.proof import Contexts, NotProven, check_readable, prove, sample_differs, unreadable
from llmimg.tokens.tokenizer import (
    compared_to_file,
    encoded,
    framing_of,
    inside_reader,
    leaves_out,
    mark_pieces,
    marked_pieces,
    may_leave_out,
    open_text_reader,
    settled,
    unknown_id,
)


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """A textifier's pieces as tokens of one tokenizer.

    Attributes:
        name: which of the vocabularies this is.
        tokenizer: the Hugging Face tokenizer whose `tokenizer(text)` the ids equal.
        lookup: pieces → token ids.
        replaced: ids of tokens added to a pretrained tokenizer → the ids each stands for, if any.
        note: which way tokens are made, and why; and what was changed of the tokenizer.
        inside: whether images' texts are read as standing inside a text: without the space that some tokenizers put in
            front of one.
    """

    name: str
    tokenizer: PreTrainedTokenizerFast
    lookup: TokenTable | BatchTokenizer | MergedPieces
    replaced: Mapping[int, tuple[int, ...]]
    note: str
    inside: bool = False

    @functools.cached_property
    def plain(self) -> Tokenizer | None:
        """What reads open text (prompts, answers): the tokenizer as it was before pieces were added to it, which would
        take the words of a sentence for themselves; None where it has none."""
        return open_text_reader(self.tokenizer)

    def checked(self, textifier: Textifier, pieces: Ragged) -> "Vocabulary":
        """Itself, or with the tokenizer in the table's place should they differ on these real pieces."""
        backend = self._image_reader
        if not self.is_table or not sample_differs(pieces, self.lookup, textifier.texts(pieces), backend):
            return self
        return self.by_tokenizer(textifier, "looked-up tokens differed on a sample of the images")

    def inside_a_text(self, textifier: Textifier) -> "Vocabulary":
        """Itself, for images whose text something stands in front of."""
        if self.of_pieces or inside_reader(self.tokenizer.backend_tokenizer) is None:
            return self
        return _assemble(self.name, textifier, self.tokenizer, self.replaced, inside=True)

    @functools.cached_property
    def _image_reader(self) -> Tokenizer:
        return (self.inside and inside_reader(self.tokenizer.backend_tokenizer)) or self.tokenizer.backend_tokenizer

    @functools.cached_property
    def _inside_reader(self) -> Tokenizer:
        return inside_reader(self._open_reader) or self._open_reader

    @property
    def _open_reader(self) -> Tokenizer:
        return self.plain or self.tokenizer.backend_tokenizer

    @property
    def is_table(self) -> bool:
        """Whether tokens are looked up."""
        return isinstance(self.lookup, TokenTable)

    @property
    def has_new_tokens(self) -> bool:
        """Whether there are tokens that no pretrained model knows."""
        return self.name in ("own", "learn") or bool(self.replaced)

    def by_tokenizer(self, textifier: Textifier, reason: str) -> "Vocabulary":
        """The same, with the tokenizer itself in the table's place."""
        note = f"Tokens: by the fast tokenizer in batches ({reason})."
        lookup = BatchTokenizer(textifier.lexicon, self._image_reader, self.unknown)
        return dataclasses.replace(self, lookup=lookup, note=" ".join([note, *self.tokenizer.remarks]))

    @property
    def framing(self) -> tuple[list[int], list[int]]:
        """The ids the tokenizer puts before and after a text: [CLS] and [SEP], BOS and EOS, or nothing."""
        return framing_of(self.tokenizer.backend_tokenizer)

    @property
    def end(self) -> int:
        """The id to put behind a text where one is needed and the tokenizer puts none."""
        ids = (getattr(self.tokenizer, f"{name}_token_id") for name in ("eos", "sep", "pad"))
        return next(each for each in ids if each is not None)

    @property
    def of_pieces(self) -> bool:
        """Whether it has tokens for pieces alone: it was made here, or by the run that its tokenizer comes from."""
        ours = {f"{name}_token": token for name, token in SPECIAL.items()}
        return self.name in ("own", "learn") or ours.items() <= self.tokenizer.special_tokens_map.items()

    @functools.cached_property
    def unknown(self) -> int | None:
        """The id that stands for what the tokenizer cannot read."""
        return unknown_id(self.tokenizer)

    def read(self, text: str, inside: bool = False) -> list[int]:
        """Token ids of open text, unframed; what cannot be read is `unknown`.

        Args:
            inside: whether something stands in front of it.

        Raises:
            UserError: where it cannot be read, and there is no such id.
        """
        backend = self._inside_reader if inside else self._open_reader
        (encoding,) = encoded(backend, [text])
        if self.unknown is None and may_leave_out(backend) and leaves_out(encoding, text):
            raise self._unreadable(text)
        return encoding.ids

    def open_ids(self, text: str, inside: bool = False) -> list[int]:
        """Token ids of open text, unframed.

        Args:
            inside: whether something stands in front of it.

        Raises:
            UserError: where a token is unknown, as most text is to a vocabulary of pieces.
        """
        ids = self.read(text, inside)
        if self.unknown in ids:
            raise self._unreadable(text)
        return ids

    def _unreadable(self, text: str) -> UserError:
        return UserError(
            f"The tokenizer (vocabulary={self.name}) has no tokens for the text {text[:40]!r}: take one that reads "
            "any text, as vocabulary=reuse with the tokenizer of GPT-2 does."
        )

    def with_words(self, words: Iterable[str], texts: Iterable[str]) -> "Vocabulary":
        """Itself with a token for each word of a prompt and its answers, where it has tokens for pieces alone: of its
        own, or of a run that had.

        Args:
            texts: some images' texts, which none of the words may occur in.

        Raises:
            UserError: a word that does.
        """
        if not self.of_pieces:
            return self
        words = [word for word in dict.fromkeys(words) if word]
        for word in words:
            if any(word in text for text in texts):
                raise UserError(
                    f"{word!r} of task.template (or a class's name in it) also occurs in the images' text, where it "
                    "would be taken for the same: change task.template."
                )
        tokenizer = copy.deepcopy(self.tokenizer)
        known = set(tokenizer.get_vocab())
        tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
        # A model that comes from a run has embeddings for all but these.
        new = tokenizer.convert_tokens_to_ids([word for word in words if word not in known])
        new = new if self.name == "reuse" else []
        return dataclasses.replace(self, tokenizer=tokenizer, replaced={**self.replaced, **dict.fromkeys(new, ())})

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of the tokenizer's contents and the way ids are made."""
        contents = self.tokenizer.backend_tokenizer.to_str() + type(self.lookup).__name__
        contents += "".join(marked_pieces(self.tokenizer))
        contents += " inside a text" if self.inside else ""
        return hashlib.sha256(contents.encode()).hexdigest()


def make_vocabulary(name: str, textifier: Textifier, tokenizer: PreTrainedTokenizerFast | None) -> Vocabulary:
    """The vocabulary of that name for a textifier.

    Args:
        name: `own`, `reuse`, `extend` or `learn`.
        tokenizer: the pretrained or learned tokenizer; `own` needs none.

    Raises:
        UserError: where the tokenizer cannot tell the textifier's pieces apart.
    """
    make = choose(name, VOCABULARIES, "vocabulary")
    return make(textifier, tokenizer if tokenizer is None else settled(tokenizer))


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
    return compared_to_file(settled(tokenizer), path)


def _reuse(textifier: Textifier, tokenizer: PreTrainedTokenizerFast) -> Vocabulary:
    return _assemble("reuse", textifier, tokenizer, {})


def _extend(textifier: Textifier, tokenizer: PreTrainedTokenizerFast) -> Vocabulary:
    contexts = Contexts(textifier.grammar, tokenizer.backend_tokenizer)
    parts: dict[str, tuple[int, ...]] = {}
    lost = unreadable(contexts, unknown_id(tokenizer))
    for (state, kind), encodings in contexts.ids.items():
        for piece, ids in zip(textifier.lexicon.kinds[kind], encodings, strict=True):
            own = tuple(ids[len(contexts.prefix[state]) :])
            if len(own) > 1 or piece in lost:
                parts.setdefault(textifier.lexicon.pieces[piece], own)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in parts])
    mark_pieces(tokenizer, list(parts))
    replaced = {tokenizer.convert_tokens_to_ids(text): ids for text, ids in parts.items()}
    return _assemble("extend", textifier, tokenizer, replaced)


def _own(textifier: Textifier, tokenizer: PreTrainedTokenizerFast | None = None) -> Vocabulary:
    return _assemble("own", textifier, settled(own_tokenizer(textifier.lexicon)), {})


def own_tokenizer(lexicon: Lexicon) -> PreTrainedTokenizerFast:
    """A Hugging Face tokenizer with one token a piece, which frames a text as `<bos> … <eos>`."""
    vocabulary = {text: place for place, text in enumerate([*SPECIAL.values(), *dict.fromkeys(lexicon.pieces)])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL["unk"]))
    longest_first = sorted(set(lexicon.pieces), key=lambda piece: (-len(piece), piece))
    pieces = Regex("|".join(re.escape(piece) for piece in longest_first))
    backend.pre_tokenizer = pre_tokenizers.Split(pieces, behavior="isolated")
    backend.decoder = decoders.Fuse()  # pieces are joined by nothing
    framing = [(SPECIAL[each], vocabulary[SPECIAL[each]]) for each in ("bos", "eos")]
    backend.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL['bos']} $A {SPECIAL['eos']}", special_tokens=framing
    )
    names = {f"{name}_token": token for name, token in SPECIAL.items()}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def _assemble(
    name: str,
    textifier: Textifier,
    tokenizer: PreTrainedTokenizerFast,
    replaced: Mapping[int, tuple[int, ...]],
    inside: bool = False,
) -> Vocabulary:
    backend, unknown = tokenizer.backend_tokenizer, unknown_id(tokenizer)
    backend = inside_reader(backend) or backend if inside else backend
    contexts = Contexts(textifier.grammar, backend, of_pieces=name == "own")
    check_readable(contexts, unknown, tokenizer.name_or_path or name)
    try:
        lookup = prove(contexts, whole=name == "own")
        note = "Tokens: looked up, proven equal to the tokenizer's."
    except NotProven as reason:
        lookup = BatchTokenizer(textifier.lexicon, backend, unknown)
        note = f"Tokens: by the fast tokenizer in batches, as they cannot be looked up piece by piece ({reason})."
    note = " ".join([note, *tokenizer.remarks])
    return Vocabulary(name, tokenizer, lookup, replaced, note, inside)


def _learn(textifier: Textifier, tokenizer: PreTrainedTokenizerFast) -> Vocabulary:
    merges = len(tokenizer) - len(SPECIAL) - len(set(textifier.lexicon.pieces))
    note = f"Tokens: learned from training images, {merges:,} of them runs of pieces."
    return Vocabulary("learn", tokenizer, MergedPieces(textifier.lexicon, tokenizer.backend_tokenizer), {}, note)


VOCABULARIES = {"own": _own, "reuse": _reuse, "extend": _extend, "learn": _learn}
