"""Answers that have a grammar, by a model that is asked over the network: what it is asked, and what is read."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from transformers import AutoTokenizer

from llmimg.carry_out import carry_out
from llmimg.errors import UserError
from llmimg.models.answers import Answer as Reply
from llmimg.models.endpoint_pieces import read_pieces
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from tests.serving import serving

INFO = DataInfo(classes={"objects": ("cat", "catfish", "hot dog"), "mask": ("road", "car")}, counts={"mask": (2, 1)})
ROW = {"id": "r", "size": (16, 16), "placement": None}


def detect(**settings):
    return TASKS["detect"].with_settings(INFO, **{"bins": 16, "most": 2, **settings})


def segment(**settings):
    return TASKS["segment"].with_settings(INFO, **{"grid": [2, 4], **settings})


def read(task, text: str, **said) -> tuple[str | None, str | None]:
    """The pieces read as text, and what is wrong with them."""
    answer = read_pieces(task, Reply(text, **said), ROW)
    assert answer.text == text and answer.log_probabilities is None
    return None if answer.pieces is None else task.lexicon.text(answer.pieces), answer.problem


ONE, TWO = " y1 x2 y3 x4 cat", " y0 x0 y16 x9 hot dog"


@pytest.mark.parametrize(
    "text",
    [ONE + TWO, (ONE + TWO).strip(), f"\n{ONE}{TWO} \n", f"<think>y1?</think>{ONE}{TWO}", f"…</think>{ONE}{TWO}"],
)
def test_what_goes_by_the_grammar_is_read_whatever_surrounds_it(text):
    assert read(detect(), text, finish="stop") == (ONE + TWO, None)
    found = detect().read(read_pieces(detect(), Reply(text), ROW), ROW)
    assert found.objects.boxes.tolist() == [[2, 1, 2, 2], [0, 0, 9, 16]] and found.objects.scores.tolist() == [1, 1]


@pytest.mark.parametrize(
    "text",
    [
        "There is a cat.",
        f"The objects are:{ONE}",
        f"{ONE}, and nothing else",
        f"{ONE}\n{TWO}",
        " y1 x2 y3 cat",
        " y1 x2 y3 x17 cat",
        " y1 x2 y3 x4",
    ],
)
def test_what_does_not_is_not_guessed_at(text):
    assert read(detect(), text) == (None, "not as answers are written")
    found = detect().read(read_pieces(detect(), Reply(text), ROW), ROW)
    assert len(found.objects) == 0 and found.problem


def test_several_labels_are_read_by_their_names():
    info = DataInfo(classes={"labels": ("cat", "catfish", "hot dog")})
    several = TASKS["classify"].with_settings(info, multiple=True)
    assert read(several, "catfish, hot dog\n", finish="stop") == (" catfish, hot dog", None)
    found = several.read(read_pieces(several, Reply("catfish, hot dog"), ROW), ROW)
    probabilities = {"catfish": 1.0, "hot dog": 1.0}
    assert several.as_json(found) == {"labels": ["catfish", "hot dog"], "probabilities": probabilities}
    assert read(several, "") == ("", None)
    for text in ("hot dog, cat", "cat and hot dog", "cat, cat", "dog"):
        assert read(several, text) == (None, "not as answers are written")


def test_nothing_said_is_an_answer_where_the_grammar_has_it():
    assert read(detect(), " \n") == ("", None)
    assert read(segment(format="runs"), "") == (None, "empty")


def test_thinking_that_came_to_no_answer_and_refusals_are_none():
    assert read(detect(), "<think>y1 x2", finish="length") == (None, "thinking only, truncated")
    assert read(detect(), "", thought=True) == (None, "thinking only")
    assert read(detect(), ONE, finish="content_filter") == (None, "refused")


@pytest.mark.parametrize(
    ("text", "begun"),
    [
        (f"{ONE}{TWO}", f"{ONE} y0 x0 y16 x9"),  # "hot dog" may be the beginning of another word
        (f"{ONE} y0 x1", f"{ONE} y0"),
        (f"{ONE} y0 x1 y", f"{ONE} y0"),
        (ONE, " y1 x2 y3 x4"),  # "catfish" was to come, perhaps
        ("There", ""),
        ("", ""),
    ],
)
def test_of_what_is_cut_off_all_but_the_last_piece_is_read(text, begun):
    assert read(detect(), text, finish="length") == (begun, "truncated")
    assert read(detect(), text, finish="odd") == (begun, "broken off")


def test_what_goes_beyond_the_budget_is_left_out():
    assert read(detect(), ONE + TWO + ONE) == (ONE + TWO, "goes on behind its end")
    runs = segment(format="runs")
    whole = "road ×2 car ×2\ncar ×4"
    assert read(runs, whole) == (whole, None)
    assert read(runs, f"{whole}\nroad ×4") == (whole, "goes on behind its end")
    assert read(runs, "road ×4") == ("road ×4", "ends too early")
    assert read(segment(), " row0 car 1-2") == (" row0 car 1-2", None)


SCENES = (
    "data=scenes", "data.scenes.things=digits", "data.scenes.canvas=12", "data.scenes.sizes=[8]", "data.scenes.most=1",
    "data.scenes.train=8", "data.scenes.validation=2", "data.scenes.test=5", "textify=gray", "textify.levels=4",
    "data.size=6", "adaptation=none", "model=endpoint", "model.path=tiny", "model.options.concurrency=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def running(small_tokenizer):
    with serving(None, AutoTokenizer.from_pretrained(small_tokenizer)) as server:
        yield server


@pytest.fixture
def ask(composed, running, tmp_path):
    """(what the server says, settings) → the folder of a run that asks it."""
    running.reset()

    def asked(says: list[str], *overrides: str) -> Path:
        running.says = says
        url, cache = f"model.url={running.url}", f"tokens.cache_dir={tmp_path}"
        settings = composed(tmp_path.name, *overrides, url, cache, base=SCENES)
        carry_out(settings)
        return Path(settings["run_dir"])

    return asked


def columns(folder: Path) -> dict:
    return pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()


def test_a_run_that_finds_objects(ask, running):
    says = [" y0 x0 y6 x6 3", "y0 x0 y6 x6 3 y2 x2 y4 x4 7", "I see a 3.", ""]
    folder = ask(says, "task=detect", "task.bins=6", "task.most=2", "task.shots=2")
    body = running.seen[0]
    assert body["stop"] == ["\n"] and body["temperature"] == 0 and body["max_tokens"] >= 10 * len(" x6")
    assert body["prompt"].endswith("\nobjects:") and body["prompt"].count("\nobjects: y") == 2
    shown = body["prompt"].split("\nobjects:")[1:-1]
    assert all("\n" in each for each in shown)  # an answer ends with its line
    table = columns(folder)
    counts = {says[0]: 1, says[1]: 2, says[2]: 0, says[3]: 0}
    for answer, found, problem in zip(table["answer"], table["found_objects"], table["problem"], strict=True):
        assert len(json.loads(found)) == counts[answer] and bool(problem) == (answer == says[2])
    assert {each["score"] for found in table["found_objects"] for each in json.loads(found)} == {1.0}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test/unread_answers"] == pytest.approx(np.mean([answer == says[2] for answer in table["answer"]]))
    page = (folder / "report.html").read_text()
    assert "not written as this task" in page and "temperature=0" in page  # it says another thing each time
    assert json.loads((folder / "predictions" / "detections.json").read_text())


def test_a_run_that_segments(ask, running):
    runs = ("task=segment", "task.grid=[2,2]", "task.format=runs", "task.chat=true")
    folder = ask(["```none```"], *runs)
    body = running.seen[0]
    assert "stop" not in body and body["messages"][-1]["content"].endswith("\nmask:")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test/unread_answers"] == 1 and metrics["test/mean_iou"] == 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("readout=score",), r"task=detect cannot be read out by readout=score: take readout=generate"),
        (("readout=generate", "readout.beams=2"), r"readout\.beams means nothing to the model 'endpoint'"),
    ],
)
def test_what_an_endpoint_cannot_do_is_refused(ask, running, overrides, message):
    with pytest.raises(UserError, match=message):
        ask(["7"], "task=detect", *overrides)
    assert not running.seen
