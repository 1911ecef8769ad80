"""Rows of a data set before training are shown as they are learned."""

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import llmimg.cli
from llmimg.cli import main
from llmimg.readouts.base import READOUTS
from llmimg.show.learned import learned_rows
from llmimg.show.lines import BESIDES, LEARNED
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.textify import make
from llmimg.tokens.layout import Frame, Layout
from llmimg.tokens.names import token_names
from llmimg.tokens.sample import Example
from llmimg.tokens.script import Script
from llmimg.tokens.vocabulary import make_vocabulary
from tests.readouts import test_contrastive
from tests.readouts.test_packed_samples import readout_of, rows  # noqa: F401
from tests.scripting import script_of

pytestmark = pytest.mark.usefixtures("one_thread")

IGNORED = -100
NAMES = ("cat", "dog")
FEW = ("data.train_samples=40", "data.val_samples=10", "data.test_samples=10")
SCENES = ("data=scenes", "data.scenes.train=12", "data.scenes.validation=4", "data.scenes.test=4")


def choosing(name: str, **settings):
    task = TASKS["classify"].with_settings(DataInfo(NAMES), **settings)
    vocabulary = make_vocabulary("own", make("gray"), None)
    for each in task.in_every_wording():
        vocabulary = script_of(each, vocabulary).vocabulary
    script = script_of(task, vocabulary)
    return READOUTS[name](task, Layout.of(script.vocabulary, 40, frame=Frame()), script)


def pretraining(task: str, **settings):
    vocabulary = make_vocabulary("own", make("gray"), None)
    kind = TASKS[task]
    return READOUTS[kind.readouts[0]](kind.with_settings(**settings), Layout.of(vocabulary, 40), Script(vocabulary))


LEARNING = {
    "classes": lambda: choosing("score", prompts=("{image} is a", "see {image}, a"), image_loss=0.3),
    "objects": lambda: readout_of(image_loss=0.3),
    "samples": lambda: readout_of(samples=3, shots=1, image_loss=0.3),
    "clm": lambda: pretraining("clm"),
    "packed clm": lambda: pretraining("clm", pack=70),
    "mlm": lambda: pretraining("mlm", rate=0.4),
}


@pytest.mark.parametrize("learning", LEARNING)
def test_the_marked_tokens_are_the_labels(rows, learning):  # noqa: F811
    readout = LEARNING[learning]()
    examples = [Example(each.image, {**each.row, "label": each.number % 2}, each.number, each.seed) for each in rows]
    batch, laid = readout.training_batch(examples), readout.training_sequences(examples)
    shown = learned_rows(readout, examples)
    assert len(shown) == len(batch["input_ids"])
    for mark, key in zip((LEARNED, BESIDES), ("labels", "image_labels"), strict=True):
        if key not in batch:
            assert not any(token.mark == mark for row in shown for token in row.tokens)
            continue
        labels = batch[key].clone()
        if learning != "mlm":  # a causal model foretells nothing in the first place
            labels[:, 0] = IGNORED
        for row, of_row in zip(shown, labels.tolist(), strict=True):
            places = [place for place, label in enumerate(of_row) if label != IGNORED]
            assert [place for place, token in enumerate(row.tokens) if token.mark == mark] == places
            meant = [row.tokens[place].name.split("→")[-1] for place in places]
            assert meant == token_names(readout.vocabulary, [of_row[place] for place in places])
    for row, ids, roles in zip(shown, batch["input_ids"].tolist(), laid.roles.tolist(), strict=True):
        assert [token.role for token in row.tokens] == roles
        assert [token.name.split("→")[0] for token in row.tokens] == token_names(readout.vocabulary, ids)


def test_a_heads_class_is_what_is_learned(rows):  # noqa: F811
    examples = [Example(each.image, {"label": each.number % 2}) for each in rows]
    readout = choosing("head")
    shown = learned_rows(readout, examples)
    assert [row.target for row in shown] == ["cat", "dog", "cat", "dog"]
    assert not any(token.mark for row in shown for token in row.tokens)
    blended = [Example(each.image, each.row, blend=({"label": 0}, 0.75)) for each in examples[:2]]
    assert [row.target for row in learned_rows(readout, blended)] == ["1 × cat", "0.25 × cat + 0.75 × dog"]


def test_the_words_of_an_image_are_what_its_vector_learns():
    readout, examples = test_contrastive.readout_of(), test_contrastive.examples(seed=1)
    shown, batch = learned_rows(readout, examples), readout.training_batch(examples)
    words = ["".join(map(str, readout.task.answer(each.row, each.seed))) for each in examples]
    assert [row.target for row in shown] == [*words, *[None] * len(words)]
    for row, ids in zip(shown, batch["input_ids"].tolist(), strict=True):
        assert [token.name for token in row.tokens] == token_names(readout.vocabulary, ids)
        assert not any(token.mark for token in row.tokens)


@pytest.fixture
def said(capsys, tmp_path):
    """Runs `show` and returns its status and what it said on either stream."""

    def run(*words: str) -> tuple[int, str, str]:
        try:
            main(["show", *words, f"tokens.cache_dir={tmp_path / 'cache'}"])
            status = 0
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return status, out, "".join(line for line in io.StringIO(err) if line.startswith("llmimg: "))

    return run


def blocks(out: str) -> list[list[str]]:
    return [block.splitlines() for block in out.split("\n\n")]


def told(lines: list[str], role: str) -> list[str]:
    """The tokens of a role."""
    found, title = [], ""
    for line in filter(None, lines):
        title = line[:11].strip() or title
        if title == role:
            found += line[11:].split(" │ ")
    return found


def test_digits_as_their_head_learns_them(said):
    status, out, _ = said("data=digits", "augment=none", "rows=2", "full=true", *FEW)
    assert status == 0 and "\x1b" not in out
    (first, second, last, _) = blocks(out)
    images, labels = load_digits(return_X_y=True)
    for lines in (first, second):
        number = int(lines[0].removeprefix("Row ").split(":")[0])
        image = np.rint(images[number].reshape(1, 8, 8, 1) * 255 / 16).astype(np.uint8)
        assert lines[0].endswith(": 66 tokens")
        assert "".join(told(lines, "image")) == make("gray").texts(make("gray").write(image))[0]
        assert told(lines, "learned") == [f"▸{labels[number]}"]
    assert last == ["The first 2 of 40 training rows, as they are in the first epoch.", "▸ marks what is learned."]


def test_without_its_files_a_configuration_is_the_classes_own(said, monkeypatch, tmp_path):
    words = ("data=digits", "augment=none", "readout=score", "task.image_loss=0.5", 'task.prompts=["a {image}"]', *FEW)
    with_files = said(*words)
    assert with_files[0] == 0 and "▹ marks the image's own text, whose loss counts 0.5." in with_files[1]
    monkeypatch.setattr(llmimg.cli, "CONF", tmp_path / "none")
    assert said(*words)[:2] == with_files[:2]
    status, _, err = said("experiment=article")
    assert (status, err.count("\n")) == (1, 1) and "experiment=article is a file of conf/, which is not there" in err
    assert said("data=cifar10")[2] == "llmimg: data.source=hub needs data.path=.\n"


def test_where_nothing_is_learned_it_is_said(said):
    status, out, _ = said("data=digits", "readout=score", "adaptation=none", "rows=1", *FEW)
    assert status == 0
    assert "▸ marks what is right: nothing is learned of it, as this model is only asked." in out


@pytest.mark.parametrize("changed", [(), ("augment=shift_flip",), ("data.fresh=true",)])
def test_images_are_those_that_are_learned(said, changed, tmp_path):
    """… moved or made anew as they are in the first epoch, and what is right lies on them."""
    gray = make("gray", levels=256)
    small = ("data.size=8", "textify=gray", "textify.levels=256", "full=true", f"out={tmp_path / 'out'}", *changed)
    status, out, _ = said(*SCENES, "task=classify", "rows=3", *small)
    assert status == 0
    for lines in blocks(out)[:3]:
        name = lines[0].removeprefix("Row ").split(":")[0]
        image = np.asarray(Image.open(tmp_path / "out" / f"{name}.png"))
        assert "".join(told(lines, "image")) == gray.texts(gray.write(image[None]))[0]
    assert f"Images: {tmp_path / 'out'}" in out


def test_boxes_are_drawn_where_they_are_learned(said, tmp_path):
    one = ("data.scenes.most=1", "augment.flip=true", "task.bins=32")
    status, out, _ = said(*SCENES, "task=detect", "rows=4", f"out={tmp_path / 'out'}", *one)
    assert status == 0
    for lines in blocks(out)[:4]:
        name = lines[0].removeprefix("Row ").split(":")[0]
        drawn = np.asarray(Image.open(tmp_path / "out" / f"{name}.png")).astype(int)
        assert drawn.shape == (256, 256, 3)
        top, left, bottom, right = (int(each.strip("▸ yx")) for each in told(lines, "answer")[:4])
        edge = drawn[bottom * 8 - 1, left * 8 : right * 8]
        assert (edge == edge[0]).all() and (drawn[bottom * 8 - 1, [left * 8 - 1, min(right * 8, 255)]] != edge[0]).any()
        assert (drawn[top * 8 + 24 : bottom * 8, left * 8] == edge[0]).all()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("data=digits", "model=knn"), "The model 'knn' sees pixels, and reads no text: show takes a language model"),
        (("data=digits", "row=3"), "show has no setting 'row': did you mean 'rows'?"),
        (("data=digits", "dat.size=3"), "show has no setting 'dat.size': did you mean 'data'?"),
        (("data=digits", "rows=0"), "rows=0 is out of range"),
        (("data=digitz",), "There is no data 'digitz': did you mean 'digits'?"),
        (("task=detect", "data=digits"), "needs the column 'objects'"),
        (("data=digits", f"out={__file__}/x"), "cannot be a folder"),
        (("textify=gray",), "show takes one image"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_mistakes_are_one_sentence(said, words, sentence):
    status, out, err = said(*words)
    assert (status, out) == (1, "") and sentence in err and err.count("\n") == 1
