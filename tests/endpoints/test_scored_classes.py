"""Probabilities of classes from a server: believed where they can be, refused where not."""

import json

import numpy as np
import pyarrow.parquet
import pytest

from llmimg.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")


def columns(folder) -> dict:
    return pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()


def log(folder) -> str:
    return (folder / "run.log").read_text()


def test_the_scores_are_those_of_the_same_model_in_a_folder(local, ask):
    here, there = local, ask("there", "readout=score")
    assert columns(here)["id"] == columns(there)["id"]
    np.testing.assert_allclose(columns(here)["probabilities"], columns(there)["probabilities"], atol=1e-5)
    losses = [json.loads((folder / "metrics.json").read_text())["test/loss"] for folder in (here, there)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_log_probabilities_of_another_place_are_refused_before_the_first_image(ask, server):
    server.late = True
    with pytest.raises(UserError, match=r"has -\d+\.\d+ when echoed and -\d+\.\d+ when written"):
        ask("late", "readout=score")
    assert len(server.seen) <= 8


@pytest.mark.parametrize(
    "how", [{"noise": 0.03}, {"certain": True, "finish": "length", "name": "x/tiny-0613", "window": 7}]
)
def test_an_honest_server_is_believed(ask, server, local, how):
    """Whatever its precision, and where it calls greedy tokens certain."""
    for name, value in how.items():
        setattr(server, name, value)
    folder = ask("honest", "readout=score")
    here = np.array(columns(local)["probabilities"])
    np.testing.assert_allclose(columns(folder)["probabilities"], here, atol=0.02 if "noise" in how else 1e-5)
    assert ("differ by up to 0.06 nats" in log(folder)) == ("noise" in how)
    assert ("counts 7 tokens read of a prompt that it echoes as 1" in log(folder)) == ("window" in how)


def test_log_probabilities_that_wander_are_refused(ask, server):
    server.noise = 0.7
    with pytest.raises(UserError, match=r"log-probabilities"):
        ask("wander", "readout=score")


@pytest.mark.parametrize("silent", [True, "prompt"])
def test_log_probabilities_that_are_not_given_are_missed(ask, server, silent):
    server.silent = silent
    with pytest.raises(UserError, match=r"gives no log-probabilities of a prompt.*readout=generate"):
        ask("silent", "readout=score")
    assert len(server.seen) <= 2


@pytest.mark.parametrize(
    ("logprobs", "message"),
    [
        ({"tokens": ["a"], "token_logprobs": [0.4]}, r"'a' the log-probability 0\.4, which none can have"),
        ({"tokens": ["a"], "token_logprobs": [float("nan")]}, r"log-probability nan, which none can have"),
        ({"tokens": ["a", "b"], "token_logprobs": [-1.0]}, r"1 log-probabilities of 2 tokens"),
        ({"tokens": [], "token_logprobs": []}, r"gives no log-probabilities"),
    ],
)
def test_what_is_no_log_probability_is_refused(ask, server, logprobs, message):
    server.choice = {"logprobs": logprobs}
    with pytest.raises(UserError, match=message):
        ask("broken", "readout=score")


def test_an_answer_that_begins_the_text_has_no_probability(ask, server):
    server.bare = True
    with pytest.raises(UserError, match=r"put some words in front of \{image\} in task\.prompts"):
        ask("begins", "readout=score", "readout.normalise=prior", "task.prompts='{image}{answer}'", "task.shots=0")


def test_each_request_is_counted_once(ask, server):
    folder = ask("once", "readout=score", "readout.normalise=prior", "data.size=1", "task.shots=0", "textify.levels=2")
    numbers = json.loads((folder / "metrics.json").read_text())
    assert numbers["endpoint/requests"] == len(server.seen) < 40  # one or two texts, and none, for ten classes
