"""A model that is asked over the network: a small server here, which speaks as OpenAI's endpoints do."""

import http.server
import json
import sys
import threading

import numpy as np
import pyarrow.parquet
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from llmimg.errors import UserError
from llmimg.report import compare as comparison
from llmimg.run_folder import RunFolder
from llmimg.tasks.asked import read_answer
from llmimg.tokens.cache import prune

pytestmark = pytest.mark.usefixtures("one_thread")

HERE = ("model.url=http://127.0.0.1:9/v1", "model.path=m", "adaptation=none")
SERVED = ("adaptation=none", "task.shots=2", "data.test_samples=12")


class Server(http.server.ThreadingHTTPServer):
    """A model and its tokenizer behind /v1/completions and /v1/chat/completions.

    Attributes:
        seen: the bodies of all requests.
        failing: statuses that the next requests are answered with.
        silent: whether it keeps log-probabilities to itself; of what it was given only, where this is "prompt".
        bare: whether nothing begins its texts, so that their first token has no probability.
        counts: whether it says how many tokens a request had.
        says: what it writes, where that is given.
        raw: what it answers everything with, where that is given.
    """

    daemon_threads = True

    def __init__(self, model, tokenizer):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model, self.tokenizer, self.lock = model, tokenizer, threading.Lock()
        self.reset()

    def reset(self):
        self.bare = False
        self.seen, self.failing, self.silent, self.says, self.raw, self.counts = [], [], False, None, None, True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @torch.no_grad()
    def completion(self, body: dict) -> dict:
        encoded = self.tokenizer(body["prompt"], add_special_tokens=False)
        ids, first = encoded["input_ids"], self.tokenizer.bos_token_id
        logits = self.model(torch.tensor([[first, *ids]])).logits[0].log_softmax(dim=-1)
        told = [None, *(float(logits[place, token]) for place, token in enumerate(ids))]
        names = self.tokenizer.convert_ids_to_tokens([first, *ids])
        # The token that begins every text is told as any other, as by vLLM.
        new = int(logits[-1].argmax())
        word = self.tokenizer.convert_ids_to_tokens(new)
        logprobs = {"tokens": [*names, word], "token_logprobs": [*told, 0.0]}
        logprobs["text_offset"] = [0] * len(logprobs["tokens"])  # servers differ in what they count from
        if self.bare:
            logprobs = {"tokens": [*names[1:], word], "token_logprobs": [None, *told[2:], 0.0], "text_offset": None}
        if self.silent == "prompt":
            logprobs = {"tokens": [word], "token_logprobs": [-0.1], "text_offset": [0]}
        text = body["prompt"] * bool(body.get("echo")) + (self.says or word)
        return {
            "text": text,
            "logprobs": logprobs if body.get("logprobs") and self.silent is not True else None,
            "usage": (len(ids) + 1, 1),
        }


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.seen.append(body)
            status = self.server.failing.pop(0) if self.server.failing else 200
            if status != 200:
                return self._send(status, {"error": {"message": "not now", "type": "test"}})
            if "messages" in body:
                text, usage = self.server.says, (7, 2)
                choice = {"message": {"role": "assistant", "content": text}}
            else:
                told = self.server.completion(body)
                usage = told.pop("usage")
                choice = told
            choice |= {"index": 0, "finish_reason": "length"}
            counts = dict(zip(("prompt_tokens", "completion_tokens"), usage, strict=True))
            counts = {**counts, "total_tokens": sum(usage)} if self.server.counts else None
            self._send(200, {"choices": [choice], "usage": counts})
        return None

    def _send(self, status: int, body: dict) -> None:
        whole = {"id": "1", "object": "x", "created": 0, "model": "m", **body}
        content = (self.server.raw or json.dumps(whole)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if content.startswith(b"<") else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        """Tests print nothing."""


@pytest.fixture(scope="module")
def local(run):
    """A run that prompts a model from a folder, random as it is."""
    return run("local", *SERVED, "readout=score")


@pytest.fixture(scope="module")
def serving(local):
    model = AutoModelForCausalLM.from_pretrained(local / "model").eval()
    with Server(model, AutoTokenizer.from_pretrained(local / "model")) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def server(serving):
    serving.reset()
    return serving


@pytest.fixture
def ask(run, server, tmp_path):
    def asked(name: str, *overrides: str):
        kept = f"tokens.cache_dir={tmp_path}"
        return run(name, *SERVED, "model=endpoint", f"model.url={server.url}", "model.path=tiny", kept, *overrides)

    return asked


def columns(folder) -> dict:
    return pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()


def numbers(folder) -> dict:
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.parametrize("normalise", ["none", "length", "prior"])
def test_the_scores_are_those_of_the_same_model_in_a_folder(run, ask, normalise):
    how = ("readout=score", f"readout.normalise={normalise}")
    here, there = run(f"here-{normalise}", *SERVED, *how), ask(f"there-{normalise}", *how)
    assert columns(here)["id"] == columns(there)["id"]
    np.testing.assert_allclose(columns(here)["probabilities"], columns(there)["probabilities"], atol=1e-5)
    assert numbers(there)["test/loss"] == pytest.approx(numbers(here)["test/loss"], abs=1e-5)


def test_what_was_answered_is_not_asked_again(ask, server):
    first = ask("first", "readout=score")
    assert len(server.seen) == numbers(first)["endpoint/requests"] == 120
    again = ask("again", "readout=score")
    assert len(server.seen) == 120
    assert columns(again) == columns(first)
    assert (again / "report.html").is_file()


def test_answers_in_words(ask, server):
    server.says = "I think it is 3, or 4."
    folder = ask("words", "readout=generate", "task.chat=true")
    table = columns(folder)
    assert set(table["prediction"]) == {"3"} and set(table["answer"]) == {server.says}
    assert numbers(folder)["test/accuracy"] == np.mean([label == "3" for label in table["label"]])
    assert comparison.rows_of([RunFolder(folder)])[0].mean == numbers(folder)["test/accuracy"]
    assert not {"test/loss", "test/ece"} & set(numbers(folder)) and "probabilities" not in table
    turns = server.seen[0]["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 2 + ["user"]
    assert len({len(turn["content"].split()) for turn in turns if turn["role"] == "user"}) == 1  # an image's words each
    page = (folder / "report.html").read_text()
    assert "% sure" not in page and "most sure of" not in page and "does not say how sure" in page


def test_an_answer_that_names_no_class_is_wrong(ask, server):
    server.says = "no idea"
    folder = ask("none", "readout=generate")
    assert numbers(folder)["test/accuracy"] == 0 and numbers(folder)["test/unread_answers"] == 1
    assert numbers(folder)["test/macro_f1"] == 0
    assert server.seen[0]["stop"] == ["\n"] and server.seen[0]["prompt"].endswith("\nclass:")


@pytest.mark.parametrize(
    ("text", "label"),
    [("4", 0), (" a Cat.", 1), ("catfish", 2), ("40", None), ("", None), ("no dogs, a cat", 1), ("cat fish", 1)],
)
def test_words_are_read_as_the_class_named_first(text, label):
    assert read_answer(text, ("4", "cat", "catfish", "dog")) == label


def test_failures_that_pass_are_tried_again(ask, server):
    server.says, server.failing = "7", [500, 429]
    assert set(columns(ask("retried", "readout=generate"))["prediction"]) == {"7"}
    assert len(server.seen) == 14


def test_the_cost_is_estimated_before_it_is_paid(ask, server):
    server.says = "7"
    prices = ("readout=generate", "model.options.input_price=10", "model.options.output_price=100")
    with pytest.raises(UserError, match=r"would cost about 0\.0\d+.*most_cost=0\.001.*One request was made"):
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


@pytest.mark.parametrize("silent", [True, "prompt"])
def test_log_probabilities_that_are_not_given_are_missed(ask, server, silent):
    server.silent = silent
    with pytest.raises(UserError, match=r"gives no log-probabilities of a prompt.*readout=generate"):
        ask("silent", "readout=score")
    assert len(server.seen) == 1


def test_what_was_answered_before_it_went_wrong_is_kept(ask, server):
    server.says, server.failing = "7", [200] * 5 + [404] + [200] * 100
    with pytest.raises(UserError, match="status 404"):
        ask("broken", "readout=generate", "model.options.concurrency=3")
    answered = len(server.seen) - 1
    assert 5 <= answered < 12
    ask("whole", "readout=generate")
    assert len(server.seen) == 1 + 12


def test_answers_outlive_what_is_pruned(ask, server, tmp_path):
    server.says = "7"
    ask("pruned", "readout=generate", "textify=patch_words", "textify.patch=2", "textify.codes=16")
    assert prune(tmp_path)
    ask("pruned-again", "readout=generate", "textify=patch_words", "textify.patch=2", "textify.codes=16")
    assert len(server.seen) == 12


def test_a_package_that_is_missing_is_named(ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UserError, match=r"needs the package openai: pip install openai"):
        ask("missing", "readout=generate")


def test_force_asks_anew(ask, server):
    server.says = "7"
    ask("forced", "readout=generate")
    server.says = "8"
    assert set(columns(ask("forced", "readout=generate", "force=true"))["prediction"]) == {"8"}
    assert len(server.seen) == 24


def test_what_is_not_counted_cannot_be_estimated(ask, server):
    server.says, server.counts = "7", False
    with pytest.raises(UserError, match=r"does not say how many tokens it read.*leave out"):
        ask("uncounted", "readout=generate", "model.options.input_price=1", "model.options.output_price=1")
    assert len(server.seen) == 1
    assert "endpoint/cost" not in numbers(ask("free", "readout=generate"))


def test_further_fields_of_a_request(ask, server):
    server.says = "7"
    ask("extra", "readout=generate", "+model.options.extra.max_tokens=null", "+model.options.extra.reasoning=low")
    assert "max_tokens" not in server.seen[0] and server.seen[0]["reasoning"] == "low"


def test_an_answer_that_begins_the_text_has_no_probability(ask, server):
    server.bare = True
    with pytest.raises(UserError, match=r"put some words in front of \{image\} in task\.template"):
        ask("begins", "readout=score", "readout.normalise=prior", "task.template='{image}{answer}'", "task.shots=0")


def test_the_conversation_is_the_prompt(ask, server):
    """The same shots, in the same words, as a model in a folder is given."""
    server.says = "7"
    ask("talk", "readout=generate", "task.chat=true")
    ask("text", "readout=generate")
    turns, prompt = server.seen[0]["messages"], server.seen[12]["prompt"]
    told = [turn["content"] for turn in turns]
    assert (
        prompt
        == "\n".join(f"{asked} {answer}" for asked, answer in zip(told[::2], [*told[1::2], ""], strict=True))[:-1]
    )


@pytest.mark.parametrize(
    "content", ["<html>", '{"id": "1", "choices": []}', "{", '{"choices": [{"text": "7"}], "usage": 3}']
)
def test_what_is_no_answer_is_said(ask, server, content):
    server.raw = content
    with pytest.raises(UserError, match=r"gave (no|an) answer for the model 'tiny'.*check model\.url"):
        ask("no-answer", "readout=generate")


def test_an_endpoint_that_is_not_there(run):
    with pytest.raises(UserError, match=r"Nothing answers at http://127\.0\.0\.1:9/v1 \(model\.url\)"):
        run(
            "nowhere", *SERVED, "model=endpoint", "model.url=http://127.0.0.1:9/v1", "model.path=tiny",
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
        ([*HERE, "readout=generate", "readout.beams=2"], r"readout\.beams means nothing"),
        ([*HERE, "readout=score", "task.chat=true"], r"task\.chat=true is for readout=generate"),
        ([*HERE, "readout=head"], r"does not go with a model of the kind"),
        ([*HERE, "model.options.concurrency=0"], r"concurrency=0"),
        ([*HERE, "model.options.most_cost=1"], r"needs input_price"),
    ],
)
def test_what_an_endpoint_needs_is_said(run, overrides, message):
    with pytest.raises(UserError, match=message):
        run("refused", "model=endpoint", *overrides)
