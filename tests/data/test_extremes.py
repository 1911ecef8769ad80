import numpy as np
import pytest
from PIL import Image

from llmimg.data import DataSettings, load
from llmimg.errors import UserError


@pytest.fixture
def made(tmp_path):
    """Makes two classes of ten training and two test images each, of 2 x 2 samples, and loads them."""

    def make(train, test=None, kind="tif", dtype="int32", **settings):
        for split, count, values in (("train", 10, train), ("test", 2, train if test is None else test)):
            for index in range(count):
                for name, value in zip("ab", values, strict=True):
                    file = tmp_path / "set" / split / name / f"{index}.{kind}"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(np.full((2, 2), value, dtype)).save(file)
        settings = DataSettings("set", source="folder", path=str(tmp_path / "set"), **settings)
        return load(settings, cache=tmp_path / "cache")

    return make


def pixels(data, split):
    images, problems = data.decoding(getattr(data, split)["image"][:], getattr(data, split)["id"][:])
    return {int(image.max()) for image in images if image is not None}, problems


@pytest.mark.parametrize(
    ("largest", "white"), [(40, 255), (255, 255), (256, 1023), (4095, 4095), (4096, 16383), (40_000, 65535)]
)
@pytest.mark.parametrize(("kind", "dtype"), [("tif", "int32"), ("png", "uint16")])
def test_training_images_say_what_counts_as_white(made, largest, white, kind, dtype):
    data = made((largest // 2, largest), kind=kind, dtype=dtype)
    assert data.decoding.white == white
    expected = {value * 256 // (white + 1) for value in (largest // 2, largest)}
    assert pixels(data, "train")[0] == pixels(data, "test")[0] == expected
    (note,) = [note for note in data.notes if "more than 8 bits" in note]
    assert note.startswith(
        f"18 of 18 training images have samples of more than 8 bits, up to {largest:,}: {white:,} counts"
    )


def test_8_bits_say_nothing(made):
    data = made((3, 200), kind="png", dtype="uint8")
    assert data.decoding.white is None and not any("8 bits" in note for note in data.notes)


def test_a_test_image_that_goes_further_is_named(made):
    data = made((100, 200), test=(100, 300))
    _, problems = pixels(data, "test")
    assert set(problems) == {2, 3}
    assert "test/b/0.tif cannot be read: its samples go up to 300, beyond 255" in problems[2]


@pytest.mark.parametrize(
    ("largest", "message"),
    [(16, "cannot be known"), (70_000, "go up to 70,000, beyond 16"), (0, "cannot be known")],
)
def test_what_cannot_be_known_is_refused(made, largest, message):
    with pytest.raises(UserError, match=rf"The training images, such as train/.*tif, cannot be read: .*{message}"):
        made((0, largest))


def test_images_that_stay_far_below_the_others_are_counted(made):
    data = made((200, 60_000), kind="png", dtype="uint16")
    assert any("9 of them stay below a sixteenth of white, and come out nearly black" in note for note in data.notes)


def test_one_image_that_goes_far_beyond_the_others_is_refused(made, tmp_path):
    made((100, 250), kind="png", dtype="uint16")
    Image.fromarray(np.full((2, 2), 60_000, np.uint16)).save(tmp_path / "set/train/b/odd.png")
    with pytest.raises(UserError, match=r"up to 60,000 in train/b/odd\.png, but 17 stay below a sixteenth"):
        made((100, 250), kind="png", dtype="uint16", validation_split="test", test_split="carve", test_fraction=0.1)


def test_8_bits_that_use_few_of_their_values_are_said(made):
    assert made((3, 16), kind="png", dtype="uint8").notes[-1] == (
        "No sample of 18 training images goes beyond 16 of 255: they come out nearly black."
    )


def test_one_wide_image_among_many_is_found(made, tmp_path):
    made((3, 200), kind="png", dtype="uint8")
    Image.fromarray(np.full((2, 2), 3000, np.uint16)).save(tmp_path / "set/train/a/one.png")
    data = made((3, 200), kind="png", dtype="uint8", validation_split="test", test_split="carve", test_fraction=0.01)
    assert data.decoding.white == 4095 and "1 of " in data.notes[-1]


def test_test_images_in_other_units_do_not_come_out_black_without_a_word(made):
    with pytest.raises(UserError, match="4 of 4 test images of more than 8 bits stay below a sixteenth of 65,535"):
        made((30_000, 60_000), test=(100, 250), kind="png", dtype="uint16")
    notes = made((30_000, 60_000), test=(100, 60_000), kind="png", dtype="uint16").notes
    assert any(note.startswith("2 of 4 test images of more than 8 bits") for note in notes)
