"""What a server replies, held against what was asked, before it becomes an answer."""

import math
from collections.abc import Mapping
from typing import Any

from llmimg.errors import UserError
from llmimg.models.answers import Answer

# How tokenizers write a space, a line break and a tab, where a server hands their tokens on as they are.
_WRITTEN = {"▁": " ", "Ġ": " ", "Ċ": "\n", "ĉ": "\t", "<0x0A>": "\n", "<0x09>": "\t"}
_ROUNDING = 1e-3  # nats: how far above 0 rounding may carry a log-probability

Tokens = tuple[tuple[str, float | None], ...]
Request = Mapping[str, Any]  # its body: with `messages` to /chat/completions, with `prompt` to /completions


class Unspelled(UserError):
    """The tokens that a server echoes are not those of the prompt."""


def answer_of(reply: Any, request: Request, who: str, model: str) -> Answer:
    """The answer in what `openai`'s client read from a server.

    Args:
        who, model: what a message calls the server and its model.

    Raises:
        UserError: a reply that is none, is of several answers, tells other log-probabilities than were asked for, or
            values that no log-probability has.
    """
    if not getattr(reply, "choices", None):  # what is no JSON comes as text
        error = getattr(reply, "error", None)
        said = f" It says: {' '.join(str(error).split())[:300]}" if error else ""
        raise UserError(f"{who} gave no answer for the model '{model}': check model.url and model.path.{said}")
    if len(reply.choices) != 1:
        raise UserError(
            f"{who} gave {len(reply.choices)} answers where one was asked for: take n out of model.options.extra."
        )
    choice, usage = reply.choices[0], getattr(reply, "usage", None)
    if usage is not None and not hasattr(usage, "prompt_tokens"):
        raise ValueError("its usage has no prompt_tokens")
    told = {
        "read": _count(usage, "prompt_tokens"),
        "written": _count(usage, "completion_tokens"),
        "finish": _text(getattr(choice, "finish_reason", None)) or None,
        "model": _text(getattr(reply, "model", None)) or None,
    }
    if "messages" in request:
        message = choice.message
        if getattr(message, "refusal", None) and not message.content:
            told["finish"] = "content_filter"
        thought = any(getattr(message, name, None) for name in ("reasoning_content", "reasoning", "thinking"))
        return Answer(_text(message.content), thought=thought, **told)
    tokens = _tokens(choice.logprobs, who) if "logprobs" in request else ()
    text = _text(choice.text)
    if not request.get("echo"):
        text = text.removeprefix(request["prompt"])  # some give it back unasked
    return Answer(
        text, _spelled(tokens, request["prompt"], who) if request.get("echo") else _as_in(tokens, text), **told
    )


def _text(said: Any) -> str:
    """Text, also where it comes in parts."""
    if isinstance(said, list):
        parts = (part.get("text") if isinstance(part, dict) else getattr(part, "text", None) for part in said)
        return "".join(part for part in parts if isinstance(part, str))
    if said is not None and not isinstance(said, str):
        raise ValueError(f"{type(said).__name__} where text was to be")
    return said or ""


def _count(usage: Any, name: str) -> int | None:
    count = getattr(usage, name, None)
    return count if isinstance(count, int) and count >= 0 and not isinstance(count, bool) else None


def _tokens(told: Any, who: str) -> Tokens:
    tokens, values = (getattr(told, name, None) or () for name in ("tokens", "token_logprobs"))
    if not tokens or not values:
        raise UserError(
            f"{who} gives no log-probabilities of a prompt (logprobs of /completions): take "
            "readout=generate, which reads what the model writes."
        )
    if len(tokens) != len(values):
        raise UserError(
            f"{who} tells {len(values)} log-probabilities of {len(tokens)} tokens: its logprobs are broken. Take "
            "readout=generate."
        )
    for token, value in zip(tokens, values, strict=True):
        if value is not None and not (math.isfinite(value) and value <= _ROUNDING):
            raise UserError(
                f"{who} gives the token {token!r} the log-probability {value}, which none can have: its logprobs are "
                "broken. Take readout=generate."
            )
    return tuple(zip(tokens, values, strict=True))


def _spelled(tokens: Tokens, prompt: str, who: str) -> Tokens:
    """The tokens, as text that holds the prompt."""
    for names in (tokens, _unmarked(tokens)):
        if prompt in "".join(token for token, _ in names):
            return names
    spelled = "".join(token for token, _ in tokens)
    raise Unspelled(
        f"{who} gives no log-probabilities of a prompt (echo with logprobs of /completions), or of another one: "
        f"{prompt[-40:]!r} was to end what it read, and its {len(tokens):,} tokens end with {spelled[-40:]!r}. Take "
        "readout=generate, which reads what the model writes."
    )


def _as_in(tokens: Tokens, text: str) -> Tokens:
    """The tokens, as what the model wrote holds them."""
    return tokens if "".join(token for token, _ in tokens).strip() == text.strip() else _unmarked(tokens)


def _unmarked(tokens: Tokens) -> Tokens:
    unmarked = []
    for token, value in tokens:
        for written, meant in _WRITTEN.items():
            token = token.replace(written, meant)
        unmarked.append((token, value))
    return tuple(unmarked)
