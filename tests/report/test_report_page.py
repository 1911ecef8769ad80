import base64
import dataclasses
import functools
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from llmimg.errors import UserError
from llmimg.report import page, plots
from llmimg.report.archive import load_record, save_predictions, save_record
from llmimg.report.record import Example, RunRecord
from llmimg.run_folder import RunFolder, write_text
from llmimg.tasks.figures import Bars, Curve, Gallery, Matrix
from llmimg.tasks.measure import Measure

HOSTILE = "</title></svg><script>alert(1)</script><img src=x onerror=alert(1)>\"'&$\\frac{$\x00\n{{ 7*7 }}"
VOID = {"meta", "img", "br", "hr", "input", "link"}
ACCURACY = Measure("accuracy", "Accuracy", "share of test images answered rightly")
LOSS = Measure("loss", "Loss", "mean surprise at a token", "nats", higher_is_better=False, worst=None, best=0.0)


def made_up(classes: int = 3, channels: int = 1, images: int = 40, name: str = "class", seed: int = 0) -> RunRecord:
    rng = np.random.default_rng(seed)
    names = tuple(f"{name} {number}" for number in range(classes))
    image = rng.integers(0, 256, (8, 6, channels), dtype=np.uint8)
    shares = rng.random(classes)
    return RunRecord(
        title="digits · gray · gpt2_tiny",
        config={"data": {"name": "digits", "size": None}, "model": {"name": "gpt2_tiny", "architecture": "gpt2"}},
        environment={"device": "cpu", "versions": {"torch": "2.13.0"}},
        metrics={
            "test/accuracy": 0.947,
            "test/accuracy_low": 0.92,
            "test/accuracy_high": 0.966,
            "data/tokens_per_image": 64.0,
            "data/psnr_db": 31.25,
            "data/test_images": images,
            "model/parameters": 105_472,
            "time/train_seconds": 54.2,
        },
        measures=(ACCURACY, LOSS),
        ranked_by="how sure it was",
        history=[
            {"epoch": 1.0, "step": 10, "loss": 2.0},
            {"epoch": 1.0, "step": 10, "eval_loss": 2.1, "eval_accuracy": 0.3},
            {"epoch": 2.0, "step": 20, "loss": 1.0},
            {"epoch": 2.0, "step": 20, "eval_loss": 1.2, "eval_accuracy": 0.6},
        ],
        figures=[
            Matrix(
                "What it takes for what",
                rng.multinomial(images, np.full(classes**2, classes**-2.0)).reshape(classes, -1),
                names,
                names,
            ),
            Bars(
                "Class by class",
                names,
                {"images": np.arange(classes), "recall": np.where(shares < 0.1, np.nan, shares)},
                {"images": "count", "recall": "share"},
                words={"taken for": names[::-1]},
            ),
            Curve("Reliability", {"accuracy": (shares, shares)}, "probability", "accuracy", diagonal=True),
            Gallery("More of them", (image, image), ("one", "other"), "What was left over."),
        ],
        lengths=rng.integers(40, 65, images),
        context=66,
        examples=[example_of(image, names[0], names[0])],
        mistakes=[example_of(image, names[-1], names[0], text="the mistake's text")],
        notes=["Validation was carved from the training images."],
    )


@functools.cache
def written() -> str:
    """The page of the record above: tests that only read it share it."""
    return page.render(made_up())


def example_of(image, truth, prediction, text=" 1 2 3", **others) -> Example:
    known = {"tokens": 3, "reconstruction": image, "score": 0.75, "remark": "75.0 % sure"}
    return Example(id="test/1", image=image, text=text, truth=truth, prediction=prediction, **known | others)


class Reader(HTMLParser):
    """Checks that tags are balanced and collects them, attributes and text."""

    def __init__(self, markup: str):
        super().__init__()
        self.tags, self.attributes, self.text, self._open = [], [], "", []
        self.feed(markup)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_it_loads_nothing_from_elsewhere():
    markup = page.render(made_up(classes=12, channels=3))
    assert "http:" not in markup and "https:" not in markup and "@import" not in markup
    read = Reader(markup)
    assert not {"link", "script", "iframe", "object", "embed"} & set(read.tags)
    for name, value in read.attributes:
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("data:image/png;base64,", "#"))
    assert not re.search(r"url\((?!['\"]?#)", markup)


def test_ids_are_unique_and_every_reference_is_met():
    read = Reader(written())
    ids = [value for name, value in read.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    styles = " ".join(value for _, value in read.attributes if value)
    used = re.findall(r"url\(#([^)]+)\)", styles)
    used += [value[1:] for name, value in read.attributes if name == "href" and value.startswith("#")]
    assert used and set(used) <= set(ids)


def test_every_image_and_plot_has_an_alternative_text():
    markup = written()
    assert markup.count("<img") == len(re.findall(r'<img [^>]*alt="[^"]+"', markup)) == 6
    assert markup.count("<svg") == len(re.findall(r'<svg [^>]*role="img" aria-label="[^"]+"', markup)) == 5


def test_it_says_what_was_found():
    text = Reader(written()).text
    for expected in (
        "94.7 %",
        "92.0 to 96.6 %",
        "105 k",
        "31.2 dB",
        "the mistake's text",
        "from scratch",
        "carved",
        "2.13.0",
    ):
        assert expected in text


def test_hostile_names_and_texts_stay_text():
    record = made_up()
    hostile = dataclasses.replace(
        record.examples[0], id=HOSTILE, text=HOSTILE * 9, truth=HOSTILE, prediction=HOSTILE + "x", remark=HOSTILE
    )
    names, (_, bars, curve, gallery) = (HOSTILE, "b\ud800", "数字"), record.figures
    record = dataclasses.replace(
        record,
        title=HOSTILE,
        config={HOSTILE: {HOSTILE: [HOSTILE]}, "textify": HOSTILE},
        environment={"device": HOSTILE},
        metrics={**record.metrics, HOSTILE: 1.0},
        figures=[
            Matrix(HOSTILE, np.eye(3), names, names, HOSTILE, HOSTILE, HOSTILE, HOSTILE),
            dataclasses.replace(bars, title=HOSTILE, names=names, words={HOSTILE: names}),
            dataclasses.replace(curve, title=HOSTILE, lines={HOSTILE: (np.arange(3), np.arange(3))}, x_title=HOSTILE),
            dataclasses.replace(gallery, title=HOSTILE, captions=names[:2]),
        ],
        examples=[hostile],
        mistakes=[hostile],
        notes=[HOSTILE],
    )
    markup = page.render(record)
    read = Reader(markup)
    assert "script" not in read.tags and "onerror" not in {name for name, _ in read.attributes}
    assert "{{ 7*7 }}" in read.text and "数字" in read.text
    markup.encode("utf-8")


def test_the_same_run_gives_the_same_bytes():
    assert page.render(made_up()) == written()


def test_matplotlib_settings_of_others_are_left_alone_and_do_not_matter():
    import matplotlib

    before = dict(matplotlib.rcParams)
    expected = plots.token_budget(np.array([1, 2, 3]), 4)
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"svg.hashsalt": "another", "font.size": 20}):
        assert plots.token_budget(np.array([1, 2, 3]), 4) == expected


def test_what_is_missing_is_left_out():
    nothing = RunRecord("t", {}, {}, {}, (), "", [], [], np.array([], int), 0, [], [], [])
    read = Reader(page.render(nothing))
    assert not {"svg", "img", "table"} & set(read.tags)
    without = made_up()
    del without.metrics["data/psnr_db"]
    without.metrics["test/accuracy"] = float("nan")
    text = Reader(page.render(without)).text
    assert "Text fidelity" not in text and "Test accuracy" not in text and "105 k" in text


def test_numbers_of_other_tasks_are_listed():
    record = dataclasses.replace(made_up(), metrics={"test/map_50": 0.4123, "test/map_50_low": 0.3, "test/x": 3})
    text = Reader(page.render(record)).text
    assert "test/map_50" in text and "0.4123" in text and "test/map_50_low" in text and "test/x" in text


@settings(max_examples=4, deadline=None)
@example(classes=1, channels=1, images=1, seed=0)
@example(classes=100, channels=3, images=60, seed=0)
@given(
    classes=st.integers(1, 100),
    channels=st.sampled_from([1, 3]),
    images=st.integers(1, 60),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_number_of_classes_and_images(classes, channels, images, seed):
    record = made_up(classes, channels, images, seed=seed)
    text = Reader(page.render(record)).text
    assert all(name in text for name in record.figures[0].rows)


def test_no_mistakes():
    text = Reader(page.render(dataclasses.replace(made_up(), mistakes=[]))).text
    assert "There are none to show." in text


def test_long_texts_are_folded_but_whole():
    record = made_up()
    long = " ".join(map(str, range(500)))
    markup = page.render(dataclasses.replace(record, examples=[dataclasses.replace(record.examples[0], text=long)]))
    assert f"<pre>{long}</pre>" in markup and '<details class="text">' in markup


def test_cut_tokens_are_shown():
    record = made_up()
    record.metrics.update({"data/truncated_fraction": 0.5625, "data/truncated_images": 40})
    cut = dataclasses.replace(record, examples=[dataclasses.replace(record.examples[0], tokens=64, cut=80)])
    text = Reader(page.render(cut)).text
    assert "80 truncated" in text and "56.2 % of all tokens were truncated, from 40 images." in text


@pytest.mark.parametrize("shape", [(5, 7, 1), (5, 7, 3), (1, 1, 3)])
def test_images_are_written_exactly(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    kind, _, content = page.data_uri(image).partition(",")
    assert kind == "data:image/png;base64"
    read = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
    assert (read.reshape(shape) == image).all()


def test_large_images_are_shrunk():
    uri = page.data_uri(np.zeros((1000, 500, 3), np.uint8))
    assert Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size == (192, 384)


def test_plots_follow_the_page_colours():
    markup = written()
    assert "var(--accent)" in markup and "#01020" not in markup


@pytest.mark.parametrize(
    ("kind", "said", "unsaid"),
    [
        ("language", ["A language model, “m”, read that text"], ["saw these pixels", "asked"]),
        ("endpoint", ["A language model, “served”, was asked over the network"], ["saw these pixels", "started from"]),
        (
            "image",
            ["was taken as pixels, and not written as text", "a neural network, “m”, saw these pixels"],
            ["read that text", "A language model reads", "is given the text"],
        ),
        (
            "baseline",
            ["No language model, but a baseline, “m”, gave the answers", "It was fitted in 54 s"],
            ["read that text", "A language model", "is given the text", "It trained"],
        ),
    ],
)
def test_the_kind_of_model_that_ran_is_spoken_of(kind, said, unsaid):
    model = {"name": "m", "kind": kind, "architecture": None, "path": "served" if kind == "endpoint" else None}
    record = dataclasses.replace(made_up(), config={"data": {"name": "digits"}, "model": model}, history=[])
    text = Reader(page.render(record)).text
    assert all(each in text for each in said)
    assert not [each for each in unsaid if each in text]


def test_the_headline_is_spoken_of_whichever_way_is_better():
    record = made_up()
    text = Reader(page.render(record)).text.replace("\u00a0", " ")
    assert "On 40 test images its accuracy is 94.7 % (share of test images answered rightly); a test of this" in text
    assert "pins it down to 92.0 % to 96.6 % (95 % confidence interval)" in text and "lower is better" not in text
    record = dataclasses.replace(record, measures=(LOSS,), metrics={"test/loss": 0.25}, history=[])
    text = Reader(page.render(record)).text
    assert "On the test images its loss is 0.250 nats (mean surprise at a token); lower is better." in text
    assert "Test loss" in text and "accuracy is" not in text


def test_drawings_of_truth_and_prediction_stand_beside_the_image():
    image = np.zeros((4, 4, 3), np.uint8)
    drawn = example_of(
        image, "a box", "two boxes", truth_drawn=image + 1, prediction_drawn=image + 2, remark="F1 50.0 %"
    )
    markup = page.render(dataclasses.replace(made_up(), examples=[drawn], mistakes=[]))
    assert page.data_uri(image + 1) in markup and page.data_uri(image + 2) in markup
    assert "F1 50.0 %" in markup and "✗" not in markup  # how good it is, is no matter of yes or no


def test_a_record_is_read_back_as_it_was(tmp_path):
    record = made_up(channels=3)
    image = record.examples[0].image
    record.examples.append(example_of(image, "", "", reconstruction=None, truth_drawn=image, score=float("nan")))
    folder = RunFolder(tmp_path)
    save_record(record, folder)
    save_predictions({"id": list("ab"), "tokens": [1, 2]}, (), folder)
    write_text(tmp_path / "config.yaml", json.dumps(record.config))
    write_text(tmp_path / "environment.json", json.dumps(record.environment))
    write_text(tmp_path / "metrics.json", json.dumps(record.metrics))
    read = load_record(tmp_path)
    assert page.render(read) == page.render(dataclasses.replace(record, lengths=np.array([1, 2])))
    for one, other in zip(read.figures[0:1] + read.figures[3:], record.figures[0:1] + record.figures[3:], strict=True):
        assert type(one) is type(other) and one.title == other.title
    np.testing.assert_array_equal(read.figures[0].values, record.figures[0].values)
    assert read.measures == record.measures and read.examples[1].reconstruction is None


def test_a_record_of_an_earlier_version_is_refused(tmp_path):
    for name, content in (("metrics.json", {}), ("record.json", {"title": "t", "label_names": [], "examples": []})):
        (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"record\.json of .* has no .*measures.* force=true"):
        load_record(tmp_path)
