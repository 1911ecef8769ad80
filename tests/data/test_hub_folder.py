"""A local folder in the hub's layout: what lies there, what was read of it, and what is said of the rest."""

import json

import datasets
import numpy as np
import pytest
from PIL import Image

from llmimg.data import DataSettings, load
from llmimg.errors import UserError


def picture(file, value=0):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4), value, np.uint8)).save(file)


def table(folder, lines):
    (folder / "metadata.csv").write_text("file_name,label\n" + "\n".join(lines))


def loaded(path, **more):
    return load(DataSettings("hub", source="hub", path=str(path), **more))


@pytest.mark.parametrize("name", ["set[1]", "a$b", "100%", "two\nlines", "~x"])
def test_a_folder_is_read_the_same_however_often(tmp_path, name):
    for index in range(8):
        picture(tmp_path / name / "ab"[index % 2] / f"{index}.png", index)
    for _ in range(3):
        data = loaded(tmp_path / name)
        assert sum(map(len, (data.train, data.validation, data.test))) == 8
        assert not any("not read" in note for note in data.notes)


def test_images_without_a_line_are_counted_where_others_have_two(tmp_path):
    for index in range(8):
        picture(tmp_path / f"{index}.png", index)
    table(tmp_path, [f"{index % 4}.png,{'ab'[index % 2]}" for index in range(8)])
    notes = loaded(tmp_path, label_column="label").notes
    assert "4 of 8 images have no line in the metadata and were left out." in notes


def test_images_that_a_table_of_paths_names_count_as_read(tmp_path):
    for index in range(9):
        picture(tmp_path / f"{index}.png", index)
    lines = [json.dumps({"image": f"{index}.png", "label": "ab"[index % 2]}) for index in range(8)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    (note, *_) = loaded(tmp_path, image_column="image", label_column="label").notes
    assert note.startswith("1 of 10 files") and "'8.png'" in note


@pytest.mark.parametrize("names", [("Train", "Test"), ("TRAIN", "VAL"), ("train", "Test")])
def test_a_splits_name_in_capitals_is_not_trained_on(tmp_path, names):
    for split in names:
        for index in range(8):
            picture(tmp_path / "folders" / split / "ab"[index % 2] / f"{index}.png", index)
            picture(tmp_path / "listed" / split / f"{index}.png", index)
        table(tmp_path / "listed" / split, [f"{index}.png,{'ab'[index % 2]}" for index in range(8)])
    for layout, more in (("folders", {}), ("listed", {"label_column": "label"})):
        if names[0] == "train":  # one name is known: the other folder is not read, and that is said
            assert any("8 of 1" in note or "9 of 1" in note for note in loaded(tmp_path / layout, **more).notes)
        else:
            with pytest.raises(UserError, match="as a split's name"):
                loaded(tmp_path / layout, **more)


def test_tables_of_splits_in_capitals_are_not_trained_on(tmp_path):
    for split in ("Train", "Test"):
        lines = [json.dumps({"image": [[index]], "label": "ab"[index % 2]}) for index in range(8)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines))
    with pytest.raises(UserError, match="rename it to 't"):
        loaded(tmp_path, image_column="image", label_column="label")


def test_a_class_may_be_called_as_a_split_is(tmp_path):
    for name in ("Test", "Rest"):
        for index in range(5):
            picture(tmp_path / name / f"{index}.png", index)
    assert loaded(tmp_path).label_names == ("Rest", "Test")


def labelled(file, names, values=(0, 1) * 4):
    pixels = [[[50 * value]] for value in values]
    features = datasets.Features(
        {"pixels": datasets.Array2D((1, 1), "uint8"), "label": datasets.ClassLabel(names=names)}
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict({"pixels": pixels, "label": list(values)}, features=features).to_parquet(file)


@pytest.mark.parametrize("other", ["test-00000-of-00001", "train-00001-of-00002"])
@pytest.mark.parametrize("names", [["b", "a"], ["a", "b", "c"]])
def test_files_that_number_their_classes_otherwise_are_refused(tmp_path, other, names):
    labelled(tmp_path / "data" / "train-00000-of-00002.parquet", ["a", "b"])
    labelled(tmp_path / "data" / f"{other}.parquet", names)
    with pytest.raises(UserError, match=r"has the classes \[.*\] in the column 'label', .*taken for \["):
        loaded(tmp_path, image_column="pixels")


def test_a_readme_that_numbers_classes_otherwise_is_refused(tmp_path):
    labelled(tmp_path / "data" / "train-00000-of-00001.parquet", ["a", "b"])
    names = {"class_label": {"names": {"0": "b", "1": "a"}}}
    pixels = {"array2_d": {"shape": [1, 1], "dtype": "uint8"}}
    features = [{"name": "pixels", "dtype": pixels}, {"name": "label", "dtype": names}]
    (tmp_path / "README.md").write_text(f"---\n{json.dumps({'dataset_info': {'features': features}})}\n---\n")
    with pytest.raises(UserError, match=r"has the classes \[a, b\] .* taken for \[b, a\]"):
        loaded(tmp_path, image_column="pixels")


def test_missing_parts_are_told(tmp_path):
    for part in (0, 2):
        labelled(tmp_path / "data" / f"train-0000{part}-of-00003.parquet", ["a", "b"])
    notes = loaded(tmp_path, image_column="pixels").notes
    assert "Parts of the data are missing: 1 of 3 ('data/train-…-of-00003.parquet')." in notes
