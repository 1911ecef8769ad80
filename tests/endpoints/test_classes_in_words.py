"""Classes that a model names in words, and what is said of answers that are none."""

import json
import re

import numpy as np
import pyarrow.parquet
import pytest

from llmimg.errors import UserError
from llmimg.report import compare as comparison
from llmimg.run_folder import RunFolder
from llmimg.tasks.base import TASKS

pytestmark = pytest.mark.usefixtures("one_thread")


def columns(folder) -> dict:
    return pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()


def numbers(folder) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def log(folder) -> str:
    return (folder / "run.log").read_text()


def test_answers_in_words(ask, server):
    server.says = "I think it is 3, or 4."
    folder = ask("words", "readout=generate", "task.chat=true")
    table = columns(folder)
    assert set(table["prediction"]) == {"3"} and set(table["answer"]) == {server.says}
    assert numbers(folder)["test/accuracy"] == np.mean([label == "3" for label in table["label"]])
    (row,) = comparison.rows_of([RunFolder(folder)], TASKS["classify"].measures)
    assert row.mean == numbers(folder)["test/accuracy"]
    assert not {"test/loss", "test/ece"} & set(numbers(folder)) and "probabilities" not in table
    turns = server.seen[0]["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 2 + ["user"]
    assert len({len(turn["content"].split()) for turn in turns if turn["role"] == "user"}) == 1  # an image's words each
    page = (folder / "report.html").read_text()
    assert "was asked over the network, with that text and nothing else of the image" in page
    assert "% sure" not in page and "how sure" not in page and "as they are all scored alike." in page
    assert "12 of 12 answers name several classes; the one named first was taken." in log(folder)


def test_an_answer_that_names_no_class_is_wrong(ask, server):
    server.says = "no idea"
    folder = ask("none", "readout=generate")
    assert numbers(folder)["test/accuracy"] == 0 and numbers(folder)["test/unread_answers"] == 1
    assert numbers(folder)["test/macro_f1"] == 0
    assert server.seen[0]["stop"] == ["\n"] and server.seen[0]["prompt"].endswith("\nclass:")


def test_what_is_asked_without_seeing(ask, server, tmp_path):
    """Every row is asked with the text of another, or with none."""
    server.says, prompts = "3", {}
    for images in ("own", "shuffled", "none"):
        server.seen.clear()
        anew = f"tokens.cache_dir={tmp_path / images}"  # or answers to the same prompts would be known
        one = "model.options.concurrency=1"  # rows in their order
        ask(images, "readout=generate", "task.shots=0", f"data.images={images}", anew, one)
        asked = dict.fromkeys(request["prompt"] for request in server.seen)
        prompts[images] = [prompt for prompt in asked if images == "none" or len(prompt.split()) == 65]  # whole texts
    assert sorted(prompts["shuffled"]) == sorted(prompts["own"]) and len(prompts["own"]) == 12
    assert not any(one == other for one, other in zip(prompts["shuffled"], prompts["own"], strict=True))
    assert prompts["none"] == ["\nclass:"]


@pytest.mark.parametrize("chat", ["true", "false"])
def test_what_is_thought_is_no_answer(ask, server, chat):
    server.says = "<think>\n3 or 4? 5!\n</think>\n\n7"
    folder = ask("thinks", "readout=generate", f"task.chat={chat}")
    assert set(columns(folder)["prediction"]) == {"7"} and numbers(folder)["test/unread_answers"] == 0


@pytest.mark.parametrize(
    ("server_says", "sentence"),
    [
        ({"says": "", "finish": "length"}, r"12 of 12 answers were truncated at the limit of 17 tokens \(max_tokens\)"),
        ({"says": " ", "finish": "stop"}, r"12 of 12 answers were empty"),
        ({"says": "<think>3 it is, ", "finish": "length"}, r"12 of 12 answers held thinking alone"),
        ({"says": "3", "finish": "content_filter"}, r"12 of 12 answers were refused by the endpoint"),
        ({"says": ["7", "7", "7", "nothing"]}, r"of 12 answers name no class"),
        ({"says": list("56789")}, r"Asked the same twice, the endpoint wrote '\d' and '\d'"),
        ({"says": "7\n 3 4 5"}, r"12 of 12 answers go on behind the end of their line"),
        ({"says": "7", "name": "another"}, r"says that 'another' answered, where 'tiny' was asked for"),
        ({"says": "7", "window": 48}, r"read fewer tokens of 12 of 12 prompts.*48, and as many of half the text"),
        ({"says": "7", "window": 185}, r"read fewer tokens of 1[012] of 12 prompts.*185 of about"),
        ({"says": "7", "counts": False}, r"does not say how many tokens it read"),
    ],
)
def test_each_suspicious_kind_is_counted(ask, server, server_says, sentence):
    for name, value in server_says.items():
        setattr(server, name, value)
    folder = ask("odd", "readout=generate", "data.size=10", "model.options.concurrency=1", "task.shots=1")
    assert re.search(sentence, log(folder)), log(folder)
    assert any(re.search(sentence, note) for note in json.loads((folder / "record.json").read_text())["notes"])
    table = columns(folder)
    assert set(table["finish"]) == {server_says.get("finish", "stop")} and len(table["problem"]) == 12


def test_nothing_is_said_of_good_answers(ask, server):
    server.says = "7"
    folder = ask("good", "readout=generate")
    assert "answers" not in log(folder).replace("answers were known", "") and set(columns(folder)["problem"]) == {""}


def test_thinking_in_a_field_of_its_own_is_no_answer(ask, server):
    server.choice = {"message": {"role": "assistant", "content": None, "reasoning_content": "3, I think"}}
    folder = ask("field", "readout=generate", "task.chat=true")
    assert numbers(folder)["test/unread_answers"] == 1 and "held thinking alone" in log(folder)


def test_names_that_would_not_be_read_are_refused_before_anything_is_asked(ask, server):
    with pytest.raises(UserError, match=r"The class name '0' would not be read in an answer that is just that"):
        ask("unread", "readout=generate", "task.prompts='{image} is {answer}5\n'")
    assert not server.seen


def test_the_conversation_is_the_prompt(ask, server):
    """The same shots, in the same words, as a model in a folder is given."""
    server.says = "7"
    ask("talk", "readout=generate", "task.chat=true")
    turns = server.seen[0]["messages"]
    server.seen.clear()
    ask("text", "readout=generate")
    told = [turn["content"] for turn in turns]
    assert (
        server.seen[0]["prompt"]
        == "\n".join(f"{asked} {answer}" for asked, answer in zip(told[::2], [*told[1::2], ""], strict=True))[:-1]
    )
