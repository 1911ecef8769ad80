"""What a server replies, whatever form it has."""

from types import SimpleNamespace as Some

import pytest

from llmimg.errors import UserError
from llmimg.models.answers import Answer
from llmimg.models.probes import differing, other_models
from llmimg.models.replies import answer_of

TALK = {"messages": []}


def reply(choice, **fields):
    return Some(**{"choices": [choice], "usage": None, "model": "m", **fields})


def spoken(content, **fields):
    return Some(**{"message": Some(content=content, **fields), "finish_reason": "stop"})


def read(found, request=TALK) -> Answer:
    return answer_of(found, request, "http://there/v1", "m")


def test_words_in_parts_are_joined():
    assert read(reply(spoken([{"type": "text", "text": "a "}, {"type": "text", "text": "cat"}]))).text == "a cat"


def test_a_refusal_is_one():
    assert read(reply(spoken(None, refusal="I must not"))).finish == "content_filter"


def test_thinking_apart_is_known():
    assert read(reply(spoken("cat", reasoning="a dog?"))).thought and not read(reply(spoken("cat"))).thought


@pytest.mark.parametrize("usage", [None, Some(prompt_tokens=None), Some(prompt_tokens=-1), Some(prompt_tokens="3")])
def test_what_is_no_count_is_not_counted(usage):
    assert read(reply(spoken("cat"), usage=usage)).read is None


def test_a_prompt_that_is_given_back_unasked_is_no_answer():
    found = read(reply(Some(text="dog or cat? cat", logprobs=None, finish_reason="stop")), {"prompt": "dog or cat?"})
    assert found.text == " cat"


@pytest.mark.parametrize("tokens", [["▁a", "▁cat"], ["Ġa", "Ġcat"], [" a", " cat"], ["<s>", " a", " ca", "t"]])
def test_echoed_tokens_spell_the_prompt_in_whatever_signs(tokens):
    logprobs = Some(tokens=tokens, token_logprobs=[None, *[-1.0] * (len(tokens) - 1)])
    request = {"prompt": " a cat", "echo": True, "logprobs": 1}
    found = read(reply(Some(text="", logprobs=logprobs, finish_reason="length")), request)
    assert "".join(token for token, _ in found.tokens).endswith(" a cat")
    with pytest.raises(UserError, match=r"its \d tokens end with"):
        read(reply(Some(text="", logprobs=logprobs, finish_reason="length")), {**request, "prompt": " a dog"})


@pytest.mark.parametrize(
    ("name", "same"),
    [("gpt-4o-2024-08-06", True), ("gpt-4o:latest", True), ("x/gpt-4o", True), ("gpt-4o-mini", False), (None, True)],
)
def test_another_model_is_noticed(name, same):
    assert (other_models([Answer("", model=name)], "gpt-4o") is None) == same
    assert other_models([Answer("", model="gpt-4o"), Answer("", model="b")], "gpt-4o")


def test_two_answers_to_one_question_are_told():
    assert differing(Answer("a"), Answer("a")) is None and "'a' and 'b'" in differing(Answer("a"), Answer("b"))
