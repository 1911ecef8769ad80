"""Boxes and masks in files beside a folder of images: COCO's JSON, YOLO's text, Pascal VOC's XML, PNG."""

import io
import json

import numpy as np
import pytest
from PIL import Image as Pillow

from llmimg.data import DataSettings, SceneSettings, decode, load
from llmimg.data.identity import pixel_hash
from llmimg.errors import UserError

BOX = [2, 3, 10, 8]  # x, y, width, height in images of 30 times 20


def write(file, pixels=None):
    file.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    Pillow.fromarray(np.full((20, 30, 3), 99, np.uint8) if pixels is None else pixels).save(stream, "png")
    file.write_bytes(stream.getvalue())


def text(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))


def read(source, root, needs=("objects",), **more):
    shares = {"val_fraction": 0.34, "test_fraction": 0.34}
    return load(DataSettings(source, source=source, path=str(root), **{**shares, **more}), needs=needs)


def found(split):
    return {row["id"]: (row["objects"]["bbox"], row["objects"]["category"]) for row in split}


def coco(images, categories, annotations=None, **more):
    if annotations is None:
        number = categories[0][0]
        annotations = [{"id": 1, "image_id": images[0][0], "bbox": BOX, "category_id": number, "iscrowd": 0}]
    return {
        "images": [{"id": number, "file_name": name, "width": 30, "height": 20, **more} for number, name in images],
        "categories": [{"id": number, "name": name} for number, name in categories],
        "annotations": annotations,
    }


@pytest.fixture
def coco_folder(tmp_path):
    """The layout of COCO's own downloads, its numbers with gaps, in another order in another split."""
    kinds = [(1, "person"), (90, "toothbrush"), (13, "stop sign")]
    of = "annotations/instances_{}2017.json"
    objects = [
        {"id": 7, "image_id": 42, "bbox": BOX, "category_id": 90, "iscrowd": 1},
        {"id": 8, "image_id": 42, "bbox": [0, 0, 30.4, 20], "category_id": 1, "iscrowd": 0},
    ]
    text(tmp_path / of.format("train"), coco([(42, "a.png"), (3, "b.png")], kinds, objects))
    text(tmp_path / of.format("val"), coco([(5, "a.png")], [(2, "toothbrush"), (1, "stop sign")]))
    text(tmp_path / of.format("test"), coco([(9, "c.png")], [(1, "person")]))
    text(tmp_path / "annotations/captions_train2017.json", {"not": "read"})
    for file in ("train2017/a.png", "train2017/b.png", "val2017/a.png", "test2017/c.png"):
        write(tmp_path / file)
    return tmp_path


def test_coco(coco_folder):
    data = read("coco", coco_folder)
    kinds = data.classes["objects"]
    assert kinds.names == ("person", "stop sign", "toothbrush") and kinds.numbers == (1, 13, 90)
    assert found(data.train) == {"train2017/a.png": ([BOX, [0, 0, 30, 20]], [2, 0]), "train2017/b.png": ([], [])}
    assert data.train[0]["objects"]["iscrowd"] == [True, False] and data.train["image_id"][:] == [42, 3]
    assert found(data.validation) == {"val2017/a.png": ([BOX], [2])} and data.test["image_id"][:] == [9]
    assert len(data.notes) == 1 and "less than a pixel" in data.notes[0]
    assert decode(data.train[0]["image"]).shape == (20, 30, 3)


def test_coco_beside_the_images(tmp_path):
    for split in ("train", "valid", "test"):
        text(tmp_path / split / "_annotations.coco.json", coco([(0, "a.png")], [(0, "cell")]))
        write(tmp_path / split / "a.png")
    data = read("coco", tmp_path)
    assert found(data.validation) == {"valid/a.png": ([BOX], [0])} and data.notes == ()


def broken_coco(**wrong):
    return {**coco([(1, "a.png")], [(1, "x")]), **wrong}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{", r"is no JSON"),
        ({"images": []}, r"has no annotations and no categories"),
        (coco([(1, "gone.png")], [(1, "x")]), r"1 of 1 images of '.*' are not there \(such as 'gone\.png'\)"),
        (broken_coco(annotations=[{"image_id": 8, "bbox": BOX, "category_id": 1}]), r"Annotation 0 .* is of image 8"),
        (broken_coco(annotations=[{"image_id": 1, "category_id": 1}]), r"Annotation 0 of '.*' has no bbox"),
        (broken_coco(annotations=[{"image_id": 1, "bbox": BOX, "category_id": 4}]), r"'a\.png' has the category 4"),
        (broken_coco(annotations=[{"bbox": BOX, "category_id": 4}]), r"not as COCO has it: KeyError\('image_id'\)"),
        (coco([(1, "a.png")], [(1, "x")], width=64, height=48), r"of a picture 64 wide and 48 high"),
        (
            broken_coco(annotations=[{"image_id": 1, "bbox": [0, 0, 99, 9], "category_id": 1}]),
            r"'a\.png', box 0: it goes 69",
        ),
    ],
)
def test_coco_files_that_cannot_be_right(tmp_path, said, message):
    text(tmp_path / "instances.json", said)
    write(tmp_path / "a.png")
    with pytest.raises(UserError, match=message):
        read("coco", tmp_path)


@pytest.mark.parametrize("layout", ["{kind}/{split}/{name}", "{split}/{kind}/{name}"])
def test_yolo(tmp_path, layout):
    def at(kind, split, name):
        return tmp_path / layout.format(kind=kind, split=split, name=name)

    text(tmp_path / "data.yaml", "names: {0: cat, 1: dog, 2: bird}\ntrain: images\n")
    line = f"{7 / 30} {7 / 20} {10 / 30} {8 / 20}"
    for split, content in (("train", f"1 {line}\n\n0 {line}\n"), ("val", ""), ("test", f"2 {line}")):
        write(at("images", split, "a.png"))
        text(at("labels", split, "a.txt"), content)
    write(at("images", "train", "b.png"))
    text(at("labels", "train", "z.txt"), f"1 {line}")
    data = read("yolo", tmp_path)
    assert data.classes["objects"].names == ("cat", "dog", "bird")
    (boxes, kinds), nothing = found(data.train).values()
    assert np.allclose(boxes, [BOX, BOX], atol=1e-4) and kinds == [1, 0] and nothing == ([], [])
    assert list(found(data.validation).values()) == [([], [])]
    said = " ".join(data.notes)
    assert "1 of 4 images have no text file" in said and "b.png" in said
    assert "1 of 4 text files have no image" in said and "z.txt" in said


def test_yolo_polygons_and_names_of_other_folders(tmp_path):
    for name in "abcd":
        write(tmp_path / f"{name}.png")
        text(tmp_path / f"{name}.txt", "1 0.1 0.2 0.5 0.2 0.3 0.8")
    assert read("yolo", tmp_path).classes["objects"].names == ("1",)
    named = read("yolo", tmp_path, label_names=("x", "y"))
    assert named.classes["objects"].names == ("x", "y")
    assert np.allclose(named.train[0]["objects"]["bbox"], [[3, 4, 12, 12]])
    text(tmp_path / "classes.txt", "car\nbus\n")
    assert read("yolo", tmp_path).classes["objects"].names == ("car", "bus")
    text(tmp_path / "a.txt", "5 0.5 0.5 0.1 0.1")
    with pytest.raises(
        UserError, match=r"'a\.png' has the category 5, which is no known class \(known: 0 car, 1 bus\)"
    ):
        read("yolo", tmp_path)


@pytest.mark.parametrize("line", ["cat 0.5 0.5 0.1 0.1", "0 0.5 0.5", "0 0.1 0.2 0.3 0.4 0.5", "0 0.5 x 0.1 0.1"])
def test_a_line_that_is_none_is_named(tmp_path, line):
    for name in "abc":
        write(tmp_path / "images" / f"{name}.png")
        text(tmp_path / "labels" / f"{name}.txt", f"\n{line}\n")
    with pytest.raises(UserError, match=r"Line 2 of '.*labels/a\.txt' is '" + line):
        read("yolo", tmp_path)


def voc(*things, size=(30, 20)):
    corners = ("xmin", "ymin", "xmax", "ymax")
    inside = "".join(
        f"<object><name>{name}</name><bndbox>"
        + "".join(f"<{corner}>{value}</{corner}>" for corner, value in zip(corners, box, strict=False))
        + "</bndbox></object>"
        for name, *box in things
    )
    return f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{inside}</annotation>"


def test_voc(tmp_path):
    for name in ("one", "two", "three", "four"):
        write(tmp_path / "JPEGImages" / f"{name}.png")
    text(tmp_path / "Annotations/one.xml", voc(("dog", 3, 4, 12, 11), ("cat", 1, 1, 30, 20)))
    text(tmp_path / "Annotations/two.xml", voc())
    text(tmp_path / "Annotations/three.xml", voc(("cat", 3, 4, 12, 11)))
    for split, stems in (("train", "one\ntwo\n"), ("val", "three\n"), ("test", "three\nfour\n"), ("trainval", "x")):
        text(tmp_path / f"ImageSets/Main/{split}.txt", stems)
    data = read("voc", tmp_path)
    assert data.classes["objects"].names == ("cat", "dog")
    assert list(found(data.train).values()) == [([BOX, [0, 0, 30, 20]], [1, 0]), ([], [])]
    assert list(found(data.test)) == ["JPEGImages/three.png"]
    said = " ".join(data.notes)
    assert "1 of 4 images have no XML file (such as 'JPEGImages/four.png')" in said
    assert "1 of 2 images of the test split have no objects (such as 'JPEGImages/four.png'): dropped." in said


def test_voc_that_counts_from_0_beside_the_images(tmp_path):
    for split, box in (("train", (0, 0, 30, 20)), ("valid", (2, 3, 12, 11)), ("test", (2, 3, 12, 11))):
        write(tmp_path / split / "a.png")
        text(tmp_path / split / "a.xml", voc(("x", *box)))
    data = read("voc", tmp_path)
    assert found(data.train) == {"train/a.png": ([[0, 0, 30, 20]], [0])} and found(data.test) == {
        "test/a.png": ([BOX], [0])
    }
    assert "count from 0" in data.notes[0]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("<annotation>", r"a\.xml' is no XML"),
        (voc(("x", 1, 2, 3)), r"Object 0 of '.*a\.xml' has no box of four numbers"),
        (voc(("x", 1, 1, 5, 5), ("", 1, 2, 3, 4)), r"An object of 'a\.png' has no category"),
        (voc(("x", 1, 2, 3, 4), size=(64, 48)), r"of a picture 64 wide and 48 high"),
        (voc(("x", 5, 5, 3, 3)), r"'a\.png', box 0: it has no area"),
    ],
)
def test_xml_files_that_cannot_be_right(tmp_path, said, message):
    for name in "abc":
        write(tmp_path / f"{name}.png")
        text(tmp_path / f"{name}.xml", said)
    with pytest.raises(UserError, match=message):
        read("voc", tmp_path)


MASK = np.arange(600, dtype=np.uint8).reshape(20, 30) % 3


@pytest.mark.parametrize("layout", ["{kind}/{split}/{name}", "{split}/{kind}/{name}"])
def test_masks(tmp_path, layout):
    def at(kind, split, name):
        return tmp_path / layout.format(kind=kind, split=split, name=name)

    for split, names in (("train", "abc"), ("val", "a"), ("test", "a")):
        for name in names:
            write(at("images", split, f"{name}.png"))
            if name != "c":
                write(at("masks", split, f"{name}.png"), MASK)
    write(at("masks", "train", "z.png"), MASK)
    data = read("masks", tmp_path, needs=("mask",))
    assert data.classes["mask"].names == ("0", "1", "2") and len(data.train) == 2
    assert np.array_equal(decode(data.train[1]["mask"])[..., 0], MASK)
    said = " ".join(data.notes)
    assert "1 of 5 images have no mask" in said and "c.png" in said
    assert "1 of 5 masks have no image" in said and "z.png" in said
    assert "1 of 3 images of the train split have no mask" in said


def test_a_mask_file_of_another_size_is_named(tmp_path):
    for name in "abc":
        write(tmp_path / "JPEGImages" / f"{name}.png")
        write(tmp_path / "SegmentationClass" / f"{name}.png", MASK[: 20 - (name == "b")])
    with pytest.raises(UserError, match=r"mask of 'JPEGImages/b\.png' is 30 wide and 19 high"):
        read("masks", tmp_path, needs=("mask",))


def test_what_is_not_there_is_said(tmp_path):
    for source in ("coco", "yolo", "voc", "masks"):
        with pytest.raises(UserError, match=r"There (is|are) no"):
            read(source, tmp_path)
        with pytest.raises(UserError, match=r"There is no folder"):
            read(source, tmp_path / "nowhere")


def test_images_with_boxes_can_be_read_without_them(coco_folder):
    assert len(read("coco", coco_folder, needs=()).train) == 2
    with pytest.raises(UserError, match=r"Labels are missing from the train split"):
        read("coco", coco_folder, needs=("label",))
    with pytest.raises(UserError, match=r"needs the column 'mask', which data\.source=coco does not have"):
        read("coco", coco_folder, needs=("mask",))
    with pytest.raises(UserError, match=r"data\.boxes means nothing to data\.source=coco"):
        read("coco", coco_folder, boxes="xyxy")


def test_scenes_say_what_their_numbers_are():
    made = SceneSettings(train=4, validation=2, test=2)
    data = load(DataSettings("scenes", source="scenes", scenes=made), needs=("objects", "mask", "caption"))
    kinds = data.train.features["objects"]["category"].feature.names
    assert data.classes["objects"].names == tuple(kinds) and data.classes["mask"].names == ("ground", *kinds)


def test_the_same_objects_are_read_from_every_format(tmp_path, hub_folder):
    made = SceneSettings(train=6, validation=2, test=2, most=3)
    scenes = load(DataSettings("scenes", source="scenes", scenes=made), needs=())
    names = scenes.classes["objects"].names
    splits = {"train": scenes.train, "val": scenes.validation, "test": scenes.test}
    hub = {}
    text(tmp_path / "yolo/data.yaml", {"names": list(names)})
    for split, rows in splits.items():
        said = {"images": [], "annotations": [], "categories": [{"id": 3 * n, "name": k} for n, k in enumerate(names)]}
        hub[split] = {"image": rows["image"][:], "objects": []}
        for row in rows:
            file, objects = f"{split}{row['id']}", row["objects"]
            write(tmp_path / "coco" / split / f"{file}.png", decode(row["image"]).squeeze())
            write(tmp_path / "yolo/images" / split / f"{file}.png", decode(row["image"]).squeeze())
            write(tmp_path / "voc" / split / f"{file}.png", decode(row["image"]).squeeze())
            said["images"].append({"id": len(said["images"]), "file_name": f"{file}.png", "width": 32, "height": 32})
            corners, lines = [], []
            for (x, y, width, height), kind in zip(objects["bbox"], objects["category"], strict=True):
                about = {"image_id": said["images"][-1]["id"], "bbox": [x, y, width, height], "category_id": 3 * kind}
                said["annotations"].append(about)
                corners.append((names[kind], x + 1, y + 1, x + width, y + height))
                shares = np.array([x + width / 2, y + height / 2, width, height]) / 32
                lines.append(" ".join(map(str, [kind, *shares])))
            text(tmp_path / "yolo/labels" / split / f"{file}.txt", "\n".join(lines))
            text(tmp_path / "voc" / split / f"{file}.xml", voc(*corners, size=(32, 32)))
            hub[split]["objects"].append({"bbox": objects["bbox"], "category": [names[k] for k in objects["category"]]})
        text(tmp_path / f"coco/{split}.json", said)
    folders = {"coco": tmp_path / "coco", "yolo": tmp_path / "yolo", "voc": tmp_path / "voc", "hub": hub_folder(**hub)}
    for source, folder in folders.items():
        data = read(source, folder, image_column="image" if source == "hub" else None)
        known = data.classes["objects"].names
        for part in ("train", "validation", "test"):
            ours, theirs = (
                {
                    (pixel_hash(decode(row["image"])), *map(float, box), classes[kind])
                    for row in rows
                    for box, kind in zip(row["objects"]["bbox"], row["objects"]["category"], strict=True)
                }
                for rows, classes in ((getattr(data, part), known), (getattr(scenes, part), names))
            )
            assert ours == theirs, source
