"""Requests to a model that is asked over the network: what is kept, counted, paid, tried again and refused."""

import json
import sqlite3
import sys

import pyarrow.parquet
import pytest

from llmimg.errors import UserError
from llmimg.models.answers import Answer, Answers
from llmimg.tokens.folders import prune

pytestmark = pytest.mark.usefixtures("one_thread")

HERE = ("model.url=http://127.0.0.1:9/v1", "model.path=m", "adaptation=none")


def columns(folder) -> dict:
    return pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()


def numbers(folder) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def test_what_was_answered_is_not_asked_again(ask, server):
    first = ask("first", "readout=score")
    sent = len(server.seen)
    assert numbers(first)["endpoint/requests"] == sent >= 120
    again = ask("again", "readout=score")
    assert len(server.seen) == sent
    assert columns(again) == columns(first)
    assert (again / "report.html").is_file()


def test_failures_that_pass_are_tried_again(ask, server):
    server.says, server.failing = "7", [500, 429]
    assert set(columns(ask("retried", "readout=generate"))["prediction"]) == {"7"}
    assert len(server.asked) == 12 + 2 and len(server.seen) == 12 + 1 + 2 + 2  # parts of a text, one twice, failures


def test_the_cost_is_estimated_before_it_is_paid(ask, server):
    server.says = "7"
    prices = ("readout=generate", "model.options.input_price=10", "model.options.output_price=100")
    with pytest.raises(UserError, match=r"would cost about 0\.0\d+.*most_cost=0\.001.*Requests made so far: 1"):
        ask("dear", *prices, "model.options.most_cost=0.001")
    assert len(server.seen) == 1
    folder = ask("paid", *prices)
    read, written = (numbers(folder)[f"endpoint/tokens_{what}"] for what in ("read", "written"))
    assert numbers(folder)["endpoint/cost"] == pytest.approx((10 * read + 100 * written) / 1e6)
    assert "Asking 'tiny' 10 times more" in (folder / "run.log").read_text()


@pytest.mark.parametrize(
    ("failing", "message"),
    [
        ([401], r"wants a key: put it into the environment variable SOME_KEY"),
        ([404], r"refused a request for the model 'tiny' with status 404: .*not now"),
        ([500] * 3, r"with status 500"),
    ],
)
def test_what_the_endpoint_refuses_is_said(ask, server, failing, message):
    server.failing = failing
    with pytest.raises(UserError, match=message):
        ask("refused", "readout=generate", "model.options.retries=1", "model.options.key_variable=SOME_KEY")


def test_what_was_answered_before_it_went_wrong_is_kept(ask, server):
    server.says, server.failing = "7", [200] * 5 + [404] + [200] * 100
    with pytest.raises(UserError, match="status 404"):
        ask("broken", "readout=generate", "model.options.concurrency=3")
    answered = len(server.seen) - 1
    assert 5 <= answered < 12
    ask("whole", "readout=generate")
    assert len(server.asked) == 12 + 2


def test_answers_outlive_what_is_pruned(ask, server, tmp_path):
    server.says = "7"
    ask("pruned", "readout=generate", "textify=patch_words", "textify.patch=2", "textify.codes=16")
    sent = len(server.seen)
    assert prune(tmp_path)
    ask("pruned-again", "readout=generate", "textify=patch_words", "textify.patch=2", "textify.codes=16")
    assert len(server.seen) == sent


def test_a_package_that_is_missing_is_named(ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UserError, match=r"needs the package openai: pip install openai"):
        ask("missing", "readout=generate")


def test_force_asks_anew(ask, server):
    server.says = "7"
    ask("forced", "readout=generate")
    sent = len(server.seen)
    server.says = "8"
    assert set(columns(ask("forced", "readout=generate", "force=true"))["prediction"]) == {"8"}
    assert len(server.seen) == 2 * sent


def test_what_is_not_counted_cannot_be_estimated(ask, server):
    server.says, server.counts = "7", False
    with pytest.raises(UserError, match=r"does not say how many tokens it read.*leave out"):
        ask("uncounted", "readout=generate", "model.options.input_price=1", "model.options.output_price=1")
    assert len(server.seen) == 1
    assert not {"endpoint/cost", "endpoint/tokens_read"} & set(numbers(ask("free", "readout=generate")))


def test_further_fields_of_a_request(ask, server):
    server.says = "7"
    ask("extra", "readout=generate", "+model.options.extra.max_tokens=null", "+model.options.extra.reasoning=low")
    assert "max_tokens" not in server.seen[0] and server.seen[0]["reasoning"] == "low"


@pytest.mark.parametrize(
    "content", ["<html>", '{"id": "1", "choices": []}', "{", '{"choices": [{"text": "7"}], "usage": 3}']
)
def test_what_is_no_answer_is_said(ask, server, content):
    server.says, server.raw = "7", content
    with pytest.raises(UserError, match=r"gave (no|an) answer for the model 'tiny'.*check model\.url"):
        ask("no-answer", "readout=generate")


def test_an_endpoint_that_is_not_there(run, served):
    with pytest.raises(UserError, match=r"Nothing answers at http://127\.0\.0\.1:9/v1 \(model\.url\)"):
        run(
            "nowhere", *served, "model=endpoint", "model.url=http://127.0.0.1:9/v1", "model.path=tiny",
            "model.options.retries=0",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], r"give model\.url= its address"),
        (list(HERE[:2]), r"learns nothing: set adaptation=none"),
        (["model.url=localhost:80/v1", "model.path=m"], r"give model\.url= its address"),
        (["model.url='http://[::1'", "model.path=m"], r"give model\.url= its address"),
        ([*HERE, "tokens.permute=each"], r"tokens\.permute means nothing"),
        ([*HERE, "vocabulary=extend"], r"vocabulary means nothing"),
        ([*HERE, "readout=score", "task.chat=true"], r"task\.chat=true is for readout=generate"),
        ([*HERE, "readout=head"], r"does not go with a model of the kind"),
        ([*HERE, "model.options.concurrency=0"], r"concurrency=0"),
        ([*HERE, "model.options.most_cost=1"], r"needs input_price"),
    ],
)
def test_what_an_endpoint_needs_is_said(run, overrides, message):
    with pytest.raises(UserError, match=message):
        run("refused", "model=endpoint", *overrides)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            {"choices": [{"index": 0, "text": "7"}, {"index": 1, "text": "8"}]},
            r"gave 2 answers where one was asked for",
        ),
        ({"choices": [], "error": {"message": "out of credit"}}, r"gave no answer.*out of credit"),
    ],
)
def test_replies_that_are_not_one_answer_are_refused(ask, server, reply, message):
    server.says, server.top = "7", reply
    with pytest.raises(UserError, match=message):
        ask("replies", "readout=generate")


KEPT = Answer("7", (("a", None), ("b", -0.5)), 3, 1, "stop", "tiny", True)


def test_answers_are_kept_whole(tmp_path):
    with Answers(tmp_path) as store:
        store.put("one", KEPT)
    with Answers(tmp_path) as store:
        assert store.get(["one", "other"]) == {"one": KEPT}


def test_an_answer_whose_bytes_changed_is_asked_again(tmp_path):
    with Answers(tmp_path) as store:
        store.put("one", KEPT)
        store.put("two", KEPT)
    with sqlite3.connect(tmp_path / "answers.sqlite") as rows:
        (table,) = [name for (name,) in rows.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows.execute(f"UPDATE {table} SET answer = replace(answer, '7', '8') WHERE key = 'one'")
    with Answers(tmp_path) as store:
        assert store.get(["one", "two"]) == {"two": KEPT}


def test_answers_of_the_first_format_are_asked_again(tmp_path):
    with sqlite3.connect(tmp_path / "answers.sqlite") as rows:
        rows.execute("CREATE TABLE answers (key TEXT PRIMARY KEY, answer TEXT)")
        rows.execute("INSERT INTO answers VALUES ('one', '[\"7\", [], 3, 1]')")
    with Answers(tmp_path) as store:
        assert store.get(["one"]) == {}


def test_a_broken_database_is_one_sentence(tmp_path):
    (tmp_path / "answers.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(UserError, match=r"remove answers\.sqlite there if it is broken"), Answers(tmp_path) as store:
        store.get(["one"])
