"""What a model behind an endpoint writes, and what a reader must know of its server."""

from collections.abc import Sequence
from dataclasses import dataclass

from llmimg.models import probes
from llmimg.models.answers import Answer as Reply
from llmimg.models.endpoint import Endpoint
from llmimg.models.endpoint_requests import RequestFormat
from llmimg.tokens.sample import Part


@dataclass(frozen=True)
class EndpointReplies:
    """What an endpoint wrote.

    Attributes:
        replies: one an image.
        most: how many tokens an answer could have; None where that is not known.
        notes: sentences on the server.
    """

    replies: list[Reply]
    most: int | None
    notes: list[str]


def ask_to_write(
    endpoint: Endpoint,
    request_format: RequestFormat,
    prompts: Sequence[Sequence[Part]],
    texts: Sequence[str],
    most: int,
    one_line: bool,
    anew: bool,
) -> EndpointReplies:
    """Ask about each image, about the first of them twice, and about parts of its text.

    Args:
        prompts, texts: of each image.
        most: how many characters an answer may have.
        one_line: whether it ends with its line.
        anew: ask what was answered before, too.
    """
    requests = [
        request_format.written(prompt, text, most, one_line) for prompt, text in zip(prompts, texts, strict=True)
    ]
    replies = endpoint.ask(requests, anew)
    (again,) = endpoint.ask(requests[:1], anew, estimate=False, take=2)
    parts = probes.parts(texts[0])
    tried = [request_format.written(prompts[0], part, most, one_line) for part in parts]
    read = endpoint.ask(tried, anew, estimate=False)
    notes = [
        probes.short_reading(list(zip(parts, read, strict=True)), list(zip(texts, replies, strict=True))),
        probes.differing(replies[0], again),
        probes.other_models(replies, endpoint.model),
    ]
    limit = _most_tokens(endpoint, requests[0]["max_tokens"])
    return EndpointReplies(replies, limit, [note for note in notes if note])


def _most_tokens(endpoint: Endpoint, asked: int) -> int | None:
    extra = endpoint.options.extra
    given = extra.get("max_tokens") or extra.get("max_completion_tokens")
    return given if given or "max_tokens" in extra else asked
