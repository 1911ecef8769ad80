"""The one reader of answers in words: which class does a text name?"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llmimg.errors import UserError
from llmimg.tasks.endings import BROKEN_OFF, REFUSED, TRUNCATED, ending
from llmimg.tasks.scripts import in_word, is_form, is_hangul, without_spaces
from llmimg.tasks.thinking import without_thinking

EMPTY = "empty"
THINKING = "thinking only"
SEVERAL = "several classes"
AMBIGUOUS = "ambiguous"
NO_CLASS = "no class"

_SEPARATORS = r"[\s_\-\\]"
_SAME = str.maketrans("‘’ʼ“”‐‑‒–—−", "'''\"\"------")  # typographic forms of what names are written with


@dataclass(frozen=True)
class Reading:
    """What was read in an answer.

    Attributes:
        label: the class named; None where none is, or it cannot be told which.
        problems: what is to be known of the answer, of the names above: those that explain why there is no label,
            and `TRUNCATED`, `BROKEN_OFF` and `SEVERAL` beside one.
    """

    label: int | None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, order=True)
class _Match:
    start: int
    end: int
    level: int  # 2: as written; 1: in another case; 0: with other separators
    label: int


class AnswerReader:
    """Reads answers as one of some classes.

    The class named first counts, and the longest of those that begin at one position ("hot dog" before "hot"). Case,
    Unicode form, typographic quotes and dashes, and what parts the words of a name (space, line break, `_`, `-`,
    nothing between letters) may differ; where two names fit the same words, the one as written wins. A name ends where
    its word ends; in scripts without spaces between words it may stand anywhere. A single letter in the other case
    counts only where nothing else is said ("a" is also a word). Thinking is taken off before.
    """

    def __init__(self, names: Sequence[str]):
        self.names = tuple(unicodedata.normalize("NFC", name) for name in names)
        self._folded = [_fold(name)[0] for name in self.names]
        self._words = [_words(name) for name in self.names]

    def read(self, text: str, finish: str | None = None, one_line: bool = False, thought: bool = False) -> Reading:
        """The class that `text` names.

        Args:
            finish: why the model stopped (`finish_reason`), where that is known.
            one_line: whether a name must begin on the first line that holds anything.
            thought: whether there was thinking that the text is without already.
        """
        ends = tuple(filter(None, [ending(finish)]))
        if REFUSED in ends:
            return Reading(None, ends)
        spoken = without_thinking(text)
        said = unicodedata.normalize("NFC", spoken.text).strip()
        if not said:
            return Reading(None, (THINKING if spoken.thought or thought else EMPTY, *ends))
        matches = self._matches(said, len(said.partition("\n")[0]) if one_line else len(said))
        best, clear = _first(matches)
        if best is None:
            return Reading(None, (NO_CLASS, *ends))
        if not clear:
            return Reading(None, (AMBIGUOUS, *ends))
        if ends and best.end == len(said) and self._goes_on(best.label):
            return Reading(None, ends)
        others = {each.label for each in matches if each.start >= best.end} - {best.label}
        return Reading(best.label, (*ends, *((SEVERAL,) if others else ())))

    def _matches(self, text: str, limit: int) -> list[_Match]:
        folded, positions = _fold(text)
        found = []
        for label, (name, words) in enumerate(zip(self.names, self._words, strict=True)):
            if words is None or words.longest not in folded:
                continue
            spans = {(at, at + len(name)) for at in _occurrences(name, text)}
            for match in words.pattern.finditer(folded):
                start, end = positions[match.start()], positions[match.end() - 1] + 1
                inside = positions[match.start() - 1 : match.start()] == [start] or positions[match.end()] == end - 1
                if not inside:  # of a character that folds to several
                    spans.add((start, end))
            for start, end in spans:
                if start < limit and _begins(text, start) and _ends(text, end):
                    level = self._level(label, text[start:end])
                    if level == 2 or len(name) > 1 or not name.isalpha() or _only(text, start, end):
                        found.append(_Match(start, end, level, label))
        return found

    def _level(self, label: int, words: str) -> int:
        if words == self.names[label]:
            return 2
        return int(_fold(words)[0] == self._folded[label])

    def _goes_on(self, label: int) -> bool:
        """Whether another class's name begins with this one's."""
        begun = self._folded[label]
        return any(name != begun and name.startswith(begun) for name in self._folded)


def check_names(names: Sequence[str], tail: str = "", one_line: bool = False) -> None:
    """Refuse classes whose names, written as an answer, would not be read as themselves.

    Args:
        tail: what the template has behind an answer.
        one_line: as `AnswerReader.read` takes it; an answer ends with the line then.

    Raises:
        UserError: with both names, or the one.
    """
    reader = AnswerReader(names)
    for label, name in enumerate(names):
        for written in (name, f" {name}{tail}"):
            found = reader.read(written.strip().partition("\n")[0] if one_line else written, one_line=one_line)
            if found.label == label:
                continue
            other = found.label if found.label is not None else _twin(reader, label)
            mend = "Rename it with data.label_names, or take readout=score."
            if other is None:
                raise UserError(f"The class name {name!r} would not be read in an answer that is just that. {mend}")
            raise UserError(
                f"The classes {names[other]!r} and {name!r} cannot be told apart in an answer: {written.strip()!r} "
                f"would be read as {'either' if found.label is None else repr(names[other])}. "
                f"{mend.replace('it', 'one of them', 1)}"
            )


def reading_notes(readings: Iterable[Reading], most_tokens: int | None) -> list[str]:
    """Sentences on answers that are not what was asked for, each kind counted.

    Args:
        most_tokens: how many tokens an answer could have (`max_tokens`), where that is known.
    """
    readings = list(readings)
    counts = {kind: sum(kind in each.problems for each in readings) for kind in _SENTENCES}
    limit = "" if most_tokens is None else f" of {most_tokens:,} tokens (max_tokens)"
    return [
        sentence.format(count=f"{counts[kind]:,} of {len(readings):,} answers", limit=limit)
        for kind, sentence in _SENTENCES.items()
        if counts[kind]
    ]


_SENTENCES = {
    TRUNCATED: "{count} were truncated at the limit{limit}: raise it with +model.options.extra.max_tokens=1000.",
    BROKEN_OFF: "{count} ended for another reason than their own end (finish in predictions.parquet).",
    EMPTY: "{count} were empty, and count as wrong.",
    THINKING: "{count} held thinking alone, and count as wrong: give the model room to come to an end "
    "(+model.options.extra.max_tokens=4000), and take task.chat=true, or switch its thinking off.",
    REFUSED: "{count} were refused by the endpoint, and count as wrong.",
    AMBIGUOUS: "{count} fit several classes alike, and count as wrong.",
    NO_CLASS: "{count} name no class, and count as wrong.",
    SEVERAL: "{count} name several classes; the one named first was taken.",
}


def _first(matches: Sequence[_Match]) -> tuple[_Match | None, bool]:
    """The match that counts, and whether no other fits as well."""
    ordered = sorted(matches, key=lambda each: (each.start, -each.end, -each.level, each.label))
    for best in ordered:
        rivals = [each for each in ordered if each.start < best.end and best.start < each.end and each != best]
        if not any((each.start, each.end, each.level) == (best.start, best.end, best.level) for each in rivals):
            return best, True
    return (ordered[0], False) if ordered else (None, False)


def _twin(reader: AnswerReader, label: int) -> int | None:
    """Another class whose name fits the words of this one's."""
    return next(
        (
            other
            for other, words in enumerate(reader._words)
            if other != label and words and words.pattern.fullmatch(reader._folded[label].strip())
        ),
        None,
    )


def _fold(text: str) -> tuple[str, list[int]]:
    """`text` without differences of case, width and typography; and of each character the position it comes from, the
    text's length last."""
    folded, positions = [], []
    for position, character in enumerate(text):
        if unicodedata.category(character) == "Cf" or is_form(character):  # joiners, marks of direction, soft hyphens
            continue
        same = unicodedata.normalize("NFKC", character.translate(_SAME)).casefold().translate(_SAME)
        folded.append(same)
        positions += [position] * len(same)
    return "".join(folded), [*positions, len(text)]


class _Words(NamedTuple):
    """What fits a name in a folded text: its words, however they are parted; and the longest of them."""

    longest: str
    pattern: re.Pattern[str]


def _words(name: str) -> _Words | None:
    parted = "".join(
        f" {character}" if character.isupper() and before.islower() else character
        for before, character in zip(f" {name}", name, strict=False)
    )
    folded = re.sub(r"\A[\s_]+|[\s_]+\Z", "", _fold(parted)[0])
    if not folded:
        return None
    pieces = re.split(rf"({_SEPARATORS}+)", folded)
    pattern = re.escape(pieces[0])
    for before, separator, after in zip(pieces[::2], pieces[1::2], pieces[2::2], strict=False):
        if before[-1:].isalnum() and after[:1].isalnum():
            apart = before[-1].isdigit() and after[0].isdigit()  # "1 2" is not 12
            pattern += f"{_SEPARATORS}{'+' if apart else '*'}"
        else:
            pattern += "".join(r"[\s_]*" if each.isspace() or each == "_" else re.escape(each) for each in separator)
        pattern += re.escape(after)
    return _Words(max(pieces[::2], key=len), re.compile(pattern))


def _occurrences(name: str, text: str) -> Iterator[int]:
    position = text.find(name)
    while position >= 0:
        yield position
        position = text.find(name, position + 1)


def _only(text: str, start: int, end: int) -> bool:
    return not any(in_word(character) for character in text[:start] + text[end:])


def _begins(text: str, position: int) -> bool:
    """Whether a word may begin at a position."""
    if position == 0:
        return True
    before, after = text[position - 1], text[position]
    if after.isdigit() and re.search(r"\d[.,]\Z", text[:position]):  # the 5 of 2.5
        return False
    return _apart(before, after, without_spaces(before) or without_spaces(after))


def _ends(text: str, position: int) -> bool:
    """Whether a word may end at a position."""
    if position == len(text):
        return True
    before, after = text[position - 1], text[position]
    if before.isdigit() and re.match(r"[.,]\d", text[position:]):
        return False
    # Korean puts spaces between words, and particles behind them.
    return _apart(before, after, any(without_spaces(each) or is_hangul(each) for each in (before, after)))


def _apart(before: str, after: str, anywhere: bool) -> bool:
    if unicodedata.category(after)[0] == "M" and in_word(after) and in_word(before):  # a sign of the letter before it
        return False
    return anywhere or not in_word(before) or not in_word(after)
