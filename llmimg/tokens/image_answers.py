"""What holds a model to the text of an image, in the tokens that images are read in."""

from collections.abc import Sequence

import numpy as np

from llmimg.errors import UserError
from llmimg.textify import TEXTIFIERS, Grammar
from llmimg.tokens.automaton import Automaton
from llmimg.tokens.bpe import MergedPieces
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.lookup import TokenTable, token_boxes
from llmimg.tokens.vocabulary import Vocabulary


def image_automaton(vocabulary: Vocabulary, grammar: Grammar, cells: Sequence[int] | np.ndarray | None) -> Automaton:
    """Whatever it lets through that fills `Textifier.budget(height, width)` cells is read back as a whole image.

    Args:
        grammar, cells: the textifier's, and its `piece_cells`.

    Raises:
        UserError: where tokens of images are not looked up piece by piece.
    """
    lookup = vocabulary.lookup
    if not isinstance(lookup, TokenTable | MergedPieces):
        raise UserError(
            "No image can be written in the tokens of this tokenizer, which reads pieces of its text otherwise where "
            "they stand together: take vocabulary=own, or vocabulary=extend."
        )
    return Automaton.of(lookup.ways(grammar, cells), grammar.final, vocabulary.end)


def upper_part(encoder: Encoder, image: np.ndarray, keep: float) -> tuple[int, int]:
    """How many tokens of an image's text, from its start, speak of nothing but its upper part; and how many rows of
    pixels they hold whole.

    Args:
        image: as it is written, uint8 `[H, W, C]`.
        keep: how much of its height the part has at most, below 1.

    Raises:
        UserError: a text that does not go from top to bottom, or of which that much is nothing.
    """
    pieces = encoder.textifier.write(image[None])
    boxes = encoder.textifier.boxes(pieces, image[None])
    boxes = token_boxes(encoder.vocabulary.lookup.spans(pieces), boxes)
    if (np.diff(boxes[:, 1]) < 0).any():
        raise UserError(
            "An image can be completed from its upper part only where its text goes from top to bottom, which it does "
            f"not as textify={TEXTIFIERS.name_of(type(encoder.textifier))} writes it with these settings."
        )
    inside = boxes[:, 3] <= keep * len(image)
    tokens = int(inside.cumprod().sum())
    if not tokens:
        raise UserError(f"The first token of an image's text speaks of more than {keep:.0%} of its height: keep more.")
    return tokens, int(boxes[tokens, 1])
