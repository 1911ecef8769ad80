"""A user's mistakes: each a sentence that says what to do, and no folder left behind."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from llmimg.carry_out import carry_out
from llmimg.command_line import command_line
from llmimg.compose import resolve
from llmimg.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[1]
TINY = ("model.width=16", "trainer.max_steps=2", "trainer.disable_tqdm=true")
WHOLE_BATCHES = ("trainer.dataloader_drop_last=true", "trainer.per_device_train_batch_size=32")


@pytest.fixture
def pictures(tmp_path):
    """A folder of class folders with ten images of 8 by 8 pixels each, and a test split of four."""
    for split, count in (("train", 10), ("test", 4)):
        for shade, name in enumerate(("cats", "dogs")):
            folder = tmp_path / "pictures" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                Image.fromarray(np.full((8, 8), 100 * shade + index, np.uint8)).save(folder / f"{index}.png")
    return tmp_path / "pictures"


@pytest.fixture
def hub_folder(tmp_path, pictures):
    """A local folder in the hub's layout, of which the test split has no labels."""
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cats", "dogs"])})
    for split, labels in (("train", [0, 1] * 10), ("test", [-1] * 8)):
        files = sorted(str(file) for file in (pictures / split).rglob("*.png"))
        data = datasets.Dataset.from_dict({"image": files, "label": labels}, features=features)
        data.to_parquet(str(tmp_path / "hub" / f"{split}-00000-of-00001.parquet"))
    return tmp_path / "hub"


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("trainer.learnig_rate=1",), r"no setting 'trainer\.learnig_rate': did you mean 'learning_rate'"),
        (("trainer.seed=3",), r"'trainer\.seed' follows from the run: set seed= instead"),
        (("trainer.optim=adm",), r"does not take these settings under trainer\.\*"),
        ((*WHOLE_BATCHES, "data.train_samples=20"), r"Not one step was trained on 20 images"),
        (("textify.levels=1",), r"levels"),
        (("data.size=0",), r"data\.size=0 is out of range: it takes one number, or \(height, width\)"),
        (("data.train_samples=5000",), r"data\.train_samples=5,000 asks for more images than the train split has"),
        (("data.train_samples=ten",), r"'data\.train_samples' cannot be 'ten': it takes a whole number or null"),
        (("model.width=17",), r"model\.width=17 is not a multiple of model\.heads="),
        (("tokens.max_length=30",), r"longest has 64 tokens and 2 around them, and 30 fit .*tokens\.overflow=truncate"),
        (("tokens.max_length=2", "tokens.overflow=truncate"), r"context of 2 tokens has no room.*2 stand around it"),
        (("textify=region_color", "textify.grid=9"), r"shorter side is 8 pixels .* textify\.grid=9 .*data\.size"),
        (("data=folder",), r"data\.source=folder needs data\.path="),
        (("data=folder", "data.path=/no/such/folder"), r"There is no folder '/no/such/folder'"),
        (("data=hub", "data.path=/no/such/folder"), r"There is no folder '/no/such/folder'"),
        (("vocabulary=reuse", "vocabulary.path=/no/such/tokenizer"), r"'/no/such/tokenizer' .*vocabulary\.path="),
        (("model=pretrained", "model.path=nobody/nothing"), r"'nobody/nothing' is no local folder, and the hub has no"),
        (("model=pretrained", "model.path=nobody/nothing", "vocabulary=own"), r"nobody/nothing.*model=gpt2_tiny"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_settings_that_cannot_be(refused, overrides, sentence):
    assert re.search(sentence, refused(*overrides))


def test_training_that_diverges(refused):
    sentence = refused("trainer.learning_rate=1e30", "data.train_samples=64", "data.val_samples=32")
    assert re.search(r"diverged.*[Ll]ower trainer\.learning_rate", sentence)


def test_an_empty_folder(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "needs two or more folders, one for each class" in refused("data=folder", f"data.path={tmp_path / 'empty'}")


def test_a_class_without_images(refused, pictures):
    for file in (pictures / "train" / "dogs").iterdir():
        file.unlink()
    assert re.search(r"class folder '.*dogs' holds no image", refused("data=folder", f"data.path={pictures}"))


def test_a_class_that_only_the_test_split_has(refused, pictures):
    (pictures / "test" / "dogs").rename(pictures / "test" / "wolves")
    assert re.search(
        r"class 'wolves' in '.*test' has no folder among the training", refused("data=folder", f"data.path={pictures}")
    )


def test_an_image_that_is_torn(refused, pictures):
    torn = pictures / "test" / "cats" / "2.png"
    torn.write_bytes(torn.read_bytes()[:40])
    sentence = refused("data=folder", f"data.path={pictures}")
    assert re.search(r"The image .*test/cats/2\.png cannot be read: .*data\.broken=skip\.$", sentence)


def test_an_image_that_is_smaller_than_the_grid(refused, pictures):
    Image.fromarray(np.zeros((3, 8), np.uint8)).save(pictures / "train" / "dogs" / "2.png")
    sentence = refused("data=folder", f"data.path={pictures}", "textify=region_color")
    assert re.search(r"shorter side is 3 pixels .* textify\.grid=4 .*lower textify\.grid or raise data\.size", sentence)


def test_a_test_split_without_labels(refused, hub_folder):
    sentence = refused("data=hub", f"data.path={hub_folder}")
    assert re.search(r"Labels are missing from the test split: .*data\.test_split=carve", sentence)


def test_no_network_and_nothing_stored(refused, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    assert re.search(r"uoft-cs/cifar10.*data\.path=", refused("data=cifar10"))


def test_broken_images_are_left_out_where_that_was_asked_for(tmp_path, pictures):
    (pictures / "train" / "cats" / "0.png").write_bytes(b"torn")
    (pictures / "test" / "cats" / "0.png").write_bytes(b"torn")
    overrides = ("data=folder", f"data.path={pictures}", "data.broken=skip", "augment.flip=true")
    ours = (f"run_dir={tmp_path / 'run'}", f"tokens.cache_dir={tmp_path / 'cache'}")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        resolved = resolve(compose("config", command_line([*TINY, *ours, *overrides])))
    metrics = carry_out(resolved)
    assert metrics["data/train_images"] + metrics["data/val_images"] == 19 and metrics["data/test_images"] == 7
    assert "1 broken images of the test split were skipped" in (tmp_path / "run" / "run.log").read_text()


def run_py(*words: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def is_one_sentence(ended: subprocess.CompletedProcess) -> bool:
    return ended.returncode == 1 and ended.stderr.startswith("llmimg: ") and ended.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("txtify=gray", "did you mean 'textify'"),
        ("textify=grey", "There is no textify 'grey': did you mean 'gray'"),
        ("data.siz=8", "There is no setting 'data.siz': did you mean 'size'"),
        ("data=cifar10", "data.path="),
    ],
)
def test_on_the_command_line_a_mistake_is_one_sentence_and_status_1(tmp_path, word, sentence):
    ended = run_py(word, f"run_dir={tmp_path / 'run'}", f"tokens.cache_dir={tmp_path / 'cache'}")
    assert is_one_sentence(ended), ended.stderr
    assert sentence in ended.stderr
    assert not list(tmp_path.iterdir())


def test_a_sweep_within_several_processes_is_refused():
    ended = run_py("-m", "seed=0,1", WORLD_SIZE="2", RANK="0")
    assert is_one_sentence(ended), ended.stderr
    assert "launch=accelerate" in ended.stderr


def test_a_folder_of_another_version(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        resolved = resolve(compose("config", [f"run_dir={folder}"]))
    (folder / "config.yaml").write_text(json.dumps(resolved))
    (folder / "environment.json").write_text(json.dumps({"llmimg": "0.0.7"}))
    with pytest.raises(UserError, match=r"was written by llmimg 0\.0\.7, and this is .*run_dir=.*force=true"):
        carry_out(resolved)
    assert (folder / "config.yaml").exists()  # it is another's: nothing of it is removed
