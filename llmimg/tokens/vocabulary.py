"""How pieces become token ids: `own` (one token a piece), `reuse` (a pretrained tokenizer's tokens), `extend` (pieces
added to it as tokens), `learn` (runs of pieces, by BPE)."""

import copy
import dataclasses
import functools
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from llmimg.errors import UserError
from llmimg.settings import choose
from llmimg.textify import Lexicon, Ragged, Textifier
from llmimg.tokens.bpe import SPECIAL, MergedPieces
from llmimg.tokens.lookup import BatchTokenizer, TokenTable
from llmimg.tokens.proof import Contexts, NotProven, check_readable, prove, sample_differs, unreadable


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """A textifier's pieces as tokens of one tokenizer.

    Attributes:
        name: which of the vocabularies this is.
        tokenizer: the Hugging Face tokenizer whose `tokenizer(text)` the ids equal.
        lookup: pieces → token ids.
        replaced: ids of tokens added to a pretrained tokenizer → the ids each stands for, if any.
        note: which way tokens are made, and why.
        plain: what reads open text (prompts, answers): the tokenizer as it was before pieces were added to it, which
            would take the words of a sentence for themselves.
    """

    name: str
    tokenizer: PreTrainedTokenizerFast
    lookup: TokenTable | BatchTokenizer | MergedPieces
    replaced: Mapping[int, tuple[int, ...]]
    note: str
    plain: Tokenizer | None = None

    def checked(self, textifier: Textifier, pieces: Ragged) -> "Vocabulary":
        """Itself, or with the tokenizer in the table's place should they differ on these real pieces."""
        backend = self.tokenizer.backend_tokenizer
        if not self.is_table or not sample_differs(pieces, self.lookup, textifier.texts(pieces), backend):
            return self
        return self.by_tokenizer(textifier, "looked-up tokens differed on a sample of the images")

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
        lookup = BatchTokenizer(textifier.lexicon, self.tokenizer.backend_tokenizer)
        return dataclasses.replace(self, lookup=lookup, note=note)

    @property
    def framing(self) -> tuple[list[int], list[int]]:
        """The ids the tokenizer puts before and after a text: [CLS] and [SEP], BOS and EOS, or nothing."""
        bare = self.tokenizer("a", add_special_tokens=False).input_ids
        framed = self.tokenizer("a", add_special_tokens=True).input_ids
        before = next(i for i in range(len(framed) + 1) if framed[i : i + len(bare)] == bare)
        return framed[:before], framed[before + len(bare) :]

    @property
    def of_pieces(self) -> bool:
        """Whether it has tokens for pieces alone: it was made here, or by the run that its tokenizer comes from."""
        ours = {f"{name}_token": token for name, token in SPECIAL.items()}
        return self.name in ("own", "learn") or ours.items() <= self.tokenizer.special_tokens_map.items()

    @property
    def unknown(self) -> int | None:
        """The id that stands for what the tokenizer cannot read."""
        return _unknown(self.tokenizer)

    def read(self, text: str) -> list[int]:
        """Token ids of open text, unframed; what cannot be read is `unknown`."""
        return (self.plain or self.tokenizer.backend_tokenizer).encode(text, add_special_tokens=False).ids

    def open_ids(self, text: str) -> list[int]:
        """Token ids of open text, unframed.

        Raises:
            UserError: where a token is unknown, as most text is to a vocabulary of pieces.
        """
        ids = self.read(text)
        if self.unknown in ids:
            raise UserError(
                f"The tokenizer (vocabulary={self.name}) has no tokens for the text {text[:40]!r}: take one that reads "
                "any text, as vocabulary=reuse with the tokenizer of GPT-2 does."
            )
        return ids

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
        return hashlib.sha256(contents.encode()).hexdigest()


def make_vocabulary(name: str, textifier: Textifier, tokenizer: PreTrainedTokenizerFast | None) -> Vocabulary:
    """The vocabulary of that name for a textifier.

    Args:
        name: `own`, `reuse`, `extend` or `learn`.
        tokenizer: the pretrained or learned tokenizer; `own` needs none.

    Raises:
        UserError: where the tokenizer cannot tell the textifier's pieces apart.
    """
    return choose(name, VOCABULARIES, "vocabulary")(textifier, tokenizer)


def load_tokenizer(path: str, gguf_file: str | None = None, revision: str | None = None) -> PreTrainedTokenizerFast:
    """A pretrained fast tokenizer from the hub, a local folder or a GGUF file.

    Raises:
        UserError: where there is none, or only a slow one.
    """
    path = os.path.expanduser(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, gguf_file=gguf_file, revision=revision or "main")
    except (OSError, ValueError, KeyError) as error:
        local = Path(path).exists()
        why = "holds no tokenizer" if local else "is no local folder, and the hub has no answer for it"
        raise UserError(
            f"'{path}' {why}: give vocabulary.path= (or model.path=) a folder with tokenizer files, or take "
            "vocabulary=own."
        ) from error
    if not tokenizer.is_fast:
        raise UserError(
            f"The tokenizer of '{path}' is not a fast one: take vocabulary=own, or a model with a tokenizer.json."
        )
    # A saved length limit or padding would change ids; how long a text may be is the model's and tokens.overflow's
    # affair.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.model_max_length = int(1e30)
    if tokenizer.pad_token is None:
        # Padding is masked, and never read: any token will do, and the end of text is what every causal model has.
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _reuse(textifier: Textifier, tokenizer: PreTrainedTokenizerFast) -> Vocabulary:
    return _assemble("reuse", textifier, tokenizer, {})


def _extend(textifier: Textifier, tokenizer: PreTrainedTokenizerFast) -> Vocabulary:
    contexts = Contexts(textifier.grammar, tokenizer.backend_tokenizer)
    parts: dict[str, tuple[int, ...]] = {}
    lost = unreadable(contexts, _unknown(tokenizer))
    for (state, kind), encodings in contexts.ids.items():
        for piece, ids in zip(textifier.lexicon.kinds[kind], encodings, strict=True):
            own = tuple(ids[len(contexts.prefix[state]) :])
            if len(own) > 1 or piece in lost:
                parts.setdefault(textifier.lexicon.pieces[piece], own)
    plain = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in parts])
    replaced = {tokenizer.convert_tokens_to_ids(text): ids for text, ids in parts.items()}
    return dataclasses.replace(_assemble("extend", textifier, tokenizer, replaced), plain=plain)


def _own(textifier: Textifier, tokenizer: PreTrainedTokenizerFast | None = None) -> Vocabulary:
    return _assemble("own", textifier, own_tokenizer(textifier.lexicon), {})


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
    name: str, textifier: Textifier, tokenizer: PreTrainedTokenizerFast, replaced: Mapping[int, tuple[int, ...]]
) -> Vocabulary:
    backend = tokenizer.backend_tokenizer
    contexts = Contexts(textifier.grammar, backend)
    check_readable(contexts, _unknown(tokenizer), tokenizer.name_or_path or name)
    try:
        table = prove(contexts, whole=name == "own")
        return Vocabulary(name, tokenizer, table, replaced, "Tokens: looked up, proven equal to the tokenizer's.")
    except NotProven as reason:
        note = f"Tokens: by the fast tokenizer in batches, as they cannot be looked up piece by piece ({reason})."
        return Vocabulary(name, tokenizer, BatchTokenizer(textifier.lexicon, backend), replaced, note)


def _unknown(tokenizer: PreTrainedTokenizerFast) -> int | None:
    """The id that stands for what the tokenizer cannot read; byte-level ones can read anything, whatever they
    declare."""
    return tokenizer.unk_token_id if getattr(tokenizer.backend_tokenizer.model, "unk_token", None) else None


def _learn(textifier: Textifier, tokenizer: PreTrainedTokenizerFast) -> Vocabulary:
    merges = len(tokenizer) - len(SPECIAL) - len(set(textifier.lexicon.pieces))
    note = f"Tokens: learned from training images, {merges:,} of them runs of pieces."
    return Vocabulary("learn", tokenizer, MergedPieces(textifier.lexicon, tokenizer.backend_tokenizer), {}, note)


VOCABULARIES = {"own": _own, "reuse": _reuse, "extend": _extend, "learn": _learn}


def mean_embeddings(embeddings: np.ndarray, replaced: Mapping[int, tuple[int, ...]]) -> np.ndarray:
    """Embeddings of added tokens: the mean of those they replace, or of all where a piece had none.

    Args:
        embeddings: float `[V, D]`, the pretrained ones.

    Returns:
        float `[len(replaced), D]`, in the order of `replaced`.
    """
    whole = embeddings.mean(axis=0)
    return np.stack([embeddings[list(ids)].mean(axis=0) if ids else whole for ids in replaced.values()])
