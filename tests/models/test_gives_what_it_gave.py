"""What is saved, merged, loaded or gone on from gives what it gave before: every model, readout and adaptation."""

import copy
import itertools

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers import models as tokenizer_models
from transformers import PreTrainedTokenizerFast

from llmimg import Recogniser
from llmimg.data import Decoding
from llmimg.models.adaptation import adapted, merged
from llmimg.models.language import make_model
from llmimg.models.loading import origin
from llmimg.models.quantised import parameter_counts
from llmimg.models.scratch import ARCHITECTURES
from llmimg.models.settings import AdaptationSettings, ModelSettings
from llmimg.readouts.base import READOUTS
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.textify import make
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import Frame, Layout
from llmimg.tokens.sample import Example
from llmimg.tokens.script import Script
from llmimg.tokens.vocabulary import load_tokenizer, make_vocabulary
from tests.scripting import script_of

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = ["cat", "catfish", "dog"]
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3)).astype(np.uint8)
TEXTIFIER = make("region_color", grid=2)
ADAPTATIONS = {
    "full": AdaptationSettings(),
    "merged": AdaptationSettings("lora", rank=2),
    "adapters": AdaptationSettings("lora", rank=2, save="adapters"),
}
ENCODERS = ("bert", "modernbert")


@pytest.fixture(scope="module")
def small_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer of GPT-2's kind, trained on a few words."""
    backend = Tokenizer(tokenizer_models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<end>", "<mask>"]
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet)
    backend.train_from_iterator(["region_color class: cat dog 12 24 48"] * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>", mask_token="<mask>")


def setup(readout: str, vocabulary):
    """A readout over a vocabulary's tokens, and what writes images for it."""
    kind = READOUTS[readout]
    name = {"masked": "mlm", "likelihood": "clm", "contrastive": "retrieve"}.get(readout, "classify")
    task = TASKS[name].with_settings(DataInfo(tuple(NAMES)))
    frame = Frame() if kind.prompted else Frame.of(vocabulary)
    script = script_of(task, vocabulary) if kind.prompted else Script(vocabulary)
    vocabulary = script.vocabulary
    if kind.causal and not kind.prompted and not frame.before:
        frame = Frame((vocabulary.end,), frame.after)
    encoder = Encoder(Decoding(), TEXTIFIER, vocabulary)
    return kind(task, Layout.of(vocabulary, 100, frame=frame), script), encoder


def made(settings: ModelSettings, readout, adaptation: AdaptationSettings, learns: bool = True):
    model = make_model(settings, readout.vocabulary, 100, readout.auto_class, readout.head(), learns=learns, notes=[])
    return adapted(model, adaptation, readout.vocabulary.has_new_tokens)


@torch.no_grad()
def moved(model) -> None:
    """As if it had learned: all that takes gradients is elsewhere."""
    torch.manual_seed(1)
    for weight in model.parameters():
        if weight.requires_grad:
            weight += 0.1 * torch.randn_like(weight)


@torch.inference_mode()
def outputs(model, readout, encoder) -> np.ndarray:
    ids, _ = encoder(IMAGES)
    batch = readout.batch([Example(row, {}) for row in ids])
    return readout.outputs(model.eval(), batch).numpy()


def saved(model, encoder, readout, settings: ModelSettings, adaptation: AdaptationSettings, folder) -> None:
    Recogniser(merged(model, adaptation), encoder, readout, origin(settings)).save(folder)


def asked_again(folder, readout) -> np.ndarray:
    """By `model.path=`, as `trainer.do_train=false` does: everything from the folder anew."""
    vocabulary = make_vocabulary("reuse", TEXTIFIER, load_tokenizer(str(folder)))
    again, encoder = setup(readout, vocabulary)
    model = made(ModelSettings("run", path=str(folder)), again, AdaptationSettings(), learns=False)
    return outputs(model, again, encoder)


KINDS = [
    (architecture, readout)
    for architecture in ARCHITECTURES
    for readout in (
        ("head", "masked", "contrastive")
        if architecture in ENCODERS
        else ("head", "likelihood", "score", "contrastive")
    )
]
VOCABULARIES = itertools.cycle(("reuse", "extend", "own"))
CASES = [(*kind, adaptation, next(VOCABULARIES)) for kind in KINDS for adaptation in ADAPTATIONS]


@pytest.fixture(scope="module")
def bases(tmp_path_factory, small_tokenizer):
    """Small models of each architecture that learned to read text, with the tokenizer they know, in a folder."""

    def base(architecture: str, readout: str):
        folder = tmp_path_factory.getbasetemp() / f"base-{architecture}-{readout}"
        if not folder.exists():
            vocabulary = make_vocabulary("reuse", TEXTIFIER, copy.deepcopy(small_tokenizer))
            pretraining = "masked" if architecture in ENCODERS else "likelihood"
            before = pretraining if readout in ("head", "contrastive") else readout
            of_base, _ = setup(before, vocabulary)
            torch.manual_seed(0)
            shape = ModelSettings(architecture, architecture=architecture, layers=1, width=16, heads=2)
            made(shape, of_base, ADAPTATIONS["full"]).save_pretrained(folder)
            vocabulary.tokenizer.save_pretrained(folder)
        return folder

    return base


@pytest.mark.parametrize(("architecture", "readout", "adaptation", "name"), CASES)
def test_saved_and_asked_again_it_gives_the_same(architecture, readout, adaptation, name, bases, tmp_path):
    base = bases(architecture, readout)
    vocabulary = make_vocabulary(name, TEXTIFIER, load_tokenizer(str(base)))
    of_run, encoder = setup(readout, vocabulary)
    settings, how = ModelSettings("base", path=str(base)), ADAPTATIONS[adaptation]
    torch.manual_seed(2)
    model = made(settings, of_run, how)
    start = outputs(model, of_run, encoder)
    moved(model)
    before = outputs(model, of_run, encoder)
    assert np.abs(before - start).max() > 1e-3

    saved(model, encoder, of_run, settings, how, tmp_path / "model")
    recogniser = Recogniser.load(tmp_path, device="cpu")
    loaded = outputs(recogniser.model, recogniser.readout, recogniser.encoder)
    np.testing.assert_allclose(loaded, before, atol=1e-4, rtol=1e-5)
    np.testing.assert_allclose(asked_again(tmp_path / "model", readout), before, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("architecture", ["gpt2", "bert"])
def test_adapters_of_adapters(architecture, bases, tmp_path):
    """Training goes on from a folder of adapters, and what comes of it belongs to that folder."""
    how, base = ADAPTATIONS["adapters"], bases(architecture, "head")
    for name, path in (("one", base), ("two", tmp_path / "one"), ("three", tmp_path / "two")):
        settings = ModelSettings("below", path=str(path))
        vocabulary = make_vocabulary("extend" if name == "one" else "reuse", TEXTIFIER, load_tokenizer(str(path)))
        readout, encoder = setup("head", vocabulary)
        model = made(settings, readout, how)
        if path != base:
            np.testing.assert_allclose(outputs(model, readout, encoder), before, atol=1e-5)  # noqa: F821
        moved(model)
        before = outputs(model, readout, encoder)
        saved(model, encoder, readout, settings, how, tmp_path / name)
    recogniser = Recogniser.load(tmp_path / "three", device="cpu")
    np.testing.assert_allclose(outputs(recogniser.model, readout, encoder), before, atol=1e-5)
    recogniser.save(tmp_path / "elsewhere")
    again = Recogniser.load(tmp_path / "elsewhere", device="cpu")
    np.testing.assert_allclose(outputs(again.model, readout, encoder), before, atol=1e-5)


@pytest.mark.parametrize(("architecture", "readout"), [("bert", "masked"), ("gpt2", "head"), ("llama", "score")])
def test_each_weight_is_counted_once(architecture, readout, bases):
    vocabulary = make_vocabulary("extend", TEXTIFIER, load_tokenizer(str(bases(architecture, readout))))
    of_run, _ = setup(readout, vocabulary)
    settings = ModelSettings("base", path=str(bases(architecture, readout)))
    full = made(settings, of_run, ADAPTATIONS["full"])
    whole = sum(weight.numel() for weight in full.parameters())
    assert parameter_counts(full) == (whole, whole)
    lora = made(settings, of_run, ADAPTATIONS["merged"])
    adapters = sum(weight.numel() for name, weight in lora.named_parameters() if "lora_" in name)
    assert parameter_counts(lora)[0] == whole + adapters
    assert parameter_counts(merged(lora, ADAPTATIONS["merged"]))[0] == whole
