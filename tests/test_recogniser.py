import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from PIL import Image
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from llmimg import Recogniser, UserError
from llmimg.data import DataSettings, decode, load
from llmimg.tokens.encoder import write_all

pytestmark = pytest.mark.usefixtures("one_thread")

# Each way tokens come about, models that pool differently, and images brought to another size.
WAYS = {
    "own": ("data.size=null",),
    "reuse": ("vocabulary=reuse", "vocabulary.path={gpt2}", "model=bert_tiny"),
    "extend": ("vocabulary=extend", "vocabulary.path={gpt2}", "model=llama_tiny", "textify=region_color"),
    "truncated": ("tokens.overflow=truncate", "tokens.max_length=40", "data.size=[9,7]", "data.fit=pad"),
}


@pytest.fixture(scope="module")
def train(run, tmp_path_factory):
    """Trains for a few steps in one of the ways, once, and moves the run to where nothing else is, nor its cache."""
    runs = {}

    def trained(way: str, **values) -> Path:
        if way not in runs:
            overrides = [override.format(**values) for override in WAYS[way]]
            cache = tmp_path_factory.mktemp(f"{way}-cache")
            made = run(way, *overrides, "trainer.save_strategy=no", f"tokens.cache_dir={cache}")
            runs[way] = tmp_path_factory.mktemp(f"{way}-moved") / "else where"
            shutil.move(made, runs[way])
            shutil.rmtree(cache)
        return runs[way]

    return trained


@pytest.fixture(scope="module")
def moved(train) -> Path:
    return train("own")


@pytest.fixture(scope="module")
def digits() -> list[dict]:
    """The test images of all these runs, as their source holds them."""
    return load(DataSettings("digits", source="digits", train_samples=64, val_samples=32, test_samples=37)).test[
        "image"
    ]


@pytest.mark.parametrize("way", WAYS)
def test_moved_elsewhere_it_gives_the_answers_of_the_run(way, train, digits, request):
    needed = {"gpt2": request.getfixturevalue("gpt2_folder")} if way in ("reuse", "extend") else {}
    moved = train(way, **needed)
    table = pyarrow.parquet.read_table(moved / "predictions.parquet").to_pydict()
    for answers in (Recogniser.load(moved)(digits), Recogniser.load(moved / "model")(list(digits), batch_size=1)):
        assert [answer["label"] for answer in answers] == table["prediction"]
        probabilities = np.array([list(answer["probabilities"].values()) for answer in answers])
        np.testing.assert_allclose(probabilities, table["probabilities"], atol=1e-5)


def test_images_in_any_form_one_or_many(moved, digits, tmp_path):
    recogniser = Recogniser.load(str(moved))
    data = digits[0]["bytes"]
    path = tmp_path / "digit.png"
    path.write_bytes(data)
    forms = [data, path, str(path), Image.open(io.BytesIO(data)), decode(data), decode(data)[:, :, 0], digits[0]]
    many = recogniser(forms)
    assert many == recogniser(tuple(forms)) and len(many) == len(forms)
    for form, answer in zip(forms, many, strict=True):
        (alone,) = recogniser(form)
        assert answer["label"] == alone["label"]
        assert answer["probability"] == pytest.approx(alone["probability"], abs=1e-6)
        assert alone["probability"] == pytest.approx(many[0]["probability"], abs=1e-6)
    assert recogniser(np.stack([decode(data)] * 2)) == recogniser([data, data])
    assert recogniser([]) == []


def test_answers_are_plain_json(moved, digits):
    (answer,) = Recogniser.load(moved)(digits[3])
    assert json.loads(json.dumps(answer)) == answer
    assert list(answer["probabilities"]) == [str(digit) for digit in range(10)]
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    assert answer["probability"] == max(answer["probabilities"].values()) == answer["probabilities"][answer["label"]]


@pytest.mark.parametrize("way", ["own", "extend"])
def test_transformers_alone_reads_the_folder(way, train, digits, request):
    needed = {"gpt2": request.getfixturevalue("gpt2_folder")} if way == "extend" else {}
    folder = train(way, **needed) / "model"
    recogniser = Recogniser.load(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    images, _ = recogniser.encoder.decoding(digits[:4])
    textifier = recogniser.encoder.textifier
    texts = textifier.texts(write_all(textifier, images))
    with torch.no_grad():
        logits = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits
    probabilities = torch.softmax(logits, dim=1).numpy()
    ours = [list(answer["probabilities"].values()) for answer in recogniser(digits[:4])]
    np.testing.assert_allclose(probabilities, ours, atol=1e-5)
    assert model.config.id2label == {digit: str(digit) for digit in range(10)}


@pytest.mark.parametrize("way", ["own", "extend"])
def test_the_folder_holds_no_code_and_no_pickle(way, train, request):
    needed = {"gpt2": request.getfixturevalue("gpt2_folder")} if way == "extend" else {}
    folder = train(way, **needed) / "model"
    assert {file.suffix for file in folder.rglob("*")} <= {".safetensors", ".json", ".txt"}
    assert not any("auto_map" in file.read_text() for file in folder.glob("*.json"))


def test_it_goes_on_as_a_model_of_transformers(moved, digits, tmp_path):
    again = tmp_path / "again" / "model"
    recogniser = Recogniser.load(moved)
    recogniser.save(again)
    assert Recogniser.load(again.parent)(digits[:3]) == recogniser(digits[:3])


def test_a_newer_format_is_refused_with_a_sentence(moved, tmp_path):
    folder = tmp_path / "newer"
    shutil.copytree(moved / "model", folder)
    described = json.loads((folder / "recogniser.json").read_text())
    (folder / "recogniser.json").write_text(json.dumps({**described, "format": 99}))
    with pytest.raises(UserError, match=r"another version of llmimg \(format 99, this one reads 3\)"):
        Recogniser.load(folder)


def test_a_folder_without_a_recogniser(tmp_path):
    with pytest.raises(UserError, match="holds no recogniser: give the folder of a finished run"):
        Recogniser.load(tmp_path)
    with pytest.raises(UserError, match="holds no recogniser"):
        Recogniser.load(tmp_path / "nowhere")


def test_an_image_that_cannot_be_read(moved, tmp_path):
    recogniser = Recogniser.load(moved)
    (tmp_path / "torn.png").write_bytes(b"\x89PNG torn")
    with pytest.raises(UserError, match=r"torn\.png cannot be read"):
        recogniser(str(tmp_path / "torn.png"))
    with pytest.raises(UserError, match=r"missing\.png cannot be read: No such file"):
        recogniser(tmp_path / "missing.png")
    with pytest.raises(UserError, match="number 1 cannot be read: an array must be uint8"):
        recogniser([np.zeros((8, 8), np.uint8), np.zeros((8, 8))], batch_size=1)


def test_an_image_that_is_too_large_for_the_context(moved):
    with pytest.raises(
        UserError, match=r"does not fit the context: the longest has 81 tokens and 2 around them, and 66"
    ):
        Recogniser.load(moved)(np.zeros((9, 9), np.uint8))
