"""Runs whose answers are words: questions and captions, from data to a recogniser that is asked."""

import json

import datasets
import numpy as np
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from llmimg import Recogniser
from llmimg.cli import main
from llmimg.data import SceneSettings
from llmimg.data.scenes.make import make_scenes
from llmimg.errors import UserError
from llmimg.tokens.sample import Example
from tests.conftest import TINY_SCENES

pytestmark = pytest.mark.usefixtures("one_thread")

SCENES = (
    *TINY_SCENES,
    "trainer.max_steps=2",
    "trainer.save_strategy=no",
    "trainer.eval_strategy=no",
)


def metrics_of(folder) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def test_questions_are_answered_by_one_of_few(run, picture, capsys):
    prompts = ["{image}\\nquestion: {question}\\nanswer: {answer}", "{question}{image} A: {answer}"]
    listed = ",".join(f'"{prompt}"' for prompt in prompts)
    folder = run("closed", *SCENES, "task=answer", f"task.prompts=[{listed}]", "task.samples=2", "data.fresh=true")
    metrics = metrics_of(folder)
    assert metrics["test/exact_match_prompts_worst"] <= metrics["test/exact_match_prompts_mean"]
    assert 0 <= metrics["test/exact_match"] <= 1 and metrics["test/loss"] > 0
    recogniser = Recogniser.load(folder)
    asked = recogniser([str(picture)] * 2, question=["how many shapes are there?", "what is leftmost?"])
    assert all(set(each) == {"answer", "probability"} for each in asked)
    capsys.readouterr()
    main(["predict", str(folder), str(picture), "question=what is leftmost?"])
    assert json.loads(capsys.readouterr().out)["answer"] == asked[1]["answer"]
    with pytest.raises(UserError, match="asks images by their question: give question="):
        recogniser([str(picture)])
    with pytest.raises(UserError, match="text that is not empty"):
        recogniser([str(picture)], question=" ")
    with pytest.raises(UserError, match="is not asked by a caption"):
        recogniser([str(picture)], question="what?", caption="a dog")
    with pytest.raises(UserError, match=r"Row 0 is asked in [\d,]+ tokens, and the model's context has room for"):
        recogniser([str(picture)], question="what " * 200)


@pytest.mark.parametrize("task", ["task=answer task.closed=false task.shots=1", "task=caption task.image_loss=0.3"])
@pytest.mark.parametrize("vocabulary", ["own", "reuse"])
def test_open_words_are_written_and_read_back(run, task, vocabulary, small_tokenizer, picture):
    words = [] if vocabulary == "own" else [f"vocabulary.path={small_tokenizer}"]
    how = [*task.split(), f"vocabulary={vocabulary}", *words, "data.scenes.most=1", "tokens.max_length=600"]
    folder = run(f"{task}-{vocabulary}", *SCENES, *how)
    metrics = metrics_of(folder)
    assert 0 <= metrics["test/exact_match"] <= 1 and metrics["test/loss"] > 0 and "test/unread_answers" in metrics
    # Longer than any that it learned, and there is room.
    asked = {"question": "what is it? " * 10} if "answer" in task else {}
    (said,) = Recogniser.load(folder)(str(picture), **asked)
    assert set(said) == {task.split()[0].removeprefix("task="), "probability"}


@pytest.mark.parametrize("model", ["constant", "nearest"])
@pytest.mark.parametrize("task", ["answer", "caption"])
def test_blind_models_answer_in_words(run, task, model):
    metrics = metrics_of(run(f"{task}-{model}", *SCENES[:7], f"task={task}", f"model={model}"))
    assert 0 <= metrics["test/exact_match"] <= 1


def test_each_image_is_held_against_every_caption_of_its_split(run, picture):
    """… by the likelihood that the saved model gives each caption behind it, taken one by one."""
    folder = run("retrieve", *SCENES, "task=retrieve", "task.image_loss=0.3")
    table = pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()
    metrics, recogniser = metrics_of(folder), Recogniser.load(folder)
    captions = list(dict.fromkeys(table["truth"]))
    assert metrics["test/image_to_text_recall_at_1"] == np.mean(
        [ranks == [1] for ranks in table["image_to_text_ranks"]]
    )
    readout, model = recogniser.readout, recogniser.model
    (found,) = recogniser.predictions([str(picture)], caption="A small red circle.")[0]
    (ids,) = recogniser.encoder.ids([np.asarray(Image.open(picture))])
    spans = [*readout.prompt(Example(ids, {}), None), *readout.script.answer(readout.task.words("A small red circle."))]
    tokens = torch.tensor([token for span in spans for token in span.ids.tolist()])
    shares = model(input_ids=tokens[None]).logits[0].log_softmax(dim=1)
    behind = len(spans[-2].ids) + 1  # the caption, and its end
    nats = -shares[-behind - 1 : -1].gather(1, tokens[-behind:, None]).sum().item()
    assert found.nats == pytest.approx(nats, rel=1e-4)
    assert len(captions) > 1 and metrics["test/loss"] > 0
    beaten = [min(margins) > 0 for margins in table["foil_margins"]]
    assert metrics["test/foils_beaten"] == np.mean(beaten) and 0 <= metrics["test/foils_beaten_color"] <= 1
    made = make_scenes(SceneSettings(train=40, validation=8, test=8), "test", 0, np.arange(8))
    number = int(table["id"][0])
    asked = [made.captions[number], *(text for _, text in made.foils[number][:4])]
    (alone,) = recogniser.predictions([made.images[number]], caption=asked)[0]
    likely = dict(alone.found)
    margins = [likely[asked[0]] - likely[text] for text in asked[1:]]
    assert table["foil_margins"][0][: len(margins)] == pytest.approx(margins, abs=1e-3)
    with pytest.raises(UserError, match=r"The longest text to be scored has [\d,]+ tokens"):
        recogniser([str(picture)], caption="A circle. " * 60)


@pytest.mark.parametrize("model", ["gpt2_tiny", "bert_tiny data.images=shuffled"])
def test_images_and_captions_are_vectors_of_one_space(run, picture, model):
    """… that the saved model gives: those of the run, and of what is asked."""
    folder = run(f"vectors-{model}", *SCENES, "task=retrieve", "readout=contrastive", *f"model={model}".split())
    metrics, record = metrics_of(folder), json.loads((folder / "record.json").read_text())
    table = pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()
    firsts = [ranks == [1] for ranks in table["image_to_text_ranks"]]
    assert metrics["test/image_to_text_recall_at_1"] == np.mean(firsts) and metrics["test/loss"] > 0
    assert any("from those of 16 images at most" in note for note in record["notes"])
    assert not any("BEWARE" in note for note in record["notes"])
    recogniser, captions = Recogniser.load(folder), ["A small red circle.", "A large blue square.", "Nothing."]
    (found,) = recogniser(str(picture), caption=captions)
    assert sorted(each["caption"] for each in found["captions"]) == sorted(captions)
    cosines = [each["similarity"] for each in found["captions"]]
    assert cosines == sorted(cosines, reverse=True) and all(abs(each) <= 1 for each in cosines)
    again = recogniser([str(picture)] * 3, batch_size=2, caption=captions)
    assert [each["similarity"] for each in again[2]["captions"]] == pytest.approx(cosines, abs=2e-4)
    with pytest.raises(UserError, match=r"The longest text to be scored has [\d,]+ tokens"):
        recogniser([str(picture)], caption="A circle. " * 200)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            "task.image_loss=0.3",
            "task.image_loss is for the image's text in a prompt, and readout=contrastive has none",
        ),
        ("task.shots=1", "task.shots are examples in a prompt, and readout=contrastive has none"),
        ("adaptation=none", "adaptation=none trains nothing, and a head must be trained"),
        ("trainer.label_smoothing_factor=0.1", "trainer.label_smoothing_factor is for labels"),
        ("tokens.max_length=20", r"The longest text to be scored has [\d,]+ tokens"),
    ],
)
def test_what_vectors_do_without_is_refused(run, setting, sentence):
    with pytest.raises(UserError, match=sentence):
        run(f"refused-{setting}", *SCENES, "task=retrieve", "readout=contrastive", setting)


@pytest.mark.parametrize("model", ["constant", "rbf_svm", "endpoint"])
def test_what_scores_no_texts_retrieves_none(run, model):
    extra = ["model.url=http://localhost:9", "model.path=x", "adaptation=none"] if model == "endpoint" else []
    with pytest.raises(UserError, match=r"task=retrieve.* take (a language model|one of the kind)"):
        run(f"none-{model}", *SCENES[:7], "task=retrieve", f"model={model}", *extra)


def test_every_one_of_several_captions_has_room(run, tmp_path):
    """… however long the first is; and a caption of many lines, or in another script, is one."""
    long = "a picture in which nothing can be seen but gray, gray and once more gray"
    texts = [["gray", long, "灰色の\n画像"], ["gray"], ["dark", f"{long}, as was said"]]
    features = datasets.Features({"image": datasets.Image(), "captions": datasets.List(datasets.Value("string"))})
    for split in ("train", "validation", "test"):
        images = [Image.new("L", (8, 8), 60 * row) for row in range(12)]
        rows = {"image": images, "captions": [texts[row % 3] for row in range(12)]}
        path = tmp_path / "set" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        datasets.Dataset.from_dict(rows, features).to_parquet(str(path))
    brief = [each for each in SCENES if each.startswith("trainer.")]
    source = ("data=hub", f"data.path={tmp_path / 'set'}", "data.train_samples=12", "data.val_samples=12")
    how = (*source, "data.test_samples=12", "textify=gray", "textify.levels=4", "data.size=4", *brief)
    metrics = metrics_of(run("several", *how, "task=retrieve"))
    assert metrics["test/loss"] > 0
    assert metrics_of(run("several-written", *how, "task=caption"))["test/loss"] > 0
