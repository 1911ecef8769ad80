"""Answers in open words, and of questions, by a model that is asked over the network."""

import json
from pathlib import Path

import pyarrow.parquet
import pytest
from transformers import AutoTokenizer

from llmimg.carry_out import carry_out
from llmimg.models.answers import Answer as Reply
from llmimg.models.endpoint_words import read_words
from tests.serving import serving

SCENES = (
    "data=scenes", "data.scenes.train=40", "data.scenes.validation=2", "data.scenes.test=4", "data.train_samples=40",
    "data.val_samples=2", "data.test_samples=4", "data.scenes.questions=[count]", "textify=gray", "textify.levels=4",
    "data.size=6", "adaptation=none", "model=endpoint", "model.path=tiny", "model.options.concurrency=1",
)  # fmt: skip


@pytest.mark.parametrize(
    ("said", "finish", "one_line", "text", "problem"),
    [
        (" A dog. ", "stop", True, "A dog.", None),
        ("\nA dog.\nIt runs.", "stop", True, "A dog.", None),
        ("A dog.\nIt runs.", "stop", False, "A dog.\nIt runs.", None),
        ("<think>A cat?</think> A dog.", "stop", True, "A dog.", None),
        ("<think>A cat?", "length", True, "", "thinking only, truncated"),
        ("A do", "length", True, "A do", "truncated"),
        (" ", "stop", True, "", "empty"),
    ],
)
def test_words_are_read_without_thinking_and_what_surrounds_them(said, finish, one_line, text, problem):
    answer = read_words(Reply(said, finish=finish), one_line)
    assert (answer.text, answer.problem) == (text, problem)


@pytest.fixture(scope="module")
def running(small_tokenizer):
    with serving(None, AutoTokenizer.from_pretrained(small_tokenizer)) as server:
        yield server


@pytest.fixture
def ask(composed, running, tmp_path):
    """(what the server says, settings) → metrics, predictions and the requests of a run that asks it."""
    running.reset()

    def asked(says: str, *overrides: str):
        running.says = [says]
        url, cache = f"model.url={running.url}", f"tokens.cache_dir={tmp_path}"
        settings = composed(tmp_path.name, *overrides, url, cache, base=SCENES)
        carry_out(settings)
        folder = Path(settings["run_dir"])
        table = pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()
        return json.loads((folder / "metrics.json").read_text()), table, running.seen

    return asked


@pytest.mark.parametrize("closed", ["true", "false"])
def test_each_image_is_asked_its_own_question(ask, closed):
    metrics, table, seen = ask("2\nshapes", "task=answer", f"task.closed={closed}", "task.shots=1")
    prompts = [body["prompt"] for body in seen]
    for question in table["question"]:
        assert any(prompt.endswith(f"\nquestion: {question}\nanswer:") for prompt in prompts)
    assert all(prompt.count("\nquestion: ") == 2 and "\nanswer: " in prompt for prompt in prompts)
    assert table["prediction"] == ["2"] * 4
    assert metrics["test/exact_match"] == sum(each == "2" for each in table["truth"]) / 4


def test_captions_are_asked_for(ask):
    metrics, table, seen = ask("A red circle.", "task=caption", "task.chat=true")
    assert all(body["messages"][-1]["content"].endswith("\ncaption:") for body in seen)
    assert table["prediction"] == ["A red circle."] * 4
    assert metrics["test/unread_answers"] == 0 and metrics["test/bleu"] >= 0
