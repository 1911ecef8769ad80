"""The prompt as requests to a model that is asked over the network, and its words read back as an answer."""

import re
from collections.abc import Sequence
from typing import Any

from llmimg.tasks.prompt import IMAGE, conversation, template_parts, write_prompt
from llmimg.tasks.settings import ClassifySettings

_ROOM = 16  # tokens for what stands around an answer ("The class is cat.")

Shots = Sequence[tuple[str, int]]  # text and label of each


def prompt_text(settings: ClassifySettings, names: Sequence[str], shots: Shots, image: str) -> str:
    """The prompt up to the end of the image's text: what a model from a folder is given too."""
    between = write_prompt(settings, names, [label for _, label in shots]).between
    return "".join(part for pair in zip(between, [*(text for text, _ in shots), image], strict=True) for part in pair)


def scored(settings: ClassifySettings, names: Sequence[str], prompt: str) -> list[dict[str, Any]]:
    """One request a class: the prompt with that answer, whose tokens' log-probabilities are asked for."""
    middle, tail = template_parts(settings, names)[1:]
    # One token is written, as not every server writes none; it is left out afterwards.
    how = {"max_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0.0}
    return [{"prompt": prompt + middle + name + tail, **how} for name in names]


def written(settings: ClassifySettings, names: Sequence[str], shots: Shots, image: str) -> dict[str, Any]:
    """The request to write the answer, as text or as the next turn of a conversation (`task.chat`)."""
    how: dict[str, Any] = {"max_tokens": max(map(len, names)) + _ROOM, "temperature": 0.0}
    if settings.chat:
        texts = iter([*(text for text, _ in shots), image])
        turns = conversation(settings, names, [label for _, label in shots])
        return {"messages": [{**turn, "content": _filled(turn["content"], texts)} for turn in turns], **how}
    _, middle, tail = template_parts(settings, names)
    if "\n" in tail:
        how["stop"] = ["\n"]
    # Models write the space in front of a word with the word.
    return {"prompt": prompt_text(settings, names, shots, image) + middle.rstrip(" "), **how}


def _filled(content: str, texts: Any) -> str:
    return content.replace(IMAGE, next(texts)) if IMAGE in content else content


def read_answer(text: str, names: Sequence[str]) -> int | None:
    """The class named first in a model's words, whatever the case; the longest name where several begin there."""
    found = []
    for label, name in enumerate(names):
        match = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE)
        if match:
            found.append((match.start(), -len(name), label))
    return min(found)[2] if found else None
