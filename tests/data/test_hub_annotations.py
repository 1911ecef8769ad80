"""Boxes, masks and words of sets in the hub's layout, as they are in the wild."""

import io
import json

import numpy as np
import pytest
from datasets import ClassLabel, Image, List, Value
from PIL import Image as Pillow

from llmimg.data import DataSettings, decode, load
from llmimg.data.annotations.lying import lying
from llmimg.data.identity import pixel_hash, split_identity
from llmimg.errors import UserError


def stored(pixels, mode=None, kind="png", **options):
    """A file of these pixels."""
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Pillow.Image) else Pillow.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(stream, kind, **options)
    return {"bytes": stream.getvalue(), "path": None}


def picture(height=20, width=30, **options):
    return stored(np.full((height, width, 3), 120, np.uint8), **options)


def of(folder, **more):
    return DataSettings("x", path=str(folder), **{"val_fraction": 0.34, "test_fraction": 0.34, **more})


def objects_of(kind=None, **more):
    return {
        "image": Image(),
        "objects": {"bbox": List(List(Value("float32"))), "category": List(kind or Value("int64")), **more},
    }


def boxes_in(data):
    return [row["bbox"] for row in data["objects"]]


@pytest.fixture
def boxed(hub_folder):
    """Loads a set of one split a name, its rows lists of (box, category), all else as is usual."""

    def make(kind=None, image=picture, sizes=None, settings=None, **splits):
        rows = {
            split: {
                "image": [image() for _ in each],
                "objects": [{"bbox": [box for box, _ in row], "category": [kind for _, kind in row]} for row in each],
                **({"width": [sizes[0]] * len(each), "height": [sizes[1]] * len(each)} if sizes else {}),
            }
            for split, each in splits.items()
        }
        stated = {"width": Value("int64"), "height": Value("int64")} if sizes else {}
        return load(of(hub_folder({**objects_of(kind), **stated}, **rows), **(settings or {})), needs=("objects",))

    return make


ONE = ([2.0, 3.0, 10.0, 8.0], 0)
TWO = ([0.0, 0.0, 30.0, 20.0], 7)


def test_images_without_an_object_are_kept(boxed):
    data = boxed(train=[[ONE], [], [TWO, ONE]], validation=[[]], test=[[ONE], []])
    assert boxes_in(data.train) == [[ONE[0]], [], [TWO[0], ONE[0]]]
    assert data.train["objects"][2]["category"] == [1, 0] and boxes_in(data.test) == [[ONE[0]], []]
    assert data.classes["objects"].names == ("0", "7") and data.classes["objects"].numbers == (0, 7)
    assert data.label_names == () and data.notes == ()


@pytest.mark.parametrize("layout", ["xywh", "xyxy", "cxcywh"])
@pytest.mark.parametrize("unit", ["pixels", "shares"])
def test_layouts_and_units(boxed, layout, unit):
    x, y, width, height = ONE[0]
    box = {
        "xywh": [x, y, width, height],
        "xyxy": [x, y, x + width, y + height],
        "cxcywh": [x + width / 2, y + height / 2, width, height],
    }[layout]
    if unit == "shares":
        box = [value / side for value, side in zip(box, (30, 20, 30, 20), strict=True)]
    for told in (None, unit):
        rows = [[(box, 0), (box, 1)]]
        data = boxed(train=rows, validation=rows, test=rows, settings={"boxes": layout, "box_unit": told})
        assert np.allclose(boxes_in(data.train), [[ONE[0]] * 2], atol=1e-5)
        assert len(data.notes) == (told is None and unit == "shares")


def test_what_boxes_are_is_not_guessed_where_some_look_like_shares(boxed):
    rows = [[([0.1, 0.1, 0.5, 0.5], 0), ([0.2, 0.1, 0.5, 0.5], 0), ([2, 2, 10, 5], 0)]]
    with pytest.raises(UserError, match=r"6 of 9 boxes look like shares.*data\.box_unit"):
        boxed(train=rows, test=rows, validation=rows)


def test_less_than_a_pixel_past_the_border_is_clipped_and_said(boxed):
    rows = [[([-0.4, 0, 30.8, 20.9], 0), ONE]]
    data = boxed(train=rows, validation=[[ONE]], test=[[ONE]])
    assert boxes_in(data.train) == [[[0, 0, 30, 20], ONE[0]]]
    assert data.notes == ("1 boxes of the train split went past the border by less than a pixel: clipped.",)


BAD = {
    "beyond": ([25, 0, 10, 10], [25, 0, 5, 10], r"goes 5 pixels past the border"),
    "before": ([-1, 2, 10, 10], [0, 2, 9, 10], r"goes 1 pixels past the border"),
    "outside": ([40, 2, 5, 5], None, r"past the border"),
    "flat": ([2, 2, 0, 5], None, r"has no area"),
    "turned round": ([9, 9, -3, 4], None, r"has no area"),
    "no number": ([2, 2, float("nan"), 5], None, r"are no numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_boxes_that_cannot_be_right(boxed, name):
    bad, clipped, why = BAD[name]
    splits = {"train": [[ONE], [ONE, (bad, 7)], [(bad, 7)]], "validation": [[ONE]], "test": [[ONE, (bad, 7)]]}
    where = r"3 boxes of 3 images .* train \(2\) and test \(1\)\. .* row 1 of the train split, box 1: .*"
    with pytest.raises(UserError, match=where + why):
        boxed(**splits)
    dropped = boxed(**splits, settings={"bad_boxes": "drop"})
    assert boxes_in(dropped.train) == [[ONE[0]], [ONE[0]], []]
    assert [row["category"] for row in dropped.train["objects"]] == [[0], [0], []]
    assert len(dropped.notes) == 2 and "data.bad_boxes=drop" in dropped.notes[0] and "row 1" in dropped.notes[0]
    kept = [] if clipped is None else [clipped]
    assert boxes_in(boxed(**splits, settings={"bad_boxes": "clip"}).train) == [[ONE[0]], [ONE[0], *kept], kept]


def test_categories_are_aligned_by_name(hub_folder):
    def rows(*kinds):
        return {"image": [picture()], "objects": [{"bbox": [ONE[0]] * len(kinds), "category": list(kinds)}]}

    folder = hub_folder(
        objects_of(Value("string")), train=rows("dog", "cat", "dog"), validation=rows("cat"), test=rows("dog")
    )
    data = load(of(folder), needs=("objects",))
    assert data.classes["objects"].names == ("cat", "dog")
    assert [row["category"] for row in data.test["objects"]] == [[1]]
    named = load(of(folder, label_names=("dog", "bird", "cat")), needs=("objects",))
    assert [row["category"] for row in named.train["objects"]] == [[0, 2, 0]]


@pytest.mark.parametrize(
    ("names", "test", "message"),
    [
        (None, 5, r"row 0 of the test split has the category 5, which is no known class \(known: 1, 90\)"),
        (("a", "b"), 0, r"row 0 of the train split has the category 90, which is no known class \(known: 0 a, 1 b\)"),
    ],
)
def test_an_unknown_category_is_refused_with_its_row(boxed, names, test, message):
    rows = {"train": [[(ONE[0], 90), (ONE[0], 1)]], "validation": [[]], "test": [[(ONE[0], test)]]}
    with pytest.raises(UserError, match=message):
        boxed(**rows, settings={"label_names": names})


def test_classes_of_a_set_may_be_unused_and_are_renamed(boxed):
    rows = {split: [[(ONE[0], 2)]] for split in ("train", "validation", "test")}
    kind = ClassLabel(names=["a", "b", "c"])
    data = boxed(kind, **rows)
    assert data.classes["objects"].names == ("a", "b", "c") and data.train[0]["objects"]["category"] == [2]
    assert boxed(kind, **rows, settings={"label_names": ("x", "y", "z")}).classes["objects"].names == ("x", "y", "z")
    with pytest.raises(UserError, match=r"has 2 names, but the source has 3"):
        boxed(kind, **rows, settings={"label_names": ("x", "y")})


def test_iscrowd_is_kept_and_rows_without_a_word_on_objects_are_left_out(hub_folder):
    features = objects_of(iscrowd=List(Value("int64")))
    said = {"bbox": [ONE[0], TWO[0]], "category": [0, 1], "iscrowd": [0, 1]}
    rows = {"image": [picture()] * 3, "objects": [said, None, said]}
    data = load(of(hub_folder(features, train=rows, validation=rows, test=rows)), needs=("objects",))
    assert [row["iscrowd"] for row in data.train["objects"]] == [[False, True]] * 2
    assert data.notes[0] == "1 of 3 images of the train split have no objects (such as '1'): dropped."


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"bbox": [ONE[0], TWO[0]], "category": [0]}, r"There are 2 boxes in row 0 of the train split, 1 categories"),
        ({"bbox": [[1, 2, 3]], "category": [0]}, r"A box of row 0 of the train split is \[1\.0, 2\.0, 3\.0\]"),
        ({"bbox": [ONE[0]], "category": [None]}, r"An object of row 0 of the train split has no category"),
    ],
)
def test_what_is_said_of_an_object_must_be_whole(hub_folder, said, message):
    rows = {"image": [picture()], "objects": [said]}
    folder = hub_folder(objects_of(), train=rows, validation=rows, test=rows)
    with pytest.raises(UserError, match=message):
        load(of(folder), needs=("objects",))


def test_lists_of_objects_do_as_well_as_objects_of_lists(hub_folder):
    features = {"image": Image(), "things": List({"box": List(Value("float32")), "label": Value("string")})}
    rows = {"image": [picture()], "things": [[{"box": ONE[0], "label": "a"}, {"box": TWO[0], "label": "b"}]]}
    data = load(of(hub_folder(features, train=rows, validation=rows, test=rows)), needs=("objects",))
    assert boxes_in(data.train) == [[ONE[0], TWO[0]]]


def exif(orientation):
    found = Pillow.Exif()
    found[0x0112] = orientation
    return found


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_lie_on_the_picture_that_the_stated_size_is_of(boxed, orientation):
    """A dark rectangle, and its box on the picture as it is stored."""
    pixels = np.full((20, 30), 250, np.uint8)
    pixels[3:11, 2:12] = 0
    image = stored(pixels, exif=exif(orientation))
    rows = [[([2, 3, 10, 8], 0)]]
    seen = np.argwhere(decode(image)[..., 0] == 0)
    (top, left), (bottom, right) = seen.min(axis=0), seen.max(axis=0) + 1
    said = {"image": lambda: image, "train": rows, "validation": rows, "test": rows}
    if orientation in (1, 5, 6, 7, 8):  # else both pictures have the same size, and the box is taken as it is
        data = boxed(**said, sizes=(30, 20))
        assert boxes_in(data.train) == [[[left, top, right - left, bottom - top]]]
    else:
        data = boxed(**said, sizes=(30, 20))
        assert boxes_in(data.train) == [[[2, 3, 10, 8]]] and "EXIF turns or mirrors 1 images" in data.notes[0]
    if orientation >= 5:
        assert boxes_in(boxed(**said, sizes=(20, 30)).train) == [[[2, 3, 10, 8]]]
    found = lying(image).turned_boxes(np.array([[2, 3, 12, 11]]))
    assert found.tolist() == [[left, top, right, bottom]]


def test_a_stated_size_that_is_not_the_images_is_refused(boxed):
    with pytest.raises(
        UserError, match=r"row 0 of the train split are of a picture 64 wide and 48 high.*30 wide and 20 high"
    ):
        boxed(train=[[ONE]], validation=[[ONE]], test=[[ONE]], sizes=(64, 48))


def test_shares_are_of_the_picture_that_boxes_were_made_on(boxed):
    image = stored(np.zeros((20, 30), np.uint8), exif=exif(6))  # 20 wide and 30 high as decoded
    rows = [[([0.1, 0.2, 0.5, 0.5], 0)]]
    data = boxed(image=lambda: image, train=rows, validation=rows, test=rows)
    assert np.allclose(boxes_in(data.train), [[[2, 6, 10, 15]]])


@pytest.fixture
def masked(hub_folder):
    """Loads a set whose splits all have these masks."""

    def make(*masks, image=None, **settings):
        rows = {"image": [image or picture(4, 6)] * len(masks), "annotation": list(masks)}
        folder = hub_folder({"image": Image(), "annotation": Image()}, train=rows, validation=rows, test=rows)
        return load(of(folder, **settings), needs=("mask",))

    return make


def numbers(data, row=0):
    pixels = decode(data.train[row]["mask"])
    assert pixels.shape[2] == 1
    return pixels[..., 0]


FOUR = np.array([[0, 1, 2, 3, 0, 1]] * 4, np.uint8)


def paletted(pixels, colors=((9, 9, 9), (9, 9, 9), (255, 0, 0), (0, 0, 0))):
    image = Pillow.fromarray(pixels)
    image = image.convert("P") if image.mode != "P" else image
    image.putdata(pixels.ravel().tolist())
    image.putpalette([value for color in colors for value in color])
    return image


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_palette_goes_by_number(masked, bits):
    assert np.array_equal(numbers(masked(stored(paletted(FOUR), bits=bits))), FOUR)


def gray_png(pixels, bits):
    """A gray PNG of 2 or 4 bits a sample: Pillow reads such a file, and writes none."""
    import struct
    import zlib

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = pixels.shape
    lines = np.unpackbits(pixels[..., None], axis=2)[..., 8 - bits :].reshape(height, -1)
    packed = b"".join(b"\0" + np.packbits(line).tobytes() for line in lines)
    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(packed)) + chunk(b"IEND", b"")
    return {"bytes": b"\x89PNG\r\n\x1a\n" + parts, "path": None}


@pytest.mark.parametrize(
    "mask",
    [
        stored(FOUR),
        stored(FOUR.astype(np.uint16)),
        stored(FOUR.astype(np.int32), kind="tiff"),
        stored(np.dstack([FOUR, np.full_like(FOUR, 255)])),
        gray_png(FOUR, 2),
        gray_png(FOUR, 4),
    ],
    ids=["L", "I;16", "I", "LA", "2 bits", "4 bits"],
)
def test_gray_goes_by_value(masked, mask):
    data = masked(mask)
    assert np.array_equal(numbers(data), FOUR) and data.classes["mask"].names == ("0", "1", "2", "3")


def test_one_bit_is_two_classes(masked):
    assert np.array_equal(numbers(masked(stored(Pillow.fromarray(FOUR % 2 == 1)))), FOUR % 2)


def test_lists_of_numbers_do_as_well(hub_folder):
    for kind, pixels in (("int64", FOUR), ("bool", FOUR % 2)):
        rows = {"image": [picture(4, 6)] * 2, "classes": [pixels.tolist()] * 2}
        features = {"image": Image(), "classes": List(List(Value(kind)))}
        folder = hub_folder(features, train=rows, validation=rows, test=rows)
        assert np.array_equal(numbers(load(of(folder, mask_column="classes"), needs=("mask",))), pixels)


def test_numbers_with_gaps_take_places_and_keep_what_they_were(masked):
    data = masked(stored(np.where(FOUR == 3, 700, 10 * FOUR.astype(np.uint16))))
    assert data.classes["mask"].numbers == (0, 10, 20, 700) and np.array_equal(numbers(data), FOUR)


def test_void_is_255_or_as_said(masked):
    pixels = np.where(FOUR == 3, 255, FOUR).astype(np.uint8)
    data = masked(stored(pixels))
    assert np.array_equal(numbers(data), pixels) and data.classes["mask"].names == ("0", "1", "2")
    data = masked(stored(pixels), void=1)
    assert data.classes["mask"].names == ("0", "2", "255")
    assert np.array_equal(numbers(data), np.select([FOUR == 0, FOUR == 1, FOUR == 2], [0, 255, 1], 2))
    black_and_white = np.where(FOUR == 3, 255, 0).astype(np.uint8)
    with pytest.raises(UserError, match=r"2 to 255 classes, and these have 1.*data\.void=null"):
        masked(stored(black_and_white))
    assert np.array_equal(numbers(masked(stored(black_and_white), void=None)), black_and_white // 255)
    named = masked(stored(FOUR), void=3, label_names=("a", "b", "c", "nothing"))
    assert named.classes["mask"].names == ("a", "b", "c") and numbers(named).max() == 255


def test_a_number_without_a_name_is_refused_with_its_row(masked):
    with pytest.raises(UserError, match=r"mask of row 1 of the train split has 4 pixels of 3, which is no known class"):
        masked(stored(FOUR % 3), stored(FOUR), label_names=("a", "b", "c"))


def test_colours_by_a_table(masked):
    table = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [1, 2, 3]], np.uint8)
    for pixels in (table[FOUR], np.dstack([table[FOUR], np.full_like(FOUR, 255)])):
        data = masked(stored(pixels), mask_colors=tuple(map(tuple, table.tolist())))
        assert np.array_equal(numbers(data), FOUR)
    with pytest.raises(
        UserError, match=r"row 0 of the train split cannot be read: it is in colour: say with data\.mask_colors="
    ):
        masked(stored(table[FOUR]))
    with pytest.raises(UserError, match=r"8 of its pixels are of 2 colours that data\.mask_colors does not have"):
        masked(stored(table[FOUR]), mask_colors=((0, 0, 0), (128, 0, 0)))


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        (stored(FOUR, kind="jpeg"), r"it is a JPEG"),
        (stored(np.dstack([FOUR, np.full_like(FOUR, 9)])), r"in part transparent"),
        (stored(FOUR.astype(np.float32), kind="tiff"), r"mode F"),
        (stored(FOUR.astype(np.int32) - 1, kind="tiff"), r"its numbers go from -1 to 2"),
        ({"bytes": stored(FOUR)["bytes"][:-30], "path": None}, r"cannot be read"),
    ],
)
def test_what_keeps_no_numbers_is_refused(masked, mask, why):
    with pytest.raises(
        UserError, match=r"The mask of row 1 of the train split cannot be read: .*" if why == "cannot be read" else why
    ):
        masked(stored(FOUR), mask)


def test_a_mask_of_another_size_is_refused_with_its_row(masked):
    with pytest.raises(
        UserError, match=r"row 1 of the train split is 6 wide and 5 high, and its image 6 wide and 4 high"
    ):
        masked(stored(FOUR), stored(np.vstack([FOUR, FOUR[:1]])))


def test_a_mask_of_the_unturned_picture_is_turned_along(masked):
    image = stored(FOUR * 60, exif=exif(6))
    data = masked(stored(FOUR), image=image)
    assert np.array_equal(numbers(data) * 60, decode(image)[..., 0])
    assert np.array_equal(numbers(masked(stored(np.rot90(FOUR, -1)), image=image)), np.rot90(FOUR, -1))


def test_foils_stand_beside_captions(hub_folder):
    """… one or several of each row, or none."""
    texts = List(Value("string"))
    features = {"image": Image(), "caption": Value("string"), "foils": texts, "foil_kinds": texts}
    rows = {
        "image": [picture()] * 3,
        "caption": ["x", "y", "z"],
        "foils": [["a", "b"], [], None],
        "foil_kinds": [["color", "size"], [], None],
    }
    folder = hub_folder(features, train=rows, validation=rows, test=rows)
    test = load(of(folder), needs=("caption",)).test
    assert test["foils"][:] == [["a", "b"], [], []] and test["foil_kinds"][:] == [["color", "size"], [], []]
    assert "foils" not in load(of(folder, label_column=None), needs=()).test.column_names
    one = {**rows, "foils": ["a", None, ""]}
    del one["foil_kinds"], features["foil_kinds"]
    folder = hub_folder({**features, "foils": Value("string")}, train=one, validation=one, test=one)
    assert load(of(folder), needs=("caption",)).test["foils"][:] == [["a"], [], []]
    with pytest.raises(UserError, match="The column 'foils' holds no text"):
        wrong = {**one, "foils": [1, 2, 3]}
        folder = hub_folder({**features, "foils": Value("int64")}, train=wrong, validation=wrong, test=wrong)
        load(of(folder), needs=("caption",))


def test_words_are_found_by_name_or_by_setting(hub_folder):
    features = {
        "image": Image(),
        "question": Value("string"),
        "answer": ClassLabel(names=["no", "yes"]),
        "said": List(Value("string")),
    }
    rows = {
        "image": [picture()] * 3,
        "question": ["a?", "b?", ""],
        "answer": [1, 0, 1],
        "said": [["x", ""], ["y", "z"], []],
    }
    folder = hub_folder(features, train=rows, validation=rows, test=rows)
    data = load(of(folder), needs=("question", "answer"))
    assert data.train["question"][:] == ["a?", "b?"] and data.train["answer"][:] == ["yes", "no"]
    assert "have no question (such as '2')" in data.notes[0]
    assert load(of(folder, caption_column="said"), needs=("caption",)).train["caption"][:] == [["x"], ["y", "z"]]
    with pytest.raises(UserError, match=r"needs the column 'caption'.*data\.caption_column=.*question, answer, said"):
        load(of(folder), needs=("caption",))
    with pytest.raises(UserError, match=r"no column 'sayd' \(data\.caption_column\): did you mean 'said'"):
        load(of(folder, caption_column="sayd"), needs=())


def test_what_no_task_asks_for_is_left_alone(hub_folder, make_png):
    """Wrong boxes do not keep anyone from classifying; a column that is named is read."""
    features = {**objects_of(), "label": ClassLabel(names=["a", "b"])}
    rows = {
        "image": [picture()] * 4,
        "label": [0, 1] * 2,
        "objects": [{"bbox": [[0, 0, 99, 99], [0, 0, 9, 9]], "category": [1, 1]}] * 4,
    }
    folder = hub_folder(features, train=rows, validation=rows, test=rows)
    data = load(of(folder))
    assert data.train.column_names == ["image", "label", "id"] and data.classes == {}
    with pytest.raises(UserError, match=r"12 boxes of 12 images cannot be right"):
        load(of(folder, objects_column="objects"))
    assert (
        "objects"
        in load(of(folder, objects_column="objects", bad_boxes="drop", test_split="test"), needs=()).train.column_names
    )


def test_annotations_are_part_of_what_data_are(boxed, masked, hub_folder):
    def identity(data):
        return split_identity(data.train, [pixel_hash(decode(item)) for item in data.train["image"]]).fingerprint

    splits = {"validation": [[ONE]], "test": [[ONE]]}
    found = [identity(boxed(train=[[box, TWO, ONE]], **splits)) for box in (ONE, ONE, ([2, 3, 10, 7], 0), (ONE[0], 7))]
    assert found[0] == found[1] and len(set(found)) == 3
    kinds = (ClassLabel(names=["a", *"bcdefg", last]) for last in ("x", "y"))
    renamed = [identity(boxed(kind, train=[[ONE]], **splits)) for kind in kinds]
    assert renamed[0] != renamed[1]
    found = [identity(masked(stored(mask))) for mask in (FOUR, FOUR, FOUR[:, ::-1])]
    assert found[0] == found[1] != found[2]
    keys = [load(of(hub_folder(), void=void), needs=("mask",)).train._fingerprint for void in (255, 255, 3)]
    assert keys[0] == keys[1] != keys[2]


def test_a_folder_as_imagefolder_has_it(tmp_path):
    for split, name in (("train", "a.png"), ("train", "b.png"), ("test", "a.png"), ("validation", "c.png")):
        (tmp_path / split).mkdir(exist_ok=True)
        (tmp_path / split / name).write_bytes(picture()["bytes"])
        with open(tmp_path / split / "metadata.jsonl", "a") as lines:
            said = {"bbox": [[1, 2, 3, 4]] if name != "b.png" else [], "categories": [5] if name != "b.png" else []}
            row = {"file_name": name, "objects": said, "text": f"of {name}", "question": "what?", "answer": "it"}
            lines.write(json.dumps(row) + "\n")
    data = load(of(tmp_path), needs=("objects", "caption", "question", "answer"))
    assert boxes_in(data.train) == [[[1, 2, 3, 4]], []] and data.classes["objects"].names == ("5",)
    assert data.train["caption"][:] == ["of a.png", "of b.png"] and data.train["answer"][:] == ["it"] * 2


def test_masks_as_imagefolder_has_them(tmp_path):
    for split in ("train", "validation", "test"):
        folder = tmp_path / "a set [1]" / split
        (folder / "masks").mkdir(parents=True)
        for name in "ab":
            (folder / f"{name}.png").write_bytes(picture(4, 6)["bytes"])
            (folder / "masks" / f"{name}.png").write_bytes(stored(FOUR)["bytes"])
            with open(folder / "metadata.jsonl", "a") as lines:
                lines.write(json.dumps({"file_name": f"{name}.png", "mask_file_name": f"masks/{name}.png"}) + "\n")
    data = load(of(tmp_path / "a set [1]"), needs=("mask",))
    assert len(data.train) == 2 and np.array_equal(numbers(data), FOUR) and data.notes == ()
    assert decode(data.train[0]["image"]).shape == (4, 6, 3)


def test_blood_cells(shared):
    data = load(DataSettings("bccd", path=str(shared / "bccd")), needs=("objects",))
    assert data.classes["objects"].names == ("Platelets", "RBC", "WBC") and len(data.train) == 205
    assert data.train[0]["objects"]["bbox"][0] == [67, 314, 219, 166] and data.notes == ()
    assert data.train["image_id"][:3] == [1, 3, 4]


def test_streets(shared):
    data = load(DataSettings("camvid", path=str(shared / "camvid"), void=11), needs=("mask",))
    assert data.classes["mask"].numbers == tuple(range(11))
    assert numbers(data).shape == (180, 240) and set(np.unique(numbers(data))) <= {*range(11), 255}
