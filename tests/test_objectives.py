"""Whole runs of what else there is to learn: pretraining, going on from it, answers as words, prompting, adapters."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from safetensors.numpy import load_file

from llmimg import Recogniser
from llmimg.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def pretrained(run) -> Path:
    return run("pretrained", "task=clm", "textify=patch_words", "textify.patch=2", "textify.codes=16")


def digits(ids: list[str]) -> np.ndarray:
    from sklearn.datasets import load_digits

    return (load_digits().images[list(map(int, ids))] * 255 / 16).round().astype(np.uint8)[..., None]


def numbers(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def predictions(folder: Path) -> dict[str, list]:
    return pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()


def costs_a_token(folder: Path) -> float:
    """The mean of -log P over all test tokens that the model was to foretell, in nats."""
    table = predictions(folder)
    return -sum(table["log_likelihood"]) / sum(table["counted"])


def test_pretraining_counts_bits(pretrained):
    metrics, table = numbers(pretrained), predictions(pretrained)
    bits = -np.array(table["log_likelihood"]) / np.log(2)
    assert metrics["test/bits_per_image"] == pytest.approx(bits.mean())
    assert metrics["test/perplexity"] == pytest.approx(np.exp(metrics["test/loss"]))
    expected = metrics["test/bits_per_image"] / 64 + metrics["data/lost_bits_per_dim"]
    assert metrics["test/bits_per_dim"] == pytest.approx(expected)
    assert metrics["data/lost_bits_per_dim"] > 0.5
    assert metrics["test/loss"] == pytest.approx(costs_a_token(pretrained))
    assert set(table["counted"]) == {33}  # 32 words and the end
    assert "Bits a dimension" in (pretrained / "report.html").read_text()


def test_text_that_loses_nothing_costs_nothing_more(run):
    folder = run("lossless", "task=clm", "textify=gray", "textify.levels=256", "task.pack=140")
    assert numbers(folder)["data/lost_bits_per_dim"] == 0


def test_a_pretrained_run_is_gone_on_with(pretrained, run):
    """… from its weights, and with the codebooks it learned, whatever other images are trained on now."""
    folder = run(
        "tuned", "model=pretrained", f"model.path={pretrained}", "textify=patch_words", "textify.patch=2",
        "textify.codes=16", "data.split_seed=3", "trainer.learning_rate=0",
    )  # fmt: skip
    for file in ("textifier.safetensors", "model.safetensors"):
        before, after = (load_file(path / "model" / file) for path in (pretrained, folder))
        assert {name: weight.tobytes() for name, weight in before.items()}.items() <= {
            name: weight.tobytes() for name, weight in after.items()
        }.items()
    described = json.loads((folder / "model" / "recogniser.json").read_text())
    assert described["origin"]["path"] == str(pretrained)
    assert described["origin"]["before"]["model"] == "gpt2_tiny"
    table = predictions(folder)
    answers = Recogniser.load(folder)(digits(table["id"]))
    assert [each["label"] for each in answers] == table["prediction"]


def test_a_pretrained_run_learns_words_for_its_answers(pretrained, run):
    """Its tokenizer knows pieces alone: the template's words come new, and are learned, adapters or not."""
    how = (
        "model=pretrained", f"model.path={pretrained}", "textify=patch_words", "textify.patch=2", "textify.codes=16",
        "readout=score",
    )  # fmt: skip
    for folder in (run("worded", *how), run("adapted", *how, "adaptation=lora", "adaptation.save=adapters")):
        table = predictions(folder)
        right = [row[int(label)] for row, label in zip(table["probabilities"], table["label"], strict=True)]
        assert numbers(folder)["test/loss"] == pytest.approx(-np.log(right).mean(), rel=1e-4)
        answers = Recogniser.load(folder)(digits(table["id"][:3]))
        for answer, row in zip(answers, table["probabilities"], strict=False):
            assert list(answer["probabilities"].values()) == pytest.approx(row, abs=1e-4)


def test_a_learned_vocabulary_is_gone_on_with(run):
    learned = ("vocabulary=learn", "vocabulary.size=64")
    base = run("learned", "task=clm", *learned)
    folder = run("learned-words", "model=pretrained", f"model.path={base}", "readout=score")
    table = predictions(folder)
    answers = Recogniser.load(folder)(digits(table["id"][:3]))
    assert [each["label"] for each in answers] == table["prediction"][:3]


ASKED = ("model=endpoint", "model.url=http://localhost:1/v1", "model.path=x", "adaptation=none", "readout=generate")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["textify=patch_words", "textify.patch=2", "textify.codes=16", "textify.fit_seed=1"], r"textify\.fit_seed=0"),
        ([], r"textify\.name=patch_words"),
    ],
)
def test_tokens_that_would_mean_something_else_are_refused(pretrained, run, overrides, message):
    with pytest.raises(UserError, match=rf"had .*{message}.* mean something else here"):
        run("refused", "model=pretrained", f"model.path={pretrained}", *overrides)


@pytest.mark.parametrize("mask", ["token", "span", "block"])
def test_masked_language_models(run, mask):
    folder = run(f"masked-{mask}", "task=mlm", f"task.mask={mask}", "model=bert_tiny")
    assert numbers(folder)["test/loss"] == pytest.approx(costs_a_token(folder))
    assert numbers(folder)["test/perplexity"] == pytest.approx(np.exp(costs_a_token(folder)))
    answer = Recogniser.load(folder)(np.zeros((2, 8, 8, 1), np.uint8))[0]
    assert answer["tokens"] == 10 and answer["log_likelihood"] < 0


def test_answers_as_words(run):
    """Scored or generated, a model gives the same answers, in the run and from its recogniser."""
    folders = [run(name, f"readout={name}", "task.shots=2") for name in ("score", "generate")]
    tables = [pyarrow.parquet.read_table(folder / "predictions.parquet") for folder in folders]
    probabilities = [np.array(table["probabilities"].to_pylist()) for table in tables]
    np.testing.assert_allclose(*probabilities, atol=1e-5)
    np.testing.assert_allclose(probabilities[0].sum(axis=1), 1, atol=1e-5)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1)).astype(np.uint8)
    scored, generated = (Recogniser.load(folder)(images) for folder in folders)
    assert [each["label"] for each in scored] == [each["label"] for each in generated]
    for one, other in zip(scored, generated, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_prompting_trains_nothing(run):
    metrics = numbers(run("prompted", "adaptation=none", "readout=score", "task.shots=3"))
    assert metrics["model/trainable_parameters"] == 0 and "time/train_seconds" not in metrics


def test_adapters_are_saved_merged_or_alone(run):
    base = run("base")
    answers = []
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1)).astype(np.uint8)
    for save in ("merged", "adapters"):
        folder = run(
            save, "model=pretrained", f"model.path={base}", "adaptation=lora", f"adaptation.save={save}",
            "trainer.learning_rate=0.1",
        )  # fmt: skip
        assert (folder / "model" / "adapter_config.json").exists() == (save == "adapters")
        metrics = numbers(folder)
        assert 0 < metrics["model/trainable_parameters"] < metrics["model/parameters"] / 2
        answers.append([each["probabilities"] for each in Recogniser.load(folder)(images)])
    for merged, alone in zip(*answers, strict=True):
        assert merged == pytest.approx(alone, abs=1e-4)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["readout=score", "model=bert_tiny"], r"sees what comes after a token"),
        (["task=mlm"], r"no MaskedLM head"),
        (["task=clm", "readout=head"], r"task=clm cannot be read out by readout=head: take readout=likelihood"),
        (["adaptation=none"], r"adaptation=none trains nothing, and a head must be trained"),
        (
            ["adaptation=none", "readout=score", "model=pretrained", "model.path=x", "vocabulary=own"],
            r"tokens of vocabulary=own are new to a pretrained model",
        ),
        (["adaptation=lora", "model=logistic"], r"adaptation=lora is for language models"),
        (["adaptation=lora", "adaptation.save=adapters"], r"adaptation\.save=adapters needs a pretrained model"),
        (["task.shots=2"], r"task\.shots are examples in a prompt, and readout=head has none"),
        (["task.chat=true"], r"task\.chat writes a prompt as a conversation, and readout=head has none"),
        (["task.image_loss=0.3"], r"task\.image_loss is for the image's text in a prompt, and readout=head has none"),
        (["readout=generate", "readout.beams=2"], r"Of few answers all are followed to their ends"),
        ([*ASKED, "readout.beams=2"], r"readout\.beams means nothing to the model 'endpoint', which is only asked"),
        ([*ASKED, "task.image_loss=1"], r"task\.image_loss means nothing to the model 'endpoint'"),
        (["readout=score", "task.shots=100"], r"task\.shots=100 asks for more examples than the 64 training images"),
        (["readout=score", "task.shots=4", "tokens.max_length=300"], r"has no room|does not fit the context"),
        (["task.samples=2"], r"task\.samples=2 .* and readout=head learns none: set task\.samples=1"),
        (["readout=score", "task.samples=2"], r"would all be the same, as none of them is drawn by seed"),
        (["task=detect", "task.samples=2"], r"all be the same, .*: set task\.samples=1 or task\.order=random"),
        (["task=detect", "task.order=random", "task.samples=2", "adaptation=none"], r"this one learns none"),
        (["data.balance=true", "task=clm"], r"draws images by their class, and task=clm learns none"),
        (["data.balance=true", "model=logistic"], r"data\.balance=true is for what learns epoch by epoch"),
        ([*ASKED, "data.balance=true"], r"data\.balance=true is for what learns epoch by epoch"),
        (["data.balance=true", "task.multiple=true"], r"learns none that is the only one of an image"),
        (["readout=score", "task.class_weights=balanced"], r"task\.class_weights=balanced is for heads that learn"),
        (["model=logistic", "task.class_weights=balanced"], r"task\.class_weights=balanced is for heads that learn"),
        (["data.balance=true", "task.class_weights=balanced"], r"data\.balance=true both make up for rare classes"),
        (["readout=score", "task.multiple=true"], r"task=classify cannot be read out by readout=score"),
        (["readout=generate", "task.multiple=true", "augment.mixup=1"], r"augment\.mixup blends labels"),
        (["model=logistic", "task.multiple=true"], r"takes an image for one class, .* take model=constant or"),
        (["readout=score", "augment.mixup=1"], r"augment\.mixup blends labels"),
        (["task=mlm", "model=bert_tiny", "task.mask=block", "textify=orb"], r"task\.mask=block hides rectangles"),
        (["task=mlm", "task.rate=1"], r"task\.rate=1"),
        (["task=clm", "task.pack=-1"], r"task\.pack=-1"),
        (["readout=score", "readout.normalise=mean"], r"no readout\.normalise 'mean'"),
    ],
)
def test_what_does_not_go_together_is_said(run, overrides, message):
    with pytest.raises(UserError, match=message):
        run("refused", *overrides)


def test_slower_layers_and_averaged_weights(run):
    baseline, slower, averaged = run("baseline"), run("slower", "layer_decay=0.5"), run("averaged", "ema=0.9")
    weights = [load_file(folder / "model" / "model.safetensors") for folder in (baseline, slower, averaged)]
    name = next(name for name in weights[0] if name.endswith("attn.c_attn.weight"))
    assert len({each[name].tobytes() for each in weights}) == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ema=1", r"ema=1\.0 is out of range"),
        ("layer_decay=0", r"layer_decay=0\.0 is out of range"),
    ],
)
def test_what_cannot_be_averaged_is_said(run, override, message):
    with pytest.raises(UserError, match=message):
        run("refused", *override.split())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    file = tmp_path_factory.mktemp("corpus") / "words.txt"
    words = np.random.default_rng(0).choice(["a", "dog", "sees", "the", "tree"], (400, 6))
    file.write_text("\n".join(" ".join(line) for line in words) + "\n")
    return file


def beside_text(task: str, files, weights=(1, 1)) -> list[str]:
    """Images' text and plain text in one model."""
    readout = "likelihood" if task == "clm" else "masked"
    parts = {
        "images": {"task": {"name": task}, "weight": weights[0]},
        "notes": {"task": {"name": "text", "files": str(files)}, "readout": {"name": readout}, "weight": weights[1]},
    }
    return ["task=mixture", "+task.parts=" + json.dumps(parts).replace('"', "").replace(" ", "")]


@pytest.mark.parametrize(("task", "vocabulary"), [("clm", "reuse"), ("mlm", "reuse"), ("clm", "own"), ("clm", "learn")])
def test_plain_text_beside_images(run, corpus, small_tokenizer, small_wordpiece, task, vocabulary):
    model, tokenizer = ("gpt2_tiny", small_tokenizer) if task == "clm" else ("bert_tiny", small_wordpiece)
    folder = run(
        f"text-{task}-{vocabulary}", f"model={model}", f"model.tokenizer={tokenizer}",
        f"vocabulary={vocabulary}", "vocabulary.size=90", "vocabulary.open_size=300",
        *beside_text(task, corpus, (1, 2)),
    )  # fmt: skip
    metrics = numbers(folder)
    assert (folder / "model" / "open_tokenizer.json").is_file() == (vocabulary != "reuse")
    for split in ("test", "val"):
        assert metrics[f"{split}/notes/perplexity"] == pytest.approx(np.exp(metrics[f"{split}/notes/loss"]))
    assert metrics["test/images/perplexity"] == pytest.approx(np.exp(costs_a_token(folder)))
    table = predictions(folder)
    answers = Recogniser.load(folder)(digits(table["id"]), task="images")
    assert [each["tokens"] for each in answers] == table["counted"]
    if task == "clm":  # what is hidden is drawn anew for each image that is asked about
        assert [each["log_likelihood"] for each in answers] == pytest.approx(table["log_likelihood"], rel=1e-4)


def test_plain_text_is_learned(run, corpus, small_tokenizer):
    """Text alone: five words are soon all there is to choose from."""
    folder = run(
        "text-alone", f"model.tokenizer={small_tokenizer}", "vocabulary=reuse", *beside_text("clm", corpus, (0, 1)),
        "trainer.max_steps=60", "trainer.learning_rate=0.01", "tokens.max_length=80",
    )  # fmt: skip
    assert numbers(folder)["test/notes/perplexity"] < 12


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("nowhere.txt", [], r"No text file is at 'nowhere\.txt'"),
        (__file__, ["vocabulary.open_size=100"], r"vocabulary\.open_size"),
        ("a", ["tokens.permute=each"], r"tokens\.permute is a control of images' text"),
        ("a", ["task.parts.notes.weight=-1"], r"task\.parts\.weight=-1\.0 is out of range"),
        ("a", ["task.parts.notes.weight=0", "task.parts.images.weight=0"], r"weights of 0 alone"),
        ("a", ["+task.parts.notes.task.rate=0.3"], r"task\.parts\.notes\.task\.rate is for readout=masked"),
        ("a", ["+task.parts.notes.data={name:digits}"], r"task\.parts\.notes is plain text, and has task\.files"),
    ],
)
def test_what_is_wrong_with_plain_text_is_said(run, text, overrides, message):
    with pytest.raises(UserError, match=message):
        run("refused", *beside_text("clm", text), *overrides)


@pytest.mark.parametrize("bits", [8, 4])
def test_adapters_on_a_base_in_few_bits(run, bits):
    pytest.importorskip("bitsandbytes")
    base = run("wide", "model.width=64")  # widths that its kernels take
    learn = ("model=pretrained", f"model.path={base}", "adaptation=lora", "adaptation.save=adapters")
    baseline, few = (
        run(f"adapters-{name}", *learn, f"model.bits={name}", "trainer.learning_rate=0.1") for name in ("null", bits)
    )
    assert numbers(few)["model/parameters"] == numbers(baseline)["model/parameters"]
    assert numbers(few)["model/trainable_parameters"] == numbers(baseline)["model/trainable_parameters"]
    assert numbers(few)["test/loss"] == pytest.approx(numbers(baseline)["test/loss"], rel=0.1)
    assert numbers(few)["test/loss"] != numbers(baseline)["test/loss"]
    table = predictions(few)
    answers = Recogniser.load(few)(digits(table["id"][:5]))
    assert [each["probability"] for each in answers] == pytest.approx(
        [max(row) for row in table["probabilities"][:5]], abs=1e-3
    )


@pytest.mark.parametrize("bits", [8, 4])
def test_prompting_a_base_in_few_bits(run, bits):
    pytest.importorskip("bitsandbytes")
    base = run("words", "readout=score", "model.width=64")
    ask = (
        "model=pretrained",
        f"model.path={base}",
        "adaptation=none",
        "readout=score",
        f"model.bits={bits}",
    )
    folder = run(f"few-bits-{bits}", *ask)
    assert numbers(folder)["model/trainable_parameters"] == 0
    table = predictions(folder)
    answers = Recogniser.load(folder)(digits(table["id"][:5]))
    for answer, row in zip(answers, table["probabilities"], strict=False):  # its scales are in 8 bits, and read back so
        assert list(answer["probabilities"].values()) == pytest.approx(row, rel=0.02)


def test_new_tokens_learn_beside_adapters(run):
    """… and are saved with them: the base knows nothing of them."""
    base = run("base")
    folder = run(
        "new-tokens", "model=pretrained", f"model.path={base}", "vocabulary=own", "adaptation=lora",
        "adaptation.save=adapters", "textify.levels=8",
    )  # fmt: skip
    saved = load_file(folder / "model" / "adapter_model.safetensors")
    assert any("wte" in name for name in saved)
    table = predictions(folder)
    answers = Recogniser.load(folder)(digits(table["id"][:3]))
    assert [each["label"] for each in answers] == table["prediction"][:3]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.bits=4"], r"leave it out from scratch"),
        (
            ["model=pretrained", "model.path=x", "model.bits=3"],
            r"bits=3 is out of range: it takes 4 or 8, or null",
        ),
        (["model=pretrained", "model.path=x", "model.bits=4"], r"in 4 bits \(model\.bits\) cannot learn"),
        (["model=pretrained", "model.path=x", "model.bits=8", "adaptation=lora"], r"set adaptation\.save=adapters"),
    ],
)
def test_what_few_bits_do_not_go_with_is_said(run, overrides, message):
    with pytest.raises(UserError, match=message):
        run("refused", *overrides)
