"""`vocabulary=learn`: byte-pair encoding (Sennrich et al. 2016) over pieces instead of bytes.

Each piece stands for one private character, so that whatever is merged is a run of whole pieces, with a box of its own.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from transformers import PreTrainedTokenizerFast

from llmimg.errors import UserError
from llmimg.textify import Grammar, Lexicon, Ragged, Textifier
from llmimg.tokens.lookup import BatchTokenizer, Way
from llmimg.tokens.pieces import SPECIAL, characters_of, framed, longest_first, private_characters


def learn_tokenizer(textifier: Textifier, pieces: Ragged, size: int) -> PreTrainedTokenizerFast:
    """A Hugging Face tokenizer of `size` tokens, learned from the texts of training images; it frames as `own` does.

    It reads the text itself: a normaliser brings each piece to its character, and decoding brings it back.

    Raises:
        UserError: a size below that of the pieces alone, or pieces that cannot be told apart in running text.
    """
    texts, name = private_characters(textifier.lexicon.pieces), textifier.settings()["name"]
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
    rows = _private_texts(textifier.lexicon, texts, pieces)
    backend.train_from_iterator(rows, trainer)
    backend.normalizer = normalizers.Sequence([normalizers.Replace(text, texts[text]) for text in longest_first(texts)])
    backend.decoder = decoders.Sequence([decoders.Fuse(), *(decoders.Replace(texts[text], text) for text in texts)])
    for text, private in zip(textifier.texts(pieces), rows, strict=True):
        if backend.normalizer.normalize_str(text) != private:
            raise UserError(
                f"The pieces of textify={name} cannot be told apart in running text, as "
                "vocabulary=learn has to: take vocabulary=own."
            )
    return framed(backend)


def _private_texts(lexicon: Lexicon, characters: Mapping[str, str], pieces: Ragged) -> list[str]:
    """Each row with a private character instead of each piece."""
    points = np.array([ord(characters[text]) for text in lexicon.pieces], "<u4")[pieces.values]
    return [points[start:end].tobytes().decode("utf-32-le") for start, end in itertools.pairwise(pieces.offsets)]


class MergedPieces(BatchTokenizer):
    """Piece ids → ids of learned tokens, each a run of pieces: the tokenizer is given private characters, each of which
    stands for a piece."""

    @property
    def most_tokens(self) -> int:
        """How many tokens a piece has at most: the one that is its own, or a share of one."""
        return 1

    @functools.cached_property
    def _characters(self) -> dict[str, str]:
        return characters_of(self.backend)

    @functools.cached_property
    def _reader(self) -> Tokenizer:
        backend = Tokenizer.from_str(self.backend.to_str())
        backend.normalizer = None
        return backend

    @functools.cached_property
    def _lengths(self) -> np.ndarray:
        return np.ones(len(self.lexicon), np.int64)

    def _texts(self, pieces: Ragged) -> list[str]:
        return _private_texts(self.lexicon, self._characters, pieces)

    def ways(self, grammar: Grammar, cells: Sequence[int] | np.ndarray | None = None) -> dict[str, list[Way]]:
        """What may be written in each state of a grammar, as `TokenTable.ways`: runs of pieces that are a token."""
        texts = {self._characters[text]: text for text in self.lexicon.pieces}
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
