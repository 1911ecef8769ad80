import pytest
from datasets import ClassLabel, Image, Value

from llmimg.data import DataSettings, decode, load
from llmimg.data.sources import load_source
from llmimg.errors import UserError


def hub(path, **more):
    return load_source(DataSettings("hub", path=str(path), **more))


def test_columns_are_found_by_type(hub_folder, make_png):
    features = {"text": Value("string"), "fine": ClassLabel(names=["a", "b"]), "picture": Image()}
    rows = {"text": ["x", "y"], "fine": [1, 0], "picture": [{"bytes": make_png(7), "path": None}] * 2}
    data = hub(hub_folder(features, train=rows))["train"]
    assert data.column_names == ["image", "label", "id"]
    assert data.features["image"] == Image(decode=False)
    assert data.features["label"] == ClassLabel(names=["a", "b"])
    assert data["label"][:] == [1, 0] and data["id"][:] == ["0", "1"]
    assert decode(data[0]["image"])[0, 0, 0] == 7


@pytest.mark.parametrize(
    ("labels", "given", "names", "numbers"),
    [
        ([3, 7, 3, -1], None, ["3", "7"], [0, 1, 0, -1]),
        (["dog", "cat", None, "dog"], None, ["cat", "dog"], [1, 0, -1, 1]),
        (["dog", "cat", "dog", "dog"], ("dog", "cat"), ["dog", "cat"], [0, 1, 0, 0]),
        ([0, 2, 0, 2], ("a", "b", "c"), ["a", "b", "c"], [0, 2, 0, 2]),
        ([True, False, True, None], None, ["False", "True"], [1, 0, 1, -1]),
    ],
)
def test_plain_labels_become_classes(hub_folder, make_png, labels, given, names, numbers):
    kind = Value({int: "int32", str: "string", bool: "bool"}[type(labels[0])])
    rows = {"image": [{"bytes": make_png(), "path": None}] * 4, "y": labels}
    folder = hub_folder({"image": Image(), "y": kind}, train=rows, test={name: part[:1] for name, part in rows.items()})
    splits = hub(folder, label_column="y", label_names=given)
    assert splits["train"].features["label"].names == splits["test"].features["label"].names == names
    assert splits["train"]["label"][:] == numbers and splits["test"]["label"][:] == numbers[:1]


def test_encoded_bytes_can_be_named_as_the_image_column(hub_folder, make_png):
    features = {"raw": Value("binary"), "label": ClassLabel(names=["a", "b"])}
    folder = hub_folder(features, train={"raw": [make_png(9)] * 2, "label": [0, 1]})
    assert decode(hub(folder, image_column="raw")["train"][1]["image"])[0, 0, 0] == 9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {},
            r"several columns of type ClassLabel \(coarse, fine\): .* data\.label_column=.*: image, coarse, fine",
        ),
        ({"label_column": "fin"}, r"no column 'fin' \(data\.label_column\): did you mean 'fine'"),
        ({"label_column": "score"}, r"'score' cannot be a class, its type is double"),
        ({"label_column": "fine", "image_column": "score"}, "'score' does not hold images"),
        ({"label_column": "fine", "label_names": ("a", "b", "c")}, "3 names, but 'fine' has 2 classes"),
        ({"label_column": "number", "label_names": ("a", "b")}, "holds 5, for which data.label_names has no name"),
        ({"label_column": "fine", "config": "defalt"}, r"no variant 'defalt'; data\.config= names one: .*'default'"),
        ({"label_column": "fine", "revision": "main"}, r"data\.revision is for hub ids"),
    ],
)
def test_what_is_wrong_with_the_columns_is_said(hub_folder, make_png, settings, message):
    classes = ClassLabel(names=["a", "b"])
    features = {
        "image": Image(),
        "coarse": classes,
        "fine": classes,
        "score": Value("float64"),
        "number": Value("int8"),
    }
    rows = {"image": [{"bytes": make_png(), "path": None}], "coarse": [0], "fine": [1], "score": [0.5], "number": [5]}
    with pytest.raises(UserError, match=message):
        hub(hub_folder(features, train=rows), **settings)


def test_no_image_column(hub_folder):
    with pytest.raises(UserError, match=r"none of type Image.*data\.image_column=.*columns: label"):
        hub(hub_folder({"label": ClassLabel(names=["a", "b"])}, train={"label": [0]}))


def test_folders_that_are_missing_empty_or_broken(tmp_path):
    with pytest.raises(UserError, match="There is no folder"):
        hub(tmp_path / "missing")
    with pytest.raises(UserError, match="cannot be loaded"):
        hub(tmp_path)
    (tmp_path / "train-00000-of-00001.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match="cannot be loaded"):
        hub(tmp_path)


def test_one_of_several_variants_must_be_named(hub_folder, make_png):
    rows = {"image": [{"bytes": make_png(), "path": None}] * 2, "label": [0, 1]}
    folder = hub_folder({"image": Image(), "label": ClassLabel(names=["a", "b"])}, train=rows)
    files = "data_files: train-*.parquet"
    (folder / "README.md").write_text(
        f"---\nconfigs:\n- config_name: small\n  {files}\n- config_name: big\n  {files}\n---\n"
    )
    assert len(hub(folder, config="big")["train"]) == 2
    with pytest.raises(UserError, match=r"several variants; data\.config= names one: .*big, small"):
        hub(folder)
    with pytest.raises(UserError, match=r"no variant 'smal'; .*did you mean 'small'"):
        hub(folder, config="smal")


def test_without_a_network_a_local_folder_is_asked_for(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"hub cannot be reached for 'nobody/nothing'.*data\.path= a local folder"):
        hub("nobody/nothing")


def test_cifar10(shared):
    data = load(DataSettings("cifar10", path=str(shared / "cifar10"), test_samples=100))
    assert (len(data.train), len(data.validation), len(data.test)) == (45_000, 5_000, 100)
    assert data.label_names[:2] == ("airplane", "automobile")
    assert decode(data.test[0]["image"]).shape == (32, 32, 3)
