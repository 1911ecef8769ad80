"""Names that are not known, and the nearest right one."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from llmimg.errors import UserError


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint to put behind an error: the nearest known name, or all of them where none is near."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}."


def choose(name: str, known: Mapping[str, Any], what: str) -> Any:
    """`known[name]`.

    Raises:
        UserError: where there is no such name; it says the nearest.
    """
    if name not in known:
        raise UserError(f"There is no {what} '{name}': {did_you_mean(str(name), known)}")
    return known[name]


def check_names(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse names that are not known.

    Raises:
        UserError: naming the first unknown one as `where.name` and the nearest known one.
    """
    known = list(known)
    for name in given:
        if name not in known:
            dotted = f"{where}.{name}" if where else name
            raise UserError(f"There is no setting '{dotted}': {did_you_mean(name, known)}")
