"""Several labels an image: found in columns, made of boxes or of one label, and refused where they cannot be right."""

import numpy as np
import pytest
from datasets import ClassLabel, Image, List, Value
from PIL import Image as Pillow

from llmimg.data import DataSettings, class_counts, load
from llmimg.data.identity import split_identity
from llmimg.data.sources import fresh_rows
from llmimg.errors import UserError

PICTURE = np.zeros((4, 4), np.uint8)
NAMED = List(ClassLabel(names=["sky", "sea", "sand"]))
THREE = {"train": 6, "validation": 3, "test": 3}


@pytest.fixture
def loaded(hub_folder):
    """Loads a set of a column of these features; each split has the same rows unless they are given apart."""

    def make(feature, rows, name="labels", settings=(), more=None, **others):
        features = {"image": Image(), name: feature, **{key: kind for key, (kind, _) in (more or {}).items()}}
        splits = {}
        for split in THREE:
            values = others.get(split, rows)
            columns = {key: [value] * len(values) for key, (_, value) in (more or {}).items()}
            splits[split] = {"image": [PICTURE + index for index in range(len(values))], name: values, **columns}
        return load(DataSettings("x", path=str(hub_folder(features, **splits)), **dict(settings)), needs=("labels",))

    return make


def labels(data):
    return data.train["labels"][:]


def test_lists_of_classes_keep_their_names_and_numbers(loaded):
    data = loaded(NAMED, [[2, 0], [], [1]])
    assert labels(data) == [[0, 2], [], [1]]
    assert data.classes["labels"].names == ("sky", "sea", "sand") and data.classes["labels"].numbers == (0, 1, 2)
    assert data.train.features["labels"].feature.names == ["sky", "sea", "sand"]
    assert class_counts(data, ("labels",)) == {"labels": (1, 1, 1)}
    identity = split_identity(data.train, ["0", "1", "2"])
    assert identity.classes == {"sky": 1, "sea": 1, "sand": 1}
    other = loaded(NAMED, [[2, 0], [0], [1]]).train
    assert split_identity(other, ["0", "1", "2"]).fingerprint != identity.fingerprint


@pytest.mark.parametrize("name", ["labels", "tags", "categories", "label", "attributes"])
def test_lists_of_text_and_numbers_are_found_by_name(loaded, name):
    data = loaded(List(Value("string")), [["sun", "beach"], [], ["beach"]], name)
    assert data.classes["labels"].names == ("beach", "sun") and labels(data) == [[0, 1], [], [0]]
    data = loaded(List(Value("int64")), [[10], [9, 10]], name)
    assert data.classes["labels"].names == ("9", "10") and labels(data) == [[1], [0, 1]]


def test_a_setting_names_the_column_and_the_classes(loaded):
    data = loaded(List(Value("int64")), [[1], [0]], "seen", {"label_column": "seen", "label_names": ["a", "b", "c"]})
    assert data.classes["labels"].names == ("a", "b", "c") and labels(data) == [[1], [0]]
    assert "1 of 3 classes have no training image and cannot be learned: 'c' (no images)." in data.notes


def test_rows_of_which_nothing_is_known_are_left_out(loaded):
    data = loaded(NAMED, [[2], None, []])
    assert labels(data) == [[2], []]
    assert "1 of 3 images of the train split have no labels (such as '1'): dropped." in data.notes


def test_one_label_each_is_a_list_of_one(loaded):
    data = loaded(ClassLabel(names=["a", "b"]), [0, 1, 1], "kind")
    assert labels(data) == [[0], [1], [1]] and data.classes["labels"].names == ("a", "b")
    data = loaded(Value("string"), ["x", "y", "x"], "said", {"label_column": "said"})
    assert labels(data) == [[0], [1], [0]] and data.classes["labels"].names == ("x", "y")
    digits = load(DataSettings("digits", source="digits"), needs=("labels",))
    assert digits.test["labels"][:5] == [[each] for each in digits.test["label"][:5]]


def test_of_boxes_those_that_are_there_hold(loaded):
    boxes = {"bbox": List(List(Value("float32"))), "category": List(ClassLabel(names=["cat", "dog"]))}
    rows = [
        {"bbox": [[0, 0, 1, 1], [1, 1, 2, 2], [0, 0, 2, 2]], "category": [1, 0, 1]},
        {"bbox": [], "category": []},
        {"bbox": [[0, 0, 1, 1]], "category": [1]},
    ]
    data = loaded(boxes, rows, "objects")
    assert labels(data) == [[0, 1], [], [1]] and data.classes["labels"].names == ("cat", "dog")
    data = loaded(boxes, rows, "objects", more={"place": (ClassLabel(names=["in", "out"]), 1)})
    assert labels(data) == [[0, 1], [], [1]]  # boxes say more than one label
    more = {"place": (ClassLabel(names=["in", "out"]), 1)}
    assert labels(loaded(boxes, rows, "objects", {"label_column": "place"}, more)) == [[1]] * 3
    assert labels(loaded(boxes, rows, "objects", more={"tags": (List(Value("string")), ["a", "b"])})) == [[0, 1]] * 3


def test_scenes_say_which_things_are_in_them_in_every_epoch():
    settings = DataSettings("scenes", source="scenes", scenes={"train": 30, "least": 0}, fresh=True)
    data = load(settings, needs=("labels",))
    assert data.classes["labels"].names == ("circle", "square", "triangle", "cross")
    assert any(row == [] for row in labels(data)) and any(len(row) > 1 for row in labels(data))
    for row, objects in zip(labels(data), data.train["objects"][:], strict=True):
        assert row == sorted(set(objects["category"]))
    made = fresh_rows(settings, ("labels",))(data.train["id"][:], 3)
    assert made["labels"] == [sorted(set(each["category"])) for each in made["objects"]] != labels(data)


@pytest.mark.parametrize(
    ("feature", "train", "test", "message"),
    [
        (
            List(Value("string")),
            [["a"], ["b"]],
            [["a"], ["c"]],
            "A label of row 1 of the test split is 'c', which",
        ),
        (List(Value("int64")), [[0, 0, 1], [1, 0, 1]], [[0]], "The label 0 stands twice in row 0 of the train split"),
        (List(Value("string")), [["a", None], ["b"]], [["a"]], "A label of row 0 of the train split is missing"),
        (List(Value("string")), [["a", ""], ["b"]], [["a"]], "empty name"),
        (
            List(Value("float32")),
            [[0.5], [1.0]],
            [[1.0]],
            "none of type ClassLabel: name .* data.label_column=",
        ),
        (Value("string"), ["a", "b"], ["a"], "none of type ClassLabel: name the one to use with data.label_column="),
    ],
)
def test_what_cannot_be_right_is_named_with_its_row(loaded, feature, train, test, message):
    with pytest.raises(UserError, match=message):
        loaded(feature, train, test=test)


def test_several_columns_are_named(loaded):
    with pytest.raises(UserError, match=r"several columns of lists of labels \(one, other\): .* data\.label_column="):
        loaded(NAMED, [[0]], "one", more={"other": (NAMED, [1])})
    with pytest.raises(UserError, match=r"has no column 'tag' \(data\.label_column\): did you mean 'tags'\?"):
        loaded(List(Value("string")), [["a"]], "tags", {"label_column": "tag"})


def test_a_source_without_labels_is_refused(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for index in range(6):
            Pillow.fromarray(PICTURE + index % 2).save(tmp_path / folder / f"{index}.png")
    with pytest.raises(UserError, match=r"needs the labels of images, which data\.source=masks does not have"):
        load(DataSettings("x", source="masks", path=str(tmp_path)), needs=("labels",))
