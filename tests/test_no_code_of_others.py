"""Nothing that comes with a model is run, and nothing is asked on the terminal: one sentence instead."""

import ast
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from llmimg import Recogniser, UserError
from llmimg.models.language import context_limit, make_model
from llmimg.models.settings import ModelSettings
from llmimg.readouts.head import Head
from llmimg.show.image import ShowSettings, show
from llmimg.textify import make
from llmimg.tokens.vocabulary import load_tokenizer, make_vocabulary
from llmimg.tokens.zero_shot import Classifier

ROOT = Path(__file__).parents[1]
LOADING = {"from_pretrained", "from_config", "get_class_from_dynamic_module"}


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A folder whose code would write a file; and whoever is asked answers yes."""
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w').write('code of others')\n"
    code += "from transformers import GPT2Config as C, GPT2Model as M, PreTrainedTokenizerFast as T\n"
    folder = tmp_path / "hostile"
    folder.mkdir()
    (folder / "theirs.py").write_text(code)
    maps = dict.fromkeys(("AutoModel", "AutoModelForSequenceClassification", "AutoModelForCausalLM"), "theirs.M")
    config = {"model_type": "of_theirs", "architectures": ["M"], "auto_map": {"AutoConfig": "theirs.C", **maps}}
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = {"tokenizer_class": "Theirs", "auto_map": {"AutoTokenizer": [None, "theirs.T"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda text="": asked.append(text) or "yes")
    yield folder
    assert not ran.exists() and not asked


@pytest.fixture(scope="module")
def finished(run):
    return run("recogniser", "trainer.save_strategy=no")


def test_a_model(hostile):
    settings = ModelSettings("theirs", path=str(hostile))
    vocabulary = make_vocabulary("own", make("gray"), None)
    for ask in (
        lambda: context_limit(settings),
        lambda: make_model(settings, vocabulary, 40, Head.auto_class, {}),
    ):
        with pytest.raises(UserError, match=r"only by code of its own \(auto_map\)"):
            ask()


def test_a_tokenizer(hostile, tmp_path):
    for file in ("config.json", None):
        if file:
            (hostile / file).unlink()
        with pytest.raises(UserError, match=r"code of its own|holds no tokenizer"):
            load_tokenizer(str(hostile))
    Image.new("L", (4, 4)).save(tmp_path / "image.png")
    with pytest.raises(UserError, match=r"code of its own|holds no tokenizer"):
        show(str(tmp_path / "image.png"), ShowSettings(textify={"name": "gray"}, tokenizer=str(hostile)))


def test_a_model_that_names_objects(hostile):
    with pytest.raises(UserError, match=r"code of its own|cannot load"):
        Classifier(str(hostile))


def test_a_recogniser(hostile, finished):
    shutil.copytree(finished / "model", hostile, dirs_exist_ok=True)
    config = json.loads((hostile / "config.json").read_text())
    theirs = {"model_type": "of_theirs", "auto_map": {"AutoConfig": "theirs.C", Head.auto_class.__name__: "theirs.M"}}
    (hostile / "config.json").write_text(json.dumps({**config, **theirs}))
    with pytest.raises(UserError, match="only by code of its own"):
        Recogniser.load(hostile)


def test_a_model_that_transformers_knows_is_read_by_transformers(hostile, finished):
    """Whatever code lies beside it."""
    shutil.copytree(finished / "model", hostile, dirs_exist_ok=True)
    config = json.loads((hostile / "config.json").read_text())
    theirs = {"auto_map": {"AutoConfig": "theirs.C", Head.auto_class.__name__: "theirs.M"}}
    (hostile / "config.json").write_text(json.dumps({**config, **theirs}))
    tokenizer = json.loads((hostile / "tokenizer_config.json").read_text())
    theirs = {"auto_map": {"AutoTokenizer": [None, "theirs.T"]}}
    (hostile / "tokenizer_config.json").write_text(json.dumps({**tokenizer, **theirs}))
    assert type(Recogniser.load(hostile).model).__module__.startswith("transformers.")


def test_a_kernel_of_the_hub(hostile, finished):
    shutil.copytree(finished / "model", hostile, dirs_exist_ok=True)
    config = json.loads((hostile / "config.json").read_text())
    (hostile / "config.json").write_text(json.dumps({**config, "attn_implementation": "someone/kernel"}))
    with pytest.raises(UserError, match=r"asks for code of the hub \(someone/kernel\)"):
        Recogniser.load(hostile)


def test_there_is_one_door():
    """No other file calls what loads a model, a tokenizer or a pipeline."""
    calling = set()
    for file in sorted((ROOT / "llmimg").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name in LOADING or (name == "pipeline" and isinstance(node.func, ast.Name)):
                    calling.add(file.relative_to(ROOT).as_posix())
    assert calling == {"llmimg/hub.py"}
