"""Answers that have a grammar by a model behind an endpoint: it writes what it likes, and what it wrote is
read by the grammar."""

from collections.abc import Sequence

import numpy as np

from llmimg.errors import UserError
from llmimg.models.answers import Answer as Reply
from llmimg.models.endpoint import Endpoint
from llmimg.models.endpoint_replies import ask_to_write
from llmimg.models.endpoint_requests import EndpointAnswers, RequestFormat
from llmimg.tasks.base import Row, Task
from llmimg.tasks.endings import REFUSED, ending
from llmimg.tasks.reading import EMPTY, THINKING, Reading, reading_notes
from llmimg.tasks.thinking import without_thinking
from llmimg.textify import START, Grammar
from llmimg.tokens.sample import Answer

UNREADABLE = "not as answers are written"
TOO_LONG = "goes on behind its end"
TOO_SHORT = "ends too early"

_SENTENCES = {
    UNREADABLE: "{count} are not written as this task's answers are, and were not read.",
    TOO_LONG: "{count} go on behind what an answer holds at most; what stands there was not read.",
    TOO_SHORT: "{count} end before the answer is whole.",
}


def write_pieces(
    endpoint: Endpoint, task: Task, request_format: RequestFormat, rows: Sequence[Row], texts: Sequence[str], anew: bool
) -> EndpointAnswers:
    """What the model writes, as pieces of the task's lexicon, without log-probabilities.

    Args:
        task: one with a grammar.
        rows, texts: of each image.
        anew: ask what was answered before, too.
    """
    pieces = task.known_grammar.lexicon.pieces
    prompts, most = [task.prompt(row, None) for row in rows], task.longest * max(map(len, pieces))
    one_line = not any("\n" in piece for piece in pieces)
    written = ask_to_write(endpoint, request_format, prompts, texts, most, one_line, anew)
    read = [read_pieces(task, reply, row) for reply, row in zip(written.replies, rows, strict=True)]
    problems = [tuple(filter(None, (answer.problem or "").split(", "))) for answer in read]
    counts = {kind: sum(kind in each for each in problems) for kind in _SENTENCES}
    notes = [
        *reading_notes([Reading(None, each) for each in problems], written.most),
        *(_SENTENCES[kind].format(count=f"{n:,} of {len(read):,} answers") for kind, n in counts.items() if n),
    ]
    return EndpointAnswers(read, [*notes, *written.notes])


def read_pieces(task: Task, reply: Reply, row: Row) -> Answer:
    """The answer to a row in what a server replied.

    Thinking is taken off, and so is what surrounds the answer of spaces and line breaks; else all of it must go by the
    grammar. Of an answer that was truncated or broke off, as much as goes by the grammar is read, without the last
    piece, which may be the beginning of another. What goes beyond the row's budget is left out.
    """
    early, spoken = ending(reply.finish), without_thinking(reply.text)
    said, thought = spoken.text.strip(), spoken.thought or reply.thought
    pieces, problems = None, [early] if early else []
    if early != REFUSED and thought and not (said and spoken.finished):
        problems.insert(0, THINKING)
    elif early != REFUSED:
        pieces = _parsed(task.known_grammar, said, whole=not early)
        if pieces is None:
            problems.insert(0, UNREADABLE if said else EMPTY)
        else:
            pieces, problem = _within(task, row, pieces)
            problems += [problem] if problem and not early else []
    return Answer(
        text=reply.text, pieces=pieces, problem=", ".join(problems) or None, finish=reply.finish, tokens=reply.read
    )


def _parsed(grammar: Grammar, said: str, whole: bool) -> np.ndarray | None:
    """The piece ids of a text, int64 `[L]`, with the space that its first piece has; None where it cannot be read."""
    begins = [grammar.lexicon.pieces[piece] for piece, _ in grammar.allowed(START)]
    fronts = sorted({"", *(each[: len(each) - len(each.lstrip())] for each in begins)})
    if not whole:
        return max((grammar.begun(front + said)[:-1] for front in fronts), key=len).astype(np.int64)
    for front in fronts:
        try:
            return grammar.parse(front + said).astype(np.int64)
        except UserError:
            continue
    return None


def _within(task: Task, row: Row, pieces: np.ndarray) -> tuple[np.ndarray, str | None]:
    """As many pieces as a row's budget has cells for, and what is wrong with them."""
    budget = task.budget(row)
    if task.cells is None or budget is None:
        return pieces, None
    filled = np.cumsum(task.cells[pieces])
    total = int(filled[-1]) if len(filled) else 0
    if total > budget:
        full = int(np.searchsorted(filled, budget))
        return pieces[: full + int(filled[full] == budget)], TOO_LONG
    return pieces, TOO_SHORT if task.exact and total < budget else None
