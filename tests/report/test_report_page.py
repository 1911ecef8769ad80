import base64
import dataclasses
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from llmimg.report import page, plots
from llmimg.report.record import Example, RunRecord

HOSTILE = "</title></svg><script>alert(1)</script><img src=x onerror=alert(1)>\"'&$\\frac{$\x00\n{{ 7*7 }}"
VOID = {"meta", "img", "br", "hr", "input", "link"}


def made_up(classes: int = 3, channels: int = 1, images: int = 40, name: str = "class", seed: int = 0) -> RunRecord:
    rng = np.random.default_rng(seed)
    names = tuple(f"{name} {number}" for number in range(classes))
    image = rng.integers(0, 256, (8, 6, channels), dtype=np.uint8)
    labels, probabilities = rng.integers(classes, size=images), rng.dirichlet(np.ones(classes), size=images)
    shown = Example("test/1", image, " 1 2 3", "", 3, 0, image, names[0], names[0], 0.75)
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
            "model/parameters": 105_472,
            "time/train_seconds": 54.2,
        },
        history=[
            {"epoch": 1.0, "step": 10, "loss": 2.0},
            {"epoch": 1.0, "step": 10, "eval_loss": 2.1, "eval_accuracy": 0.3},
            {"epoch": 2.0, "step": 20, "loss": 1.0},
            {"epoch": 2.0, "step": 20, "eval_loss": 1.2, "eval_accuracy": 0.6},
        ],
        label_names=names,
        labels=labels,
        probabilities=probabilities,
        lengths=rng.integers(40, 65, images),
        context=66,
        examples=[shown],
        mistakes=[dataclasses.replace(shown, label=names[-1], text="the mistake's text")],
        notes=["Validation was carved from the training images."],
    )


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
    read = Reader(page.render(made_up()))
    ids = [value for name, value in read.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    styles = " ".join(value for _, value in read.attributes if value)
    used = re.findall(r"url\(#([^)]+)\)", styles)
    used += [value[1:] for name, value in read.attributes if name == "href" and value.startswith("#")]
    assert used and set(used) <= set(ids)


def test_every_image_and_plot_has_an_alternative_text():
    markup = page.render(made_up())
    assert markup.count("<img") == len(re.findall(r'<img [^>]*alt="[^"]+"', markup)) == 4
    assert markup.count("<svg") == len(re.findall(r'<svg [^>]*role="img" aria-label="[^"]+"', markup)) == 5


def test_it_says_what_was_found():
    text = Reader(page.render(made_up())).text
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
        record.examples[0], id=HOSTILE, text=HOSTILE * 9, label=HOSTILE, prediction=HOSTILE + "x"
    )
    record = dataclasses.replace(
        record,
        title=HOSTILE,
        config={HOSTILE: {HOSTILE: [HOSTILE]}, "textify": HOSTILE},
        environment={"device": HOSTILE},
        metrics={**record.metrics, HOSTILE: 1.0},
        label_names=(HOSTILE, "b\ud800", "数字"),
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
    assert page.render(made_up()) == page.render(made_up())


def test_matplotlib_settings_of_others_are_left_alone_and_do_not_matter():
    import matplotlib

    before = dict(matplotlib.rcParams)
    expected = plots.token_budget(np.array([1, 2, 3]), 4)
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"svg.hashsalt": "another", "font.size": 20}):
        assert plots.token_budget(np.array([1, 2, 3]), 4) == expected


def test_what_is_missing_is_left_out():
    nothing = RunRecord("t", {}, {}, {}, [], (), np.array([], int), np.empty((0, 0)), np.array([], int), 0, [], [], [])
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
    assert all(name in text for name in record.label_names)


def test_no_mistakes():
    text = Reader(page.render(dataclasses.replace(made_up(), mistakes=[]))).text
    assert "There are none to show." in text


def test_missing_label_names_are_numbered():
    text = Reader(page.render(dataclasses.replace(made_up(classes=13), label_names=("ant",)))).text
    assert "ant" in text and "12" in text


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
    assert "80 cut off" in text and "56.2 % of all tokens were cut off, from 40 images." in text


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
    markup = page.render(made_up())
    assert "var(--accent)" in markup and "#01020" not in markup


def test_a_model_of_pixels_is_not_said_to_have_read_a_text():
    record = made_up()
    record = dataclasses.replace(
        record, config={"data": {"name": "digits"}, "model": {"name": "resnet_tiny", "kind": "image"}}
    )
    told = page.render(record)
    assert "was taken as pixels, and not written as text" in told
    assert "read that text" not in told
