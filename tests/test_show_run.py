"""An image before the model of a finished run."""

import numpy as np
import pytest
from PIL import Image

from llmimg import Recogniser
from llmimg.cli import main
from llmimg.tokens.names import token_names
from tests.test_show_rows import told

pytestmark = pytest.mark.usefixtures("one_thread")

SCENES = ("data=scenes", "data.scenes.train=12", "data.scenes.validation=4", "data.scenes.test=4", "data.size=8")


@pytest.fixture(scope="module")
def runs(composed):
    """The folder of a run, carried out when it is first asked for."""
    from llmimg.carry_out import carry_out

    overrides = {
        "detect": (*SCENES, "task=detect", "task.bins=4"),
        "answer": (*SCENES, "task=answer"),
        "imagine": ("task=imagine",),
        "score": ("readout=score", "task.shots=1"),
        "knn": ("model=knn",),
    }
    tiny = ("trainer.max_steps=1", "trainer.disable_tqdm=true", "model.width=16")
    few = ("data.train_samples=64", "data.val_samples=32", "data.test_samples=37")
    done: dict[str, str] = {}

    def of(name: str) -> str:
        if name not in done:
            base = (*(tiny if name != "knn" else ()), *(few if "data=scenes" not in overrides[name] else ()))
            settings = composed(name, *overrides[name], base=base)
            carry_out(settings)
            done[name] = settings["run_dir"]
        return done[name]

    return of


@pytest.fixture
def image(tmp_path) -> str:
    file = tmp_path / "image.png"
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(file)
    return str(file)


@pytest.fixture
def said(capsys):
    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            main(["show", *words])
            status = 0
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return run


def sample_of(out: str) -> list[str]:
    """The tokens that stand before the model."""
    (lines,) = [block.splitlines() for block in out.split("\n\n") if block.startswith("words ")]
    titles = {line[:11].strip() for line in lines} - {""}
    assert titles <= {"words", "image"}
    return [line[11:] for line in lines]


@pytest.mark.parametrize(
    ("name", "asked", "what"),
    [
        ("detect", (), ("6 tokens, by the grammar of answers", [" y0", " y1", " y2", " y3", " y4", "<eos>"])),
        ("score", (), ("10 answers", [f"⏎class: {digit}⏎" for digit in range(10)])),
        ("answer", ("question=how many?",), ("answers", None)),
    ],
)
def test_all_that_the_model_is_given_and_what_may_follow(runs, said, image, name, asked, what):
    status, out, _ = said(image, f"run={runs(name)}", "full=true", *asked)
    assert status == 0 and "\x1b" not in out
    recogniser = Recogniser.load(runs(name), device="cpu")
    read = []
    recogniser.model.register_forward_pre_hook(
        lambda model, args, named: read.extend(named["input_ids"].tolist()), with_kwargs=True
    )
    recogniser([image], **dict(each.split("=") for each in asked))
    names = [[each.replace("\n", "⏎") for each in token_names(recogniser.encoder.vocabulary, ids)] for ids in read]
    assert " │ ".join(sample_of(out)).split(" │ ") in names
    said_of, texts = what
    assert f"{said_of}:\n" in out
    follows = told(out.splitlines(), "next")
    assert follows == texts if texts else len(follows) == len(recogniser.readout.choices.answers)
    assert f"{image}: 8 × 8 pixels, colour" in out.splitlines()


def test_a_task_that_writes_images_is_asked_without_one(runs, said, image):
    status, out, _ = said(f"run={runs('imagine')}", "label=7")
    assert status == 0
    first, _ = out.split("\n\n")
    assert first == "words      <bos> │ 7: "
    assert told(out.splitlines(), "next") == [str(level) for level in range(16)]
    assert "reads none" in said(image, f"run={runs('imagine')}", "label=7")[2]


@pytest.mark.parametrize(
    ("name", "words", "sentence"),
    [
        ("answer", ("IMAGE",), "task=answer asks images by their question: give question="),
        ("answer", ("IMAGE", "qestion=what"), "no setting 'qestion': did you mean 'question'?"),
        ("answer", ("IMAGE", "question=what", "full=yes"), "The setting 'full' cannot be 'yes'"),
        ("detect", ("IMAGE", "question=what"), "task=detect is not asked by a question"),
        ("detect", ("IMAGE", "IMAGE"), "show takes one image"),
        ("detect", ("none.png",), "The image none.png cannot be read"),
        ("detect", (), "task=detect is asked of an image"),
        ("imagine", (), "task=imagine asks images by their label"),
        ("knn", ("IMAGE",), "is a run of model=knn, which reads no text"),
    ],
)
def test_mistakes_are_one_sentence(runs, said, image, name, words, sentence):
    status, out, err = said(*(image if word == "IMAGE" else word for word in words), f"run={runs(name)}")
    assert (status, out) == (1, "") and sentence in err and err.count("\n") == 1


def test_a_folder_without_a_run_is_refused(said, image, tmp_path):
    assert "holds no recogniser" in said(image, f"run={tmp_path}")[2]
