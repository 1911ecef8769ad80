"""How right an answer in words is: normalised as the VQA challenge does it, and held against one answer or several.

Normalisation follows VQA's evaluation (Antol et al., ICCV 2015; its `vqaEval.py`): lower case, no punctuation, no
articles, number words as digits, contractions with their apostrophe. Unlike the official script, which leaves answers
as they are where all annotators agree, both sides are always normalised.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

_ARTICLES = frozenset(("a", "an", "the"))
_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NAMES)}
_CONTRACTED = """
ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't how'd how'll how's i'm i've isn't it'd
it'll ma'am might've mightn't must've mustn't needn't she's should've shouldn't somebody'd someone's that'd that's
there'd there's they'd they'll they're they've wasn't we've weren't what'll what're what's what've when's where'd
where's where've who'd who'll who's who've why'll why're why's won't would've wouldn't y'all you'd you'll you're
you've
"""
_CONTRACTIONS = {word.replace("'", ""): word for word in _CONTRACTED.split()}
_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_SIGN, _MINUS = re.compile(r"(?<![\w-])-(?=\.?\d)"), "\N{MINUS SIGN}"
_PERIOD = re.compile(r"\.(?!\d)")
FEW = 4  # annotators from which on agreement among them counts


def normalised(answer: str) -> str:
    """An answer as answers are compared: "The Dogs, two!" → "dogs 2". What would be left of as nothing ("A", "?") is as
    it is, and a number keeps its sign."""
    text = whole = " ".join(answer.lower().replace("’", "'").split())
    text = _SIGN.sub(_MINUS, text)
    in_number = _COMMA_IN_NUMBER.search(text) is not None
    for mark in _MARKS:  # beside a space a mark is left out, between letters it is a space
        text = text.replace(mark, "" if in_number or f"{mark} " in text or f" {mark}" in text else " ")
    words = (_NUMBERS.get(word, word) for word in _PERIOD.sub("", text).split())
    kept = " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)
    return kept.replace(_MINUS, "-") or whole


def agreement(answer: str, known: Sequence[str]) -> float:
    """How right an answer is, 0 to 1.

    Args:
        known: what is right; of fewer than four, any is. Of more, each is what one annotator said, and an answer is as
            right as three of them agreeing make it, min(n / 3, 1), on average over all choices of all but one.
    """
    said = normalised(answer)
    hits = sum(normalised(each) == said for each in known)
    if len(known) < FEW:
        return float(hits > 0)
    # Left out is one of those that said the same, or one of the others.
    left_out = hits * min((hits - 1) / 3, 1) + (len(known) - hits) * min(hits / 3, 1)
    return left_out / len(known)


def commonest(known: Sequence[str]) -> str:
    """Of several answers the one that most agree on, as it was said first; of several such, the first."""
    counts = Counter(map(normalised, known))
    return max(known, key=lambda answer: counts[normalised(answer)])


def number_of(answer: str) -> float | None:
    """The number that an answer is, "seven" or "1,000"; None where it is none."""
    try:
        number = float(normalised(answer))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def folded(text: str) -> str:
    """A caption as captions are compared: spaces and line breaks alike."""
    return " ".join(text.split())


def bleu(captions: Sequence[str], known: Sequence[Sequence[str]]) -> float:
    """BLEU of all captions together, 0 to 100 (Papineni et al., ACL 2002; by sacrebleu, with its tokenizer 13a).

    Args:
        captions: as they were written.
        known: one or several references of each.
    """
    from sacrebleu import corpus_bleu

    several = max(map(len, known))
    references: Any = [
        [folded(each[number]) if number < len(each) else None for each in known] for number in range(several)
    ]
    return corpus_bleu([folded(caption) for caption in captions], references).score


def caption_bleu(caption: str, known: Sequence[str]) -> float:
    """BLEU of one caption by itself, smoothed, 0 to 100."""
    from sacrebleu import sentence_bleu

    return sentence_bleu(folded(caption), [folded(each) for each in known]).score
