"""Answers in open words by a model that is asked over the network."""

from collections.abc import Sequence

from llmimg.models.answers import Answer as Reply
from llmimg.models.endpoint import Endpoint
from llmimg.models.endpoint_replies import ask_to_write
from llmimg.models.endpoint_requests import EndpointAnswers, RequestFormat
from llmimg.tasks.base import Row, Task
from llmimg.tasks.endings import REFUSED, ending
from llmimg.tasks.reading import EMPTY, THINKING, Reading, reading_notes
from llmimg.tasks.thinking import without_thinking
from llmimg.tokens.sample import Answer

_MARGIN = 1.25  # of characters, beyond the longest answer known


def write_words(
    endpoint: Endpoint,
    task: Task,
    request_format: RequestFormat,
    rows: Sequence[Row],
    texts: Sequence[str],
    known: Sequence[str],
    anew: bool,
) -> EndpointAnswers:
    """What the model writes, as it is but for its thinking and what surrounds it of spaces and line breaks.

    Args:
        task: one whose answers are open text.
        rows, texts: of each image.
        known: answers of training: one may be a quarter longer than the longest of them, and ends with its line where
            none of them has several.
        anew: ask what was answered before, too.
    """
    prompts, most = [task.prompt(row, None) for row in rows], int(_MARGIN * max(map(len, known), default=0)) + 1
    one_line = not any("\n" in text.strip() for text in known)
    written = ask_to_write(endpoint, request_format, prompts, texts, most, one_line, anew)
    answers = [read_words(reply, one_line) for reply in written.replies]
    readings = [Reading(None, tuple(filter(None, (answer.problem or "").split(", ")))) for answer in answers]
    return EndpointAnswers(answers, [*reading_notes(readings, written.most), *written.notes])


def read_words(reply: Reply, one_line: bool) -> Answer:
    """The words that a server replied; where it is to be one line, the first that holds anything."""
    truncated, spoken = ending(reply.finish), without_thinking(reply.text)
    said, thought = spoken.text.strip(), spoken.thought or reply.thought
    problems = [truncated] if truncated else []
    if truncated == REFUSED or not spoken.finished:
        said = ""
    if not said and truncated != REFUSED:
        problems.insert(0, THINKING if thought else EMPTY)
    if one_line:
        said = said.partition("\n")[0].strip()
    return Answer(said, problem=", ".join(problems) or None, finish=reply.finish, tokens=reply.read)
