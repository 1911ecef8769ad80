"""Images as text: a library of its own, on numpy alone.

>>> textifier = make("region_color", grid=4)
>>> pieces = textifier.write(images)        # uint8 [N, H, W, C] → ragged piece ids
>>> textifier.texts(pieces)[0]
'region_color_124_127_146 region_color_118_…'
"""

from llmimg.textify.base import TEXTIFIERS, Textifier, make
from llmimg.textify.grammar import START, Grammar, Lexicon
from llmimg.textify.ragged import Ragged

__all__ = ["START", "TEXTIFIERS", "Grammar", "Lexicon", "Ragged", "Textifier", "make"]
