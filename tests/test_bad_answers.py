"""Objects, masks and settings that cannot be learned from or answered with: each a sentence that names the row or the
setting, before anything is trained or written."""

import io
import re

import datasets
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.usefixtures("one_thread")

SCENES = (
    "data=scenes",
    "data.scenes.things=shapes",
    "data.scenes.canvas=12",
    "data.scenes.sizes=[5]",
    "data.scenes.most=3",
    "data.scenes.train=24",
    "data.scenes.validation=6",
    "data.scenes.test=6",
    "textify=palette",
)
BOX, GROUND = [1.0, 1.0, 4.0, 4.0], np.tile(np.uint8([[0], [1]]), (4, 8))
OF_BOXES = {"objects": {"bbox": datasets.List(datasets.List(datasets.Value("float32"))), "category": None}}


@pytest.fixture
def boxed(tmp_path):
    """A folder in the hub's layout whose images of 8 × 8 pixels have these objects, lists of (box, category), in each
    split: none but one is as given, the others as is usual."""

    def write(**given):
        kind = {"category": datasets.List(given.pop("category", datasets.Value("int64")))}
        features = datasets.Features({"image": datasets.Image(), "objects": OF_BOXES["objects"] | kind})
        for split in ("train", "validation", "test"):
            rows = given.get(split, [[(BOX, 0)], [(BOX, 1)]])
            objects = [{"bbox": [box for box, _ in row], "category": [each for _, each in row]} for row in rows]
            save(tmp_path, split, features, objects=objects)
        return ("data=hub", f"data.path={tmp_path / 'hub'}", "task=detect", "textify=gray")

    return write


@pytest.fixture
def masked(tmp_path):
    """The same with masks."""

    def write(**given):
        features = datasets.Features({"image": datasets.Image(), "mask": datasets.Image()})
        for split in ("train", "validation", "test"):
            masks = [png(mask) for mask in given.get(split, [GROUND, GROUND])]
            save(tmp_path, split, features, mask=masks)
        return ("data=hub", f"data.path={tmp_path / 'hub'}", "task=segment", "task.grid=[4,4]", "textify=gray")

    return write


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return {"bytes": stream.getvalue(), "path": None}


def save(folder, split, features, **columns):
    """Every image is another one: their values begin where those of an earlier split end."""
    begin = 40 * ["train", "validation", "test"].index(split)
    count = len(next(iter(columns.values())))
    images = [png(np.full((8, 8), begin + index, np.uint8)) for index in range(count)]
    data = datasets.Dataset.from_dict({"image": images, **columns}, features=features)
    data.to_parquet(str(folder / "hub" / f"{split}-00000-of-00001.parquet"))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("task=detect",), r"needs the column 'objects', which data\.source=digits does not have"),
        (("task=segment",), r"needs the column 'mask', which data\.source=digits does not have"),
        ((*SCENES, "task=detect", "task.bins=1"), r"task\.bins=1 is out of range: it takes 2 or more"),
        ((*SCENES, "task=segment", "task.grid=[0,4]"), r"task\.grid=.* each 1 to 64"),
        ((*SCENES, "task=segment", "task.ground=sky"), r"task\.ground=sky is no class of these masks: .*circle"),
        ((*SCENES, "task=detect", "readout=score"), r"cannot be read out by readout=score: take readout=generate"),
        ((*SCENES, "task=segment", "readout=head"), r"cannot be read out by readout=head: take readout=generate"),
        (
            (*SCENES, "task=detect", "model=resnet_tiny"),
            r"does not go with a model of the kind 'image'.*language",
        ),
        ((*SCENES, "task=detect", "augment.mixup=0.2"), r"augment\.mixup blends labels"),
        ((*SCENES, "task=detect", "task.most=1"), r"of 24 training images have more .* task\.most=1.*set task\.most=3"),
    ],
    ids=lambda value: " ".join(each for each in value if each not in SCENES) if isinstance(value, tuple) else "",
)
def test_settings_that_cannot_be(refused, overrides, sentence):
    assert re.search(sentence, refused(*overrides))


@pytest.mark.parametrize(
    ("overrides", "end"),
    [
        ((*SCENES, "task=detect"), "take model=gpt2_tiny or another decoder."),
        (("readout=generate",), "take model=gpt2_tiny or another decoder or readout=head."),
        (("task=clm",), "take model=gpt2_tiny or another decoder."),
    ],
)
def test_an_encoder_that_is_asked_to_write_is_told_what_the_task_can_do_instead(refused, overrides, end):
    assert refused(*overrides, "model=bert_tiny").endswith(end)


@pytest.mark.parametrize("task", [("detect", "task.most=3"), ("segment", "task.grid=[6,6]")])
def test_a_context_without_room_for_an_answer_that_is_to_be_learned(refused, task):
    name, setting = task
    sentence = refused(*SCENES, f"task={name}", setting, "tokens.max_length=150")
    assert re.search(r"has 144 tokens and \d+ around them, and 150 fit .*\(task\.most, task\.grid\)", sentence)


def test_a_run_of_clm_that_has_no_positions_for_answers(run, refused):
    base = run("base", *SCENES, *(f"data.{split}_samples=null" for split in ("train", "val", "test")), "task=clm")
    sentence = refused(*SCENES, "task=detect", "task.most=3", "model=pretrained", f"model.path={base}")
    assert re.search(r"has 144 tokens and 18 around them, and 146 fit .*model\.positions for a pretrained", sentence)


def test_a_box_outside_of_its_image(refused, boxed):
    sentence = refused(*boxed(test=[[(BOX, 0)], [(BOX, 1), ([5.0, 1.0, 6.0, 2.0], 0)]]))
    assert re.search(r"^1 boxes of 1 images .* first is of row 1 of the test split, box 1: it goes 3 pixels", sentence)


def test_a_class_of_boxes_that_has_no_name(refused, boxed):
    sentence = refused(*boxed(train=[[(BOX, 0)], [(BOX, 5)]]), "data.label_names=[cat,dog]")
    assert "row 1 of the train split has the category 5, which is no known class (known: 0 cat, 1 dog)" in sentence


def test_a_class_that_only_the_test_split_has(refused, boxed):
    assert "row 0 of the test split has the category 7, which is no known class" in refused(*boxed(test=[[(BOX, 7)]]))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_without_an_object(refused, boxed, split):
    words = "train split has no object in any" if split == "train" else f"No image of the {split} split has an object"
    assert words in refused(*boxed(**{split: [[], []]}), "data.label_names=[cat,dog]")


def test_columns_that_are_not_there(refused, boxed, masked):
    *folder, _, textify = boxed()
    assert re.search(r"needs the column 'mask'.*mask_column=.*objects", refused(*folder, "task=segment", textify))
    *folder, _, _, textify = masked()
    sentence = refused(*folder, "task=detect", textify, "data.image_column=image")
    assert re.search(r"needs the column 'objects'.*objects_column=.*mask", sentence)


def test_a_mask_of_another_size_than_its_image(refused, masked):
    sentence = refused(*masked(test=[GROUND, GROUND[:6]]))
    assert "mask of row 1 of the test split is 8 wide and 6 high, and its image 8 wide and 8 high" in sentence


def test_a_number_in_a_mask_that_is_of_no_class(refused, masked):
    sentence = refused(*masked(test=[GROUND, GROUND + 3]))
    assert re.search(r"row 1 of the test split has 64 pixels of 3, which is no known class .*data\.void=", sentence)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_split_that_is_all_void(refused, masked, split):
    sentence = refused(*masked(**{split: [GROUND * 0 + 255] * 2}))
    assert f"All masks of the {split} split are void" in sentence
