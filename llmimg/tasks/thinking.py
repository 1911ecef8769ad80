"""A model's thinking, as servers leave it in the text, told from its answer."""

import re
from typing import NamedTuple

_WORD = r"(?:\w+[:_-])?(?:ant)?(?:think|thinking|thoughts?|reason|reasoning|reflection|monologue|analysis|scratchpad)"
_TAG = rf"{_WORD}(?:[_-]\w+)?"
_LEFT, _RIGHT = r"(?:[<＜]|&lt;)\|?\s*", r"\s*\|?(?:[>＞]|&gt;)"
# Opening and closing marks: tags of most models, as they are or in other brackets; Mistral; Kimi; Cohere; OpenThinker;
# Gemma; Granite; Apriel.
_MARKS = re.compile(
    rf"(?P<open>{_LEFT}{_TAG}(?:\s[^<>]*)?{_RIGHT}|\[THINK\]|◁think▷|<\|START_THINKING\|>|<\|begin_of_thought\|>"
    r"|<\|channel>thought|<unused94>|\AHere is my thought process:|\AHere are my reasoning steps:)"
    rf"|(?P<close>{_LEFT}[/／\\]\s*{_TAG}{_RIGHT}|\[/THINK\]|◁/think▷|<\|END_THINKING\|>|<\|end_of_thought\|>"
    r"|<channel\|>|<unused95>|Here is my response:|\[BEGIN FINAL RESPONSE\])",
    re.IGNORECASE,
)
# gpt-oss answers in channels, of which `final` is the answer; servers that drop special tokens leave their names.
_CHANNEL, _MESSAGE = "<|channel|>", "<|message|>"
_BARE_CHANNELS = re.compile(
    r"\A\s*analysis.*?assistant\s*(?:commentary.*?assistant\s*)?final(?P<final>.*)\Z", re.DOTALL
)
_BARE_ANALYSIS = re.compile(r"\A\s*analysis(?=[A-Z])")


class Spoken(NamedTuple):
    """What a model said, without its thinking.

    Attributes:
        text: the answer.
        thought: whether thinking was taken off.
        finished: whether the thinking came to an end.
    """

    text: str
    thought: bool
    finished: bool


def without_thinking(text: str) -> Spoken:
    """Take off what stands between the marks of thinking, what stands in front of a closing mark alone (the prompt
    opened it), and what follows an opening mark alone (it was truncated)."""
    if _CHANNEL in text:
        return _final_channel(text)
    if found := _BARE_CHANNELS.match(text):
        return Spoken(found["final"], True, True)
    if _BARE_ANALYSIS.match(text):
        return Spoken("", True, False)
    kept, thinking, begin, thought = "", False, 0, False
    for mark in _MARKS.finditer(text):
        thought = True
        if mark["close"]:
            if not thinking:
                kept = ""
            thinking, begin = False, mark.end()
        elif not thinking:
            kept += text[begin : mark.start()]
            thinking = True
    return Spoken(kept if thinking else kept + text[begin:], thought, not thinking)


def _final_channel(text: str) -> Spoken:
    finals = [part for part in text.split(_CHANNEL)[1:] if part.lstrip().startswith("final")]
    if not finals:
        return Spoken("", True, False)
    said = finals[-1].partition(_MESSAGE)[2]
    return Spoken(said.partition("<|")[0], True, True)
