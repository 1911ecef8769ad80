"""Pieces → tokens, exactly the tokenizer's: of images by table where that is proven; of answers by table alone."""

from collections.abc import Set
from typing import NamedTuple

from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from llmimg.errors import UserError
from llmimg.textify import START, Grammar, Textifier
from llmimg.textify.finding import Finder
from llmimg.tokens.bpe import MergedPieces
from llmimg.tokens.lookup import BatchTokenizer, TokenTable, token_dtype
from llmimg.tokens.pieces import characters_of, tokens_of
from llmimg.tokens.proof import Contexts, NotProven, check_readable, prove, unreadable
from llmimg.tokens.tokenizer import PIECES, inside_reader, mark, unknown_id

Lookup = TokenTable | BatchTokenizer  # MergedPieces among the latter


def image_lookup(
    name: str, textifier: Textifier, tokenizer: PreTrainedTokenizerFast, inside: bool = False
) -> tuple[Lookup, str]:
    """What gives the tokens of images' pieces, and a sentence that says how, and why.

    Args:
        name: the vocabulary's.
        inside: whether something stands in front of an image's text.

    Raises:
        UserError: a tokenizer that cannot tell the pieces apart.
    """
    backend, unknown = tokenizer.backend_tokenizer, unknown_id(tokenizer)
    characters = characters_of(backend)
    if characters and characters.keys() >= set(textifier.lexicon.pieces):
        private = set(characters.values())
        merges = sum(len(token) > 1 and private.issuperset(token) for token in backend.get_vocab())
        note = f"Tokens: learned from training images, {merges:,} of them runs of pieces."
        return MergedPieces(textifier.lexicon, backend), note
    backend = inside_reader(backend) or backend if inside else backend
    contexts = Contexts(textifier.grammar, backend, of_pieces=name == "own")
    check_readable(contexts, unknown, tokenizer.name_or_path or name)
    try:
        return prove(contexts, whole=name == "own"), "Tokens: looked up, proven equal to the tokenizer's."
    except NotProven as reason:
        note = f"Tokens: by the fast tokenizer in batches, as they cannot be looked up piece by piece ({reason})."
        return BatchTokenizer(textifier.lexicon, backend, unknown), note


def answers_of_pieces(grammar: Grammar, tokenizer: PreTrainedTokenizerFast) -> TokenTable:
    """One token for each piece of an answer, by a tokenizer of pieces that has them. They are the tokenizer's own
    wherever it would find these pieces in the text; where it would find others, as an image's in a class that is called
    `1 2`, they are these all the same: an answer is written, learned and read back piece by piece.

    Raises:
        UserError: pieces that may stand at the same position and are the same, or one that has another meaning.
    """
    tokens = [token if token is not None else -1 for token in tokens_of(tokenizer, grammar.lexicon.pieces)]
    _check_told_apart(grammar, [(token,) for token in tokens], {-1, *tokenizer.all_special_ids}, tokenizer)
    return TokenTable.one_each(tokens, token_dtype(tokenizer.backend_tokenizer))


def answers_of_tokenizer(grammar: Grammar, tokenizer: PreTrainedTokenizerFast, end: int) -> TokenTable:
    """The tokenizer's own tokens for the pieces of an answer as they stand inside a text, proven equal to what it reads
    in any text of the grammar.

    Args:
        end: the token that ends an answer.

    Raises:
        UserError: where that cannot be proven, or pieces cannot be told apart.
    """
    backend, unknown = tokenizer.backend_tokenizer, unknown_id(tokenizer)
    contexts = Contexts(grammar, inside_reader(backend) or backend)
    if lost := unreadable(contexts, unknown):
        raise _lost(grammar, lost, tokenizer)
    try:
        table = prove(contexts)
    except NotProven as reason:
        raise UserError(
            f"The tokenizer of {tokenizer.name_or_path or 'the model'} reads pieces of an answer otherwise where they "
            f"stand together ({reason}): take vocabulary=own, or vocabulary=extend, which adds those of more than one "
            "token as tokens."
        ) from reason
    _check_told_apart(grammar, [tuple(row.tolist()) for row in table.ids], {end, unknown}, tokenizer)
    return table


class Added(NamedTuple):
    """Tokens that were added to a tokenizer.

    Attributes:
        replaced: the id of each → the ids that it stands for.
        held: texts that were not, as an image's text may hold them; they are several tokens.
    """

    replaced: dict[int, tuple[int, ...]]
    held: list[str]


def add_pieces(tokenizer: PreTrainedTokenizerFast, contexts: Contexts, images: Grammar | None = None) -> Added:
    """Add pieces of more than one token, and those that are lost, to a tokenizer as tokens.

    Args:
        contexts: of the pieces, as that tokenizer reads them.
        images: of images, where the pieces are not theirs: a token that their texts hold would be found there.

    Raises:
        UserError: a piece that is lost, and that an image's text may hold.
    """
    lexicon, parts = contexts.grammar.lexicon, {}
    lost = unreadable(contexts, unknown_id(tokenizer))
    for (state, kind), encodings in contexts.ids.items():
        for piece, ids in zip(lexicon.kinds[kind], encodings, strict=True):
            own = tuple(ids[len(contexts.prefix[state]) :])
            if len(own) > 1 or piece in lost:
                parts.setdefault(lexicon.pieces[piece], own)
    held = [] if images is None else list(filter(Finder(images).holds, parts))
    if both := {lexicon.pieces[piece] for piece in lost} & set(held):
        named = ", ".join(map(repr, sorted(both)[:6]))
        raise UserError(
            f"vocabulary=extend would add {named} as a token for answers, and the text of an image may hold the same, "
            "where it would be taken for it: name it otherwise (data.label_names), or take vocabulary=own."
        )
    new = [text for text in parts if text not in held]
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in new])
    mark(tokenizer, PIECES, new)
    ids = tokenizer.get_vocab()
    return Added({ids[text]: parts[text] for text in new}, held)


def _check_told_apart(
    grammar: Grammar, rows: list[tuple[int, ...]], others: Set[int | None], tokenizer: PreTrainedTokenizerFast
) -> None:
    """Refuse pieces of no tokens, of one of `others`, or of the same as another that may stand at the same position.

    Args:
        rows: the tokens of each piece, `[P]`; then, if they differ there, of each at the start, `[2·P]`.
    """
    lost, count = set(), len(grammar.lexicon)
    for state in grammar.moves:
        seen: dict[tuple[int, ...], int] = {}
        for piece, _ in grammar.allowed(state):
            row = rows[piece + count if state == START and len(rows) > count else piece]
            twin = seen.setdefault(row, piece)
            if twin != piece or not row or others & set(row):
                lost |= {piece, twin}
    if lost:
        raise _lost(grammar, lost, tokenizer)


def _lost(grammar: Grammar, lost: Set[int], tokenizer: PreTrainedTokenizerFast) -> UserError:
    names = ", ".join(repr(grammar.lexicon.pieces[piece]) for piece in sorted(lost)[:6])
    more = f" and {len(lost) - 6} more" if len(lost) > 6 else ""
    return UserError(
        f"The tokenizer of {tokenizer.name_or_path or 'this vocabulary'} cannot tell these pieces of an answer from "
        f"each other, from nothing or from its own marks: {names}{more}. Name them otherwise (data.label_names), or "
        "take vocabulary=extend (adds them as tokens) or vocabulary=own."
    )
