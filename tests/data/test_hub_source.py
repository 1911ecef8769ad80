import json
import os
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from datasets import Array2D, ClassLabel, Image, Value
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as Pillow

from llmimg.data import DataSettings, Decoding, decode, load, wide_samples
from llmimg.data.depth import white_for
from llmimg.data.extremes import training_white
from llmimg.data.pixel_columns import encoded, holds_numbers
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


@pytest.mark.parametrize(
    ("given", "numbers"), [(("b", "a"), [1, 0, 0]), (("a", "b"), [0, 1, 1]), (("x", "y"), [0, 1, 1])]
)
def test_names_that_classes_have_already_give_their_order(hub_folder, make_png, given, numbers):
    rows = {"image": [{"bytes": make_png(), "path": None}] * 3, "label": [0, 1, 1]}
    folder = hub_folder({"image": Image(), "label": ClassLabel(names=["a", "b"])}, train=rows)
    data = hub(folder, label_names=given)["train"]
    assert data["label"][:] == numbers and data.features["label"].names == list(given)


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


# --- local folders of files


def gray(folder, name, value=0):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(np.full((4, 4), value, np.uint8)).save(folder / name)


@pytest.mark.parametrize("name", ["set[1]", "a*b", "what?", "a::b", "été", "set.py", "~", "50 %"])
def test_a_path_is_no_pattern(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for neighbour in ("set1", "axb", "whats", name):
        for each in ("x", "y", *"z" * (neighbour != name)):
            gray(tmp_path / neighbour, f"train/{each}/[1].png", 7)
    data = hub(name)["train"]
    assert data.features["label"].names == ["x", "y"] and len(data) == 2
    assert data[0]["image"]["path"] == str(tmp_path / name / "train/x/[1].png")
    assert decode(data[0]["image"])[0, 0, 0] == 7


def notes_of(path, **more):
    notes = []
    return load_source(DataSettings("hub", path=str(path), **more), notes), notes


def test_a_files_name_is_not_a_splits(tmp_path):
    for number in range(4):
        gray(tmp_path, f"cat/{'train station ' * (number == 0)}{number}.png")
        gray(tmp_path, f"dog/{number}.png")
    splits, notes = notes_of(tmp_path)
    assert {split: len(data) for split, data in splits.items()} == {"train": 8}
    assert len(notes) == 1 and "left out 7 of 8 images: all were read" in notes[0]


def test_a_class_folders_name_that_would_be_taken_for_a_splits_is_refused(tmp_path):
    for name in ("train station/1.png", "bus stop/1.png", "airport/1.png"):
        gray(tmp_path, name)
    with pytest.raises(UserError, match=r"the folder 'train station' .*would leave out 2 of 3 images.*data=folder"):
        hub(tmp_path)


def test_what_is_left_out_is_counted(tmp_path):
    for name in ("train/a/1.png", "train/b/1.png", "test/a/1.png", "pool/a/1.png"):
        gray(tmp_path, name)
    (tmp_path / "train/a/2.xcf").write_bytes(b"")
    (tmp_path / "README.md").write_text("About it.")
    splits, notes = notes_of(tmp_path)
    assert {split: len(data) for split, data in splits.items()} == {"train": 2, "test": 1}
    assert notes == [f"2 of 5 files below '{tmp_path}' were not read: 1 .png, 1 .xcf (such as 'pool/a/1.png')."]


def table(folder, lines, name="metadata.csv"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(["file_name,label", *lines]) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("written", "names"),
    [
        (["01", "1", "10", "010"], ["01", "010", "1", "10"]),
        (["NA", "None", "null", "nan"], ["NA", "None", "nan", "null"]),
        (["1.1", "1.10", "2.0"], ["1.1", "1.10", "2.0"]),
        (["10", "9", "2"], ["2", "9", "10"]),
        (["1e3", "1000", "TRUE", "2024-01-01"], ["1000", "1e3", "2024-01-01", "TRUE"]),
        (["-1", "0", "1"], ["0", "1"]),
        (["cat", "", "dog"], ["cat", "dog"]),
        (["thé", "the\u0301", "cafe\u0301", "café"], ["café", "thé"]),
    ],
)
def test_labels_are_text_as_written(tmp_path, written, names):
    check_labels(tmp_path, written, names, "csv")


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_labels_of_other_tables_are_text_as_written(tmp_path, kind):
    written = ["01", "1", "NA", "null", "1.10", "2.0", ""]
    check_labels(tmp_path, written, ["01", "1", "1.10", "2.0", "NA", "null"], kind)


def check_labels(tmp_path, written, names, kind):
    for number in range(len(written)):
        gray(tmp_path, f"{number}.png")
    if kind == "csv":
        table(tmp_path, [f"{number}.png,{label}" for number, label in enumerate(written)])
    elif kind == "jsonl":
        lines = [json.dumps({"file_name": f"{number}.png", "label": label}) for number, label in enumerate(written)]
        (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    else:
        columns = {"file_name": [f"{number}.png" for number in range(len(written))], "label": written}
        pyarrow.parquet.write_table(pa.table(columns), tmp_path / "metadata.parquet")
    splits, notes = notes_of(tmp_path, label_column="label")
    assert splits["train"].features["label"].names == names
    same = [unicodedata.normalize("NFC", label) for label in written]
    expected = [names.index(label) if label in names else -1 for label in same]
    assert splits["train"]["label"][:] == expected
    if -1 in expected:
        assert notes == [f"In the column 'label' these stand for no label: '{written[expected.index(-1)]}' (1 images)."]


def test_images_without_a_line_in_the_metadata_are_counted(tmp_path):
    for number in range(4):
        gray(tmp_path, f"{number}.png")
    table(tmp_path, ["0.png,a", "2.png,b"])
    splits, notes = notes_of(tmp_path, label_column="label")
    assert len(splits["train"]) == 2
    assert notes == ["2 of 4 images have no line in the metadata and were left out."]


def test_what_was_mended_under_the_same_times_comes_back_mended(tmp_path):
    """Neither what `datasets` keeps nor the fingerprint holds on to a table of before."""
    for number in range(4):
        gray(tmp_path / "set", f"{number}.png", number)
    table(tmp_path / "set", ["0.png,a", "1.png,a", "2.png,b", "3.png,b"])
    os.utime(tmp_path / "set/metadata.csv", ns=(10**18, 10**18))
    before = hub(tmp_path / "set", label_column="label")["train"]
    table(tmp_path / "set", ["0.png,a", "1.png,b", "2.png,a", "3.png,b"])
    os.utime(tmp_path / "set/metadata.csv", ns=(10**18, 10**18))
    after = hub(tmp_path / "set", label_column="label")["train"]
    assert before["label"][:] == [0, 0, 1, 1] and after["label"][:] == [0, 1, 0, 1]
    assert before._fingerprint != after._fingerprint
    (tmp_path / "set").rename(tmp_path / "moved")
    moved = hub(tmp_path / "moved", label_column="label")["train"]
    assert moved._fingerprint == after._fingerprint  # the same rows, wherever they lie
    assert moved[0]["image"]["path"] == str(tmp_path / "moved/0.png")


def test_images_swapped_under_the_same_sizes_and_times_change_the_fingerprint(tmp_path):
    for name in ("train/a/1.png", "train/b/1.png"):
        gray(tmp_path / "set", name, len(name))
        gray(tmp_path / "set", "train/b/1.png", 9)
    for file in (tmp_path / "set").rglob("*.png"):
        os.utime(file, ns=(10**18, 10**18))
    before = hub(tmp_path / "set")["train"]._fingerprint
    for old, new in (("a", "c"), ("b", "a"), ("c", "b")):
        (tmp_path / "set/train" / old).rename(tmp_path / "set/train" / new)
    assert hub(tmp_path / "set")["train"]._fingerprint != before


@pytest.mark.parametrize("image", ["files/1.png", {"bytes": None, "path": "files/1.png"}])
def test_a_path_in_a_table_is_one_below_its_folder(tmp_path, monkeypatch, image):
    """Not one below the folder that we happen to be started in."""
    gray(tmp_path / "set", "files/1.png", 5)
    gray(tmp_path / "elsewhere", "files/1.png", 9)
    kept = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    images = pa.array([image] * 2, pa.string() if isinstance(image, str) else kept)
    table = pa.table({"image": images, "label": ["a", "b"]})
    for number in range(2):  # so that tables are most of what lies there
        pyarrow.parquet.write_table(table, tmp_path / f"set/train-0000{number}-of-00002.parquet")
    monkeypatch.chdir(tmp_path / "elsewhere")
    data = hub(tmp_path / "set", image_column="image", label_column="label")["train"]
    assert decode(data[0]["image"])[0, 0, 0] == 5


# --- columns of numbers


def numbers(folder, images, kind, labels=None):
    folder.mkdir(exist_ok=True)
    labels = labels or ["a", "b"] * (len(images) // 2)
    pyarrow.parquet.write_table(
        pa.table({"pixels": pa.array(images, kind), "label": labels}), folder / "train-00000-of-00001.parquet"
    )
    return {"image_column": "pixels", "label_column": "label"}


def nested(leaf, depth=2):
    return nested(pa.list_(leaf), depth - 1) if depth else leaf


RANGES = {"uint8": 8, "int16": 15, "uint16": 16, "int32": 16, "uint32": 16, "int64": 16, "uint64": 16}


@given(st.sampled_from(sorted(RANGES)), st.data())
def test_numbers_give_the_pixels_that_they_are(dtype, draw):
    """The same rule as for files: 8 bits as they are, and of more the upper eight of those that count."""
    bits = draw.draw(st.integers(6, RANGES[dtype]))
    channels = draw.draw(st.sampled_from([None, 1, 3]))
    shape = (3, 2) if channels is None else (3, 2, channels)
    image = draw.draw(arrays(dtype, shape, elements=st.integers(0, 2**bits - 1)))
    image.flat[0] = 2**bits - 1
    kind = nested(pa.from_numpy_dtype(image.dtype), image.ndim)
    assert holds_numbers(kind)
    file = encoded(pa.scalar(image.tolist(), kind))
    samples = wide_samples(file)
    assert (samples is None) == (dtype == "uint8")
    white = None if samples is None else white_for(int(samples.max()))
    depth = 8 if white is None else next(each for each in (8, 10, 12, 14, 16) if bits <= each)
    expected = (image.reshape(3, 2, channels or 1).astype(np.int64) >> (depth - 8)).astype(np.uint8)
    assert np.array_equal(decode(file, white=white), expected)


def test_lists_of_lists_of_wide_numbers(tmp_path):
    images = [[[0, 4095]], [[2048, 16]]]
    data = hub(tmp_path, **numbers(tmp_path, images, nested(pa.int64())))["train"]
    notes = []
    found, _ = Decoding(white=training_white(data, notes))(data["image"])
    assert [image[..., 0].tolist() for image in found] == [[[0, 255]], [[128, 1]]]
    assert "up to 4,095: 4,095 counts as white (12 bits)" in notes[0]


def test_arrays_of_a_stated_shape(hub_folder):
    pixels = np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5)
    features = {"pixels": Array2D((4, 5), "uint8"), "label": Value("string")}
    folder = hub_folder(features, train={"pixels": pixels.tolist(), "label": ["a", "b"]})
    data = hub(folder, image_column="pixels", label_column="label")["train"]
    assert np.array_equal(np.stack([decode(item) for item in data["image"]])[..., 0], pixels)


def test_the_bytes_of_files_as_lists_are_files(tmp_path, make_png):
    named = numbers(tmp_path, [list(make_png(5)), list(make_png(6))], pa.list_(pa.int64()))
    assert [decode(item)[0, 0, 0] for item in hub(tmp_path, **named)["train"]["image"]] == [5, 6]


@pytest.mark.parametrize(
    ("image", "kind", "message"),
    [
        (
            [1, 2, 3],
            pa.list_(pa.uint8()),
            "flat list of 3 numbers, which is no image file and says no height",
        ),
        ([[0.5]], nested(pa.float32()), "floating-point numbers of no stated range"),
        ([[1, 2], [3]], nested(pa.uint8()), "its rows are not of one length"),
        ([[1, None]], nested(pa.uint8()), "some of its samples are missing"),
        ([[-1]], nested(pa.int32()), "its samples go from -1 to -1"),
        ([[70_000]], nested(pa.int64()), "from 70,000 to 70,000, beyond 0 to 65,535"),
        ([[[1, 2]] * 4] * 3, nested(pa.uint8(), 3), r"its numbers stand as \[3, 4, 2\]"),
        ([], nested(pa.uint8()), "its numbers stand as"),
    ],
)
def test_numbers_that_are_no_image_are_refused(tmp_path, image, kind, message):
    named = numbers(tmp_path, [image, image], kind)
    with pytest.raises(UserError, match=rf"The image of row 0 \('pixels'\) cannot be read: .*{message}"):
        hub(tmp_path, **named)
    data = hub(tmp_path, **named, broken="skip")["train"]
    assert data[1]["image"] == {"bytes": None, "path": None}


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
