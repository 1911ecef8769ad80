"""The same model in a folder and behind a server: the same probabilities and metrics, for every kind of tokenizer."""

import json

import numpy as np
import pyarrow.parquet
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from tests.serving import serving

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = ("hot dog", "hot dog stand", "traffic light")  # one begins another; several tokens each
CORPUS = [
    "see 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 is class: hot dog stand\n",
    "hot dog\ntraffic light lamp 52 of zebra 48\n\nthe capital of France is Seven quiet lamps cost pounds.\n",
] * 20


def byte_level() -> Tokenizer:
    """As GPT-2's: no token in front of a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def sentencepiece(scheme: str) -> Tokenizer:
    """As Llama's: a space in front of a text, and `<s>` in front of that."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    if scheme == "legacy":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    tokenizer.decoder = decoders.Metaspace()
    special = ["<unk>", "<s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    # Learned on words apart, so that no token spans two.
    words = [[f"▁{word}" if index else word for index, word in enumerate(line.split(" "))] for line in CORPUS]
    words = [[part for word in line for part in word.replace("\n", " ").split(" ") if part] for line in words]
    learned = Tokenizer(models.BPE(unk_token="<unk>"))
    learned.pre_tokenizer = pre_tokenizers.Split("\x00", "removed")
    letters = sorted({letter for line in CORPUS for letter in line.replace("\n", "").replace(" ", "▁")} | {"▁"})
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=letters)
    learned.train_from_iterator([["\x00".join(line)] for line in words], trainer)
    state, made = json.loads(tokenizer.to_str()), json.loads(learned.to_str())
    state["model"] |= {"vocab": made["model"]["vocab"], "merges": made["model"]["merges"]}
    state["added_tokens"] = made["added_tokens"][:2]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


KINDS = {
    "byte-level": byte_level,
    "always": lambda: sentencepiece("always"),
    "first": lambda: sentencepiece("first"),
    "legacy": lambda: sentencepiece("legacy"),
}


@pytest.fixture(scope="module")
def model(request, tmp_path_factory):
    """A random causal model with a tokenizer of that kind, in a folder."""
    backend = KINDS[request.param]()
    marks = {"bos_token": "<s>", "eos_token": "<s>"}
    unknown = {"unk_token": "<unk>"} if backend.token_to_id("<unk>") is not None else {}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **marks, **unknown)
    torch.manual_seed(1)
    shape = {"n_embd": 24, "n_layer": 2, "n_head": 2, "n_positions": 1000, "initializer_range": 0.35}
    folder = tmp_path_factory.mktemp(request.param)
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0, **shape)).save_pretrained(
        folder
    )
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Images in folders by class, of odd sizes, a broken one among those to train on and to test."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for label, name in enumerate(NAMES):
        for split, count in (("train", 4), ("test", 2)):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(60 * label, 60 * label + 120, (7, 5 + number), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    for split, number in (("train", "0b"), ("train", "2b"), ("train", "9"), ("test", "9")):
        (root / split / NAMES[1] / f"{number}.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def server(model):
    with serving(GPT2LMHeadModel.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)) as server:
        yield server


WAYS = {
    "shots": ("task.shots=2",),
    "length": ("readout.normalise=length",),
    "prior": ("readout.normalise=prior",),
    "open end": ("task.prompts='see\n{image} is {answer}'", "readout.normalise=length", "task.shots=1"),
}


TRIED = (
    ("byte-level", "shots"),
    ("byte-level", "open end"),
    ("always", "prior"),
    ("always", "open end"),
    ("first", "shots"),
    ("legacy", "shots"),
    ("legacy", "length"),
)


@pytest.mark.parametrize(("model", "way"), TRIED, indirect=["model"])
def test_a_folder_and_a_server_give_the_same(run, model, server, images, way, tmp_path):
    settings = (
        "data=folder", f"data.path={images}", "data.size=3", "data.broken=skip", "data.train_samples=null",
        "data.val_samples=null", "data.test_samples=null", "data.val_fraction=0.2", "textify=gray", "textify.levels=16",
        "adaptation=none", "readout=score", "model.options={}", *WAYS[way],
    )  # fmt: skip
    name = f"{model.name}-{way.replace(' ', '-')}"
    here = run(
        f"here-{name}", *settings[:-1], *WAYS[way][-1:], "model=pretrained", f"model.path={model}", "vocabulary=reuse"
    )
    there = run(
        f"there-{name}", *settings, "model=endpoint", f"model.url={server.url}", "model.path=tiny",
        "model.options.retries=0", f"tokens.cache_dir={tmp_path}",
    )  # fmt: skip
    tables = [pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict() for folder in (here, there)]
    assert tables[0]["id"] == tables[1]["id"] and len(tables[0]["id"]) == 6
    np.testing.assert_allclose(tables[0]["probabilities"], tables[1]["probabilities"], atol=1e-5)
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (here, there)]
    same = {key for key in metrics[0] if key.startswith(("test/", "data/psnr"))}
    assert same <= set(metrics[1])
    assert "read apart" not in (here / "run.log").read_text()
    assert {key: metrics[0][key] for key in same} == pytest.approx({key: metrics[1][key] for key in same}, abs=1e-5)
