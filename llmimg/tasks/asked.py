"""The prompt as requests to a model that is asked over the network."""

from collections.abc import Sequence
from typing import Any

from llmimg.tasks.classify import ClassifySettings
from llmimg.tasks.prompt import IMAGE, conversation, template_parts, write_prompt

_ROOM = 16  # tokens for what stands around an answer ("The class is cat.")

Shots = Sequence[tuple[str, int]]  # text and label of each


def prompt_text(settings: ClassifySettings, names: Sequence[str], shots: Shots, image: str) -> str:
    """The prompt up to the end of the image's text: what a model from a folder is given too."""
    between = write_prompt(settings, names, [label for _, label in shots]).between
    return "".join(part for pair in zip(between, [*(text for text, _ in shots), image], strict=True) for part in pair)


def scored(settings: ClassifySettings, names: Sequence[str], prompt: str) -> list[dict[str, Any]]:
    """One request a class: the prompt with that answer, whose tokens' log-probabilities are asked for."""
    # One token is written, as not every server writes none; it is left out afterwards.
    how = {"max_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0.0}
    return [{"prompt": prompt + tail, **how} for tail in write_prompt(settings, names, ()).tails]


def written(settings: ClassifySettings, names: Sequence[str], shots: Shots, image: str) -> dict[str, Any]:
    """The request to write the answer, as text or as the next turn of a conversation (`task.chat`)."""
    how: dict[str, Any] = {"max_tokens": max(map(len, names)) + _ROOM, "temperature": 0.0}
    if settings.chat:
        texts = iter([*(text for text, _ in shots), image])
        turns = conversation(settings, names, [label for _, label in shots])
        return {"messages": [{**turn, "content": _filled(turn["content"], texts)} for turn in turns], **how}
    middle = template_parts(settings, names)[1]
    if ends_with_line(settings):
        how["stop"] = ["\n"]
    # Models write the space in front of a word with the word.
    return {"prompt": prompt_text(settings, names, shots, image) + middle.rstrip(" "), **how}


def ends_with_line(settings: ClassifySettings) -> bool:
    """Whether an answer in words is at its end where its line is."""
    return not settings.chat and "\n" in template_parts(settings, ())[2]


def _filled(content: str, texts: Any) -> str:
    return content.replace(IMAGE, next(texts)) if IMAGE in content else content
