"""Whether a given text can stand within a text of a grammar."""

from collections.abc import Set

from llmimg.textify.grammar import START, Grammar


class Finder:
    """Looks for texts in all that a grammar can write."""

    def __init__(self, grammar: Grammar):
        self._pieces: dict[str, dict[str, set[str]]] = {}  # state → text of a piece → the states after it
        self._prefixes: dict[str, set[str]] = {}  # state → what its pieces begin with
        self._suffixes: dict[str, set[str]] = {}  # what pieces end with → the states after these
        self._opens: dict[tuple[str, str], bool] = {}
        waiting = [START]
        while waiting:
            state = waiting.pop()
            if state in self._pieces:
                continue
            here = self._pieces.setdefault(state, {})
            for piece, after in grammar.allowed(state):
                here.setdefault(grammar.lexicon.pieces[piece], set()).add(after)
            self._prefixes[state] = {text[:end] for text in here for end in range(1, len(text) + 1)}
            waiting += grammar.moves.get(state, {}).values()
        for here in self._pieces.values():
            for text, after in here.items():
                for start in range(len(text)):
                    self._suffixes.setdefault(text[start:], set()).update(after)
        self._joined = "\0".join({text for here in self._pieces.values() for text in here})

    def opens(self, state: str, text: str) -> bool:
        """Whether what comes from a state on can begin with a text."""
        known = self._opens.get((state, text))
        if known is None:
            known = text in self._prefixes.get(state, ()) or any(
                self.opens(after, text[end:]) for end in range(1, len(text)) for after in self._after(state, text[:end])
            )
            self._opens[state, text] = known
        return known

    def holds(self, text: str) -> bool:
        """Whether a text of the grammar can have this one in it."""
        return text in self._joined or any(
            self.opens(after, text[end:]) for end in range(1, len(text)) for after in self._suffixes.get(text[:end], ())
        )

    def _after(self, state: str, piece: str) -> Set[str]:
        return self._pieces.get(state, {}).get(piece, frozenset())
