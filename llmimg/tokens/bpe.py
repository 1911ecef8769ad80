"""`vocabulary=learn`: byte-pair encoding (Sennrich et al. 2016) over pieces instead of bytes.

Each piece stands for one private character, so that whatever is merged is a run of whole pieces, with a box of its own.
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from llmimg.errors import UserError
from llmimg.textify import Grammar, Lexicon, Ragged, Textifier
from llmimg.tokens.lookup import Way, token_dtype

SPECIAL = {"pad": "<pad>", "unk": "<unk>", "bos": "<bos>", "eos": "<eos>", "mask": "<mask>"}
_PRIVATE = 0xF0000  # the first character of plane 15, which no text of pieces holds


def learn_tokenizer(textifier: Textifier, pieces: Ragged, size: int) -> PreTrainedTokenizerFast:
    """A Hugging Face tokenizer of `size` tokens, learned from the texts of training images; it frames as `own` does.

    It reads the text itself: a normaliser brings each piece to its character, and decoding brings it back.

    Raises:
        UserError: a size below that of the pieces alone, or pieces that cannot be told apart in running text.
    """
    texts, name = _characters(textifier.lexicon), textifier.settings()["name"]
    if size <= len(texts) + len(SPECIAL):
        raise UserError(
            f"vocabulary.size={size} leaves nothing to learn: textify={name} has {len(texts):,} "
            f"pieces, and {len(SPECIAL)} tokens are special. Raise vocabulary.size, or take vocabulary=own."
        )
    backend = Tokenizer(models.BPE(unk_token=SPECIAL["unk"]))
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL.values()),
        initial_alphabet=list(texts.values()),  # those too that no training image has
        show_progress=False,
    )
    rows = private_texts(textifier.lexicon, pieces)
    backend.train_from_iterator(rows, trainer)
    longest_first = sorted(texts, key=lambda text: (-len(text), text))
    backend.normalizer = normalizers.Sequence([normalizers.Replace(text, texts[text]) for text in longest_first])
    backend.decoder = decoders.Sequence([decoders.Fuse(), *(decoders.Replace(texts[text], text) for text in texts)])
    backend.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL['bos']} $A {SPECIAL['eos']}",
        special_tokens=[(SPECIAL[each], backend.token_to_id(SPECIAL[each])) for each in ("bos", "eos")],
    )
    for text, private in zip(textifier.texts(pieces), rows, strict=True):
        if backend.normalizer.normalize_str(text) != private:
            raise UserError(
                f"The pieces of textify={name} cannot be told apart in running text, as "
                "vocabulary=learn has to: take vocabulary=own."
            )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, **{f"{name}_token": token for name, token in SPECIAL.items()}
    )


def private_texts(lexicon: Lexicon, pieces: Ragged) -> list[str]:
    """Each row with a private character in the place of each piece."""
    texts = _characters(lexicon)
    points = np.array([ord(texts[text]) for text in lexicon.pieces], "<u4")[pieces.values]
    return [points[start:end].tobytes().decode("utf-32-le") for start, end in itertools.pairwise(pieces.offsets)]


def _characters(lexicon: Lexicon) -> dict[str, str]:
    """Piece text → its private character; a piece that stands in two kinds has one."""
    return {text: chr(_PRIVATE + place) for place, text in enumerate(dict.fromkeys(lexicon.pieces))}


@dataclasses.dataclass(frozen=True)
class MergedPieces:
    """Piece ids → ids of learned tokens, each a run of pieces.

    Attributes:
        lexicon: the pieces.
        backend: the learned tokenizer.
    """

    lexicon: Lexicon
    backend: Tokenizer

    @property
    def dtype(self) -> np.dtype:
        """The type of token ids."""
        return token_dtype(self.backend)

    def __call__(self, pieces: Ragged) -> Ragged:
        encodings = self._bare.encode_batch_fast(private_texts(self.lexicon, pieces), add_special_tokens=False)
        return Ragged.from_rows([np.asarray(encoding.ids, self.dtype) for encoding in encodings], self.dtype)

    def spans(self, pieces: Ragged) -> np.ndarray:
        """Which pieces each token covers: int64 `[tokens, 2]`, first and last place in `pieces.values`."""
        encodings = self._bare.encode_batch(private_texts(self.lexicon, pieces), add_special_tokens=False)
        spans = [np.empty((0, 2), np.int64)]
        for encoding, first in zip(encodings, pieces.offsets, strict=False):
            spans.append(first + np.asarray(encoding.offsets, np.int64).reshape(-1, 2) - [0, 1])
        return np.concatenate(spans)

    def ways(self, grammar: Grammar, cells: Sequence[int] | None = None) -> dict[str, list[Way]]:
        """What may be written in each state of a grammar, as `TokenTable.ways`: runs of pieces that are a token."""
        texts = {private: text for text, private in _characters(self.lexicon).items()}
        runs = [
            ([texts[private] for private in token], number)
            for token, number in self.backend.get_vocab().items()
            if all(private in texts for private in token)
        ]
        known = {
            state: {self.lexicon.pieces[piece]: (piece, after) for piece, after in grammar.allowed(state)}
            for state in grammar.moves
        }
        found: dict[str, list[Way]] = {state: [] for state in grammar.moves}
        for state in grammar.moves:
            for run, number in runs:
                here, pieces = state, []
                for text in run:
                    piece, here = known.get(here, {}).get(text, (-1, ""))
                    pieces.append(piece)
                if here:
                    filled = 0 if cells is None else sum(int(cells[piece]) for piece in pieces)
                    found[state].append(Way((number,), tuple(pieces), here, filled))
        return found

    @functools.cached_property
    def _bare(self) -> Tokenizer:
        """It reads private characters as they are."""
        backend = Tokenizer.from_str(self.backend.to_str())
        backend.normalizer = None
        return backend
