"""What holds a model to the text of an image, in the tokens that images are read in."""

from llmimg.errors import UserError
from llmimg.textify import Textifier
from llmimg.tokens.automaton import Automaton
from llmimg.tokens.bpe import MergedPieces
from llmimg.tokens.lookup import TokenTable
from llmimg.tokens.vocabulary import Vocabulary


def image_automaton(vocabulary: Vocabulary, textifier: Textifier) -> Automaton:
    """Whatever it lets through that fills `textifier.budget(height, width)` cells is read back as a whole image.

    Raises:
        UserError: where tokens of images are not looked up piece by piece.
    """
    lookup, grammar = vocabulary.lookup, textifier.grammar
    if not isinstance(lookup, TokenTable | MergedPieces):
        raise UserError(
            "No image can be written in the tokens of this tokenizer, which reads pieces of its text otherwise where "
            "they stand together: take vocabulary=own, or vocabulary=extend."
        )
    return Automaton.of(lookup.ways(grammar, textifier.piece_cells), grammar.final, vocabulary.end)
