import gzip
import os
import struct
import unicodedata

import numpy as np
import pytest
from PIL import Image

from llmimg.data import DataSettings, decode
from llmimg.data.sources import load_source
from llmimg.data.sources.idx import read_idx
from llmimg.errors import UserError


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    digits = load_digits()
    (split,) = (splits := load_source(DataSettings("digits", source="digits")))
    data = splits[split]
    assert (split, len(data), data.column_names) == ("train", 1797, ["image", "label", "id"])
    images = np.stack([decode(item) for item in data["image"]])
    assert images.shape == (1797, 8, 8, 1) and images.dtype == np.uint8
    assert np.array_equal(images[..., 0], np.round(digits.images * 255 / 16))
    assert list(data["label"]) == list(digits.target)
    assert data.features["label"].names == list("0123456789")
    assert data["id"][:3] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "digits", "path": "x"}, r"data\.path means nothing to data\.source=digits"),
        ({"source": "folder", "path": "x", "label_column": "y"}, r"data\.label_column means nothing"),
        ({"source": "hub"}, r"data\.source=hub needs data\.path="),
        ({"source": "folder", "path": "/nowhere"}, "There is no folder '/nowhere'"),
        ({"source": "idx", "path": "/nowhere"}, "There is no folder '/nowhere'"),
    ],
)
def test_settings_that_a_source_cannot_use_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        load_source(DataSettings("x", **settings))


# --- folders of classes


def fill(root, make_png, *paths):
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(make_png(number))


def folder(root, **more):
    return load_source(DataSettings("folder", source="folder", path=str(root), **more))


def test_class_folders(tmp_path, make_png):
    fill(tmp_path, make_png, "dog/b.PNG", "cat/1.png", "dog/a.png")
    fill(tmp_path, make_png, "dog/.hidden.png", "dog/notes.txt", ".git/x/y.png", "__MACOSX/z.png", "top.png")
    data = folder(tmp_path)["train"]
    assert data["id"][:] == ["cat/1.png", "dog/a.png", "dog/b.PNG"]
    assert data["label"][:] == [0, 1, 1] and data.features["label"].names == ["cat", "dog"]
    assert data[0]["image"] == {"bytes": None, "path": str(tmp_path / "cat/1.png")}
    assert [decode(item)[0, 0, 0] for item in data["image"]] == [1, 2, 0]


def test_split_folders(tmp_path, make_png):
    fill(tmp_path, make_png, "train/a/1.png", "train/b/1.png", "val/b/2.png", "test/a/3.png")
    (tmp_path / "test/c").mkdir()
    splits = folder(tmp_path)
    assert {name: data["id"][:] for name, data in splits.items()} == {
        "test": ["test/a/3.png"],
        "train": ["train/a/1.png", "train/b/1.png"],
        "val": ["val/b/2.png"],
    }
    assert splits["val"]["label"][:] == [1]


def test_a_class_may_be_called_train(tmp_path, make_png):
    fill(tmp_path, make_png, "train/1.png", "bus/1.png")
    assert folder(tmp_path)["train"].features["label"].names == ["bus", "train"]


def test_what_pillow_reads_is_read_and_the_rest_is_counted(tmp_path):
    image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    endings = {
        "jfif": "JPEG",
        "avif": "AVIF",
        "ppm": "PPM",
        "jp2": "JPEG2000",
        "tga": "TGA",
        "pcx": "PCX",
        "ico": "ICO",
    }
    for name in ("a", "b"):
        (tmp_path / name / "more").mkdir(parents=True)
        for ending, kind in endings.items():
            image.resize((16, 16)).save(tmp_path / name / f"1.{ending}", kind)
    for name in (
        "a/x.eps",
        "a/more/1.png",
        "b/notes.txt",
        "b/2.txt",
        "top.png",
        "a/Thumbs.db",
        "a/.hidden.png",
        "b/raw",
    ):
        (tmp_path / name).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0")
    (tmp_path / "b/nowhere.png").symlink_to("missing.png")
    notes = []
    data = load_source(DataSettings("set", source="folder", path=str(tmp_path)), notes)["train"]
    assert len(data) == 2 * len(endings)
    assert all(decode(item).shape == (16, 16, 3) for item in data["image"])
    assert notes == [
        f"7 of 21 files below '{tmp_path}' were not read: 3 .png, 2 .txt, 1 without an ending, 1 .eps (such as "
        "'a/more/1.png')."
    ]


def test_no_file_starts_another_program(tmp_path):
    (tmp_path / "page.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(UserError, match="cannot identify image file"):
        decode(tmp_path / "page.png")


def test_folders_of_splits_that_are_not_used_are_counted(tmp_path, make_png):
    fill(tmp_path, make_png, "train/a/1.png", "train/b/1.png", "test/a/1.png", "pool/c/1.png", "pool/c/2.png")
    notes = []
    splits = load_source(DataSettings("set", source="folder", path=str(tmp_path)), notes)
    assert sorted(splits) == ["test", "train"]
    assert notes == [f"2 of 5 files below '{tmp_path}' were not read: 2 .png (such as 'pool/c/1.png')."]


@pytest.mark.parametrize("name", ["set[1]", "a*b", "what?", "~", "{x}", "été", "a::b", "50 %"])
def test_a_path_is_no_pattern(tmp_path, make_png, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for neighbour in ("set1", "axb", "whats"):
        fill(tmp_path / neighbour, make_png, "x/1.png", "y/1.png", "z/1.png")
    fill(tmp_path / name, make_png, "a/1.png", "b/1.png")
    for path in (name, str(tmp_path / name)):
        assert folder(path)["train"].features["label"].names == ["a", "b"]


def test_a_home_folder_is_found(tmp_path, make_png, monkeypatch):
    fill(tmp_path / "images", make_png, "a/1.png", "b/1.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder("~/images")["train"]["id"][:] == ["a/1.png", "b/1.png"]


def test_a_class_written_in_two_unicode_forms_is_one(tmp_path, make_png):
    one, other = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    fill(tmp_path, make_png, f"train/{other}/1.png", "train/thé/1.png", f"test/{one}/1.png")
    splits = folder(tmp_path)
    assert splits["train"].features["label"].names == [one, "thé"]
    assert splits["train"]["label"][:] == [0, 1] and splits["test"]["label"][:] == [0]


def test_a_stray_class_comes_with_its_nearest(tmp_path, make_png):
    fill(tmp_path, make_png, "train/One/1.png", "train/two/1.png", "test/one /1.png", "test/one /2.png")
    with pytest.raises(UserError, match=r"The class 'one ' in '.*test' .* and 2 images. The nearest is 'One'"):
        folder(tmp_path)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "two or more folders.*has none"),
        (["cat/1.png"], "two or more folders.*only 'cat'"),
        (["cat/1.png", "dog/readme.md"], "'.*dog' holds no image itself"),
        (["train/a/1.png", "train/b/1.png", "test/c/1.png"], "class 'c' in '.*test' has no folder"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(tmp_path, make_png, paths, message):
    fill(tmp_path, make_png, *paths)
    with pytest.raises(UserError, match=message):
        folder(tmp_path)


def test_the_fingerprint_is_of_what_files_hold(tmp_path, make_png):
    """Size and time of change are equal in all of them, and in the last the files are swapped between classes."""
    fill(tmp_path, make_png, "a/1.png", "b/1.png")
    for name in "ab":
        os.utime(tmp_path / name / "1.png", ns=(1, 1))
    before = folder(tmp_path)["train"]._fingerprint
    assert folder(tmp_path)["train"]._fingerprint == before
    os.utime(tmp_path / "a/1.png", ns=(2, 2))
    assert folder(tmp_path)["train"]._fingerprint == before
    os.utime(tmp_path / "a/1.png", ns=(1, 1))
    for old, new in (("a", "c"), ("b", "a"), ("c", "b")):
        (tmp_path / old).rename(tmp_path / new)
    assert folder(tmp_path)["train"]._fingerprint != before


# --- IDX files

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2], np.uint8)


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(root, prefix="train", packed=False, images=IMAGES, labels=LABELS):
    for name, array in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
        data = idx(array)
        (root / (name + ".gz" * packed)).write_bytes(gzip.compress(data) if packed else data)


def load_idx(root, **more):
    return load_source(DataSettings("idx", source="idx", path=str(root), **more))


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files(tmp_path, packed):
    write_idx(tmp_path, packed=packed)
    write_idx(tmp_path, "t10k", packed=packed, images=IMAGES[:3], labels=LABELS[:3])
    splits = load_idx(tmp_path, label_names=("shirt", "shoe", "bag"))
    assert list(splits) == ["train", "test"] and len(splits["test"]) == 3
    assert np.array_equal(np.stack([decode(item) for item in splits["train"]["image"]])[..., 0], IMAGES)
    assert splits["train"]["label"][:] == LABELS.tolist()
    assert splits["train"].features["label"].names == ["shirt", "shoe", "bag"]


def test_idx_without_a_test_split_or_names(tmp_path):
    write_idx(tmp_path)
    splits = load_idx(tmp_path)
    assert list(splits) == ["train"] and splits["train"].features["label"].names == ["0", "1", "2"]


def test_other_files_beside_idx_are_counted(tmp_path):
    write_idx(tmp_path)
    (tmp_path / "extra.npy").write_bytes(b"")
    notes = []
    load_source(DataSettings("idx", source="idx", path=str(tmp_path)), notes)
    assert notes == [f"1 of 3 files below '{tmp_path}' were not read: 1 .npy (such as 'extra.npy')."]


def test_idx_content_alone_makes_the_fingerprint(tmp_path):
    for name, packed in (("a", True), ("b", False)):
        (tmp_path / name).mkdir()
        write_idx(tmp_path / name, packed=packed)
    assert load_idx(tmp_path / "a")["train"]._fingerprint == load_idx(tmp_path / "b")["train"]._fingerprint


def test_too_few_label_names(tmp_path):
    write_idx(tmp_path)
    with pytest.raises(UserError, match="2 names, but the train labels go up to 2"):
        load_idx(tmp_path, label_names=("a", "b"))


def test_idx_files_that_are_missing_or_do_not_match(tmp_path):
    with pytest.raises(UserError, match="no file train-images-idx3-ubyte"):
        load_idx(tmp_path)
    write_idx(tmp_path, labels=LABELS[:4])
    with pytest.raises(UserError, match=r"6 images of 5x4 and .* 4 labels"):
        load_idx(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match="no file train-labels-idx1-ubyte"):
        load_idx(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x", idx(LABELS), "not IDX of unsigned bytes with 3 axes: it begins with 00 00 08 01, not 00 00 08 03"),
        ("x", b"", "not IDX"),
        ("x", idx(IMAGES)[:10], "not IDX"),
        ("x", idx(IMAGES)[:-1], "holds 119 bytes of values where its header .* says 120"),
        ("x", idx(IMAGES) + b"!", "holds 121 bytes"),
        ("x.gz", gzip.compress(idx(IMAGES))[:-9], "cannot be read"),
        ("x.gz", idx(IMAGES), "cannot be read"),
    ],
)
def test_broken_idx_files(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=message):
        read_idx(tmp_path / name, 3)
