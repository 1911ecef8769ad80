"""Which data a number stands for: hashes of pixels, fingerprints of splits, and what splits share."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from llmimg.data import Decoding
from llmimg.data.columns import from_pixels
from llmimg.data.identity import DataIdentity, conflicting, overlaps, pixel_hash, split_identity, without_copies


def stored(image: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def test_pixels_count_and_neither_file_nor_size():
    image = np.random.default_rng(0).integers(0, 256, (6, 5, 3)).astype(np.uint8)
    files = [stored(image, kind) for kind in ("PNG", "BMP", "TIFF")] + [image]
    for decoding in (Decoding(), Decoding((3, 3)), Decoding((9, 9), "pad")):
        small, problems, hashes = decoding.hashed([*files, b"broken"])
        assert hashes[:4] == [pixel_hash(image)] * 4 and hashes[4] is None and list(problems) == [4]
        whole, told = decoding([*files, b"broken"])
        assert list(told) == [4]
        assert all(np.array_equal(one, other) for one, other in zip(small[:4], whole[:4], strict=True))


def test_gray_is_gray_in_whatever_it_is_stored():
    gray = np.arange(30, dtype=np.uint8).reshape(5, 6)
    files = [stored(gray, "PNG"), stored(gray, "GIF"), stored(np.stack([gray] * 3, 2), "PNG"), gray]
    assert set(Decoding().hashed(files)[2]) == {pixel_hash(gray[:, :, None])}
    assert pixel_hash(np.stack([gray, gray, gray + 1], 2)) != pixel_hash(gray[:, :, None])


@given(st.integers(0, 2**32 - 1))
def test_a_hash_knows_shape_and_every_value(seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, [*rng.integers(1, 6, 2).tolist(), 1]).astype(np.uint8)
    other = image.copy()
    other[tuple(rng.integers(each) for each in image.shape)] ^= 1
    assert pixel_hash(other) != pixel_hash(image) == pixel_hash(np.asfortranarray(image))
    if image.shape[0] != image.shape[1]:
        assert pixel_hash(image.reshape(image.shape[1], image.shape[0], 1)) != pixel_hash(image)


# Splits of few images, so that they share many; an entry is (image, label).
split = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), max_size=8)
splits = st.fixed_dictionaries({"train": split, "validation": split, "test": split})


def apart(parts):
    parts = {name: parts[name] for name in ("train", "validation", "test") if name in parts}  # their order counts
    hashes = {name: [None if image == 0 else f"image {image}" for image, _ in rows] for name, rows in parts.items()}
    return hashes, {name: [label for _, label in rows] for name, rows in parts.items()}


@given(splits)
def test_what_splits_share_is_counted_and_dropped(parts):
    hashes, labels = apart(parts)
    found = {each.name: each for each in overlaps(hashes, labels)}
    for name, earlier in (("test", ("train", "validation")), ("validation", ("train",))):
        rows = [(image, label) for image, label in parts[name] if image]
        there = {other: [row for row in parts[other] if row[0]] for other in earlier}
        shared = [row for row in rows if any(row[0] == image for of in there.values() for image, _ in of)]
        others = [{label for of in there.values() for image, label in of if image == row[0]} for row in shared]
        conflict = [row for row, labels_there in zip(shared, others, strict=True) if labels_there - {row[1]}]
        if not shared:
            assert name not in found
            continue
        each = found[name]
        assert (each.images, each.total, each.conflicting) == (len(shared), len(rows), len(conflict))
        for other, count in each.among.items():
            assert count == sum(image in {one for one, _ in there[other]} for image, _ in rows) > 0
        assert f"{len(shared)} of {len(rows)} {name} images are also among" in str(each)
    kept = without_copies(hashes)
    left = {name: [hashes[name][row] for row in rows] for name, rows in kept.items()}
    assert overlaps(left, {name: [0] * len(rows) for name, rows in left.items()}) == []
    assert left["test"] == hashes["test"]
    assert all(each.count(None) == hashes[name].count(None) for name, each in left.items())  # broken ones stay
    assert set(left["train"]) == set(hashes["train"]) - (set(hashes["validation"]) | set(hashes["test"])) | (
        {None} & set(hashes["train"])
    )


@given(split)
def test_equal_images_with_other_labels_are_counted(rows):
    hashes, labels = apart({"train": rows})
    expected = sum(bool(image) and any(image == one and label != other for one, other in rows) for image, label in rows)
    assert conflicting(hashes["train"], labels["train"]) == expected


def dataset(labels, names=("cat", "dog"), seed=0, ids=None):
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 4, 4)).astype(np.uint8)
    data = from_pixels(pixels, np.array(labels), list(names))
    return data if ids is None else data.remove_columns("id").add_column("id", ids)


def of(data):
    _, _, hashes = Decoding().hashed(data["image"])
    return split_identity(data, hashes)


def test_a_fingerprint_goes_by_pixels_and_labels_in_their_order():
    labels = [0, 1, 1, 0, -1]
    same = of(dataset(labels))
    assert same == of(dataset(labels, ids=list("abcde")))
    assert (same.rows, same.broken, same.classes) == (5, 0, {"cat": 2, "dog": 2})
    others = [
        of(dataset([0, 1, 1, 1, -1])),  # one label
        of(dataset(labels, ("dog", "cat"))),  # classes swapped
        of(dataset(labels, ("cat", "dog", "cow"))),  # a class more
        of(dataset(labels, seed=1)),  # other images
        of(dataset(labels).select([1, 0, 2, 3, 4])),  # another order
        of(dataset(labels).select(range(4))),
    ]
    assert len({same.fingerprint, *(each.fingerprint for each in others)}) == 7


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (([0, 1, 1], ("cat", "dog")), r"had 4 images, and has 3 \('cat' had 2, has 1\)"),
        (([0, 1, 1, 0, 2], ("cat", "dog", "cow")), r"had 4 images, and has 5 \('cow' is new, has 1\)"),
        (([0, 1, 0, 1], ("cat", "dog")), "has other images, labels or another order of its 4 rows"),
        (([1, 0, 0, 1], ("dog", "cat")), "has its classes in another order"),
    ],
)
def test_what_differs_is_said(now, told):
    import re

    before = DataIdentity({"train": of(dataset([0, 1, 1, 0]))}, {})
    after = DataIdentity({"train": of(dataset(*now))}, {})
    (difference,) = DataIdentity.from_json(json.loads(json.dumps(before.as_json()))).differences(after)
    assert re.fullmatch(f"the train split {told}", difference)
    assert before.differences(before) == [] and before.fingerprint != after.fingerprint
