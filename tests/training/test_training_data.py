from types import SimpleNamespace

import numpy as np
import pytest
import torch

from llmimg.data import AugmentSettings, Decoding, augment, blended, example_seeds, mixing
from llmimg.data.columns import from_pixels
from llmimg.data.rows import Rows
from llmimg.readouts.base import READOUTS
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.textify import make
from llmimg.tokens.cache import prepare
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import Layout
from llmimg.tokens.script import Script
from llmimg.tokens.vocabulary import make_vocabulary
from llmimg.training.examples import Examples, FreshImages, LiveExamples, StoredImages

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 4, 4)).astype(np.uint8)
LABELS = np.arange(12) % 3
SETTINGS = AugmentSettings("both", shift=1, flip=True)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    textifier = make("gray")
    return Encoder(Decoding(), textifier, make_vocabulary("own", textifier, None))


@pytest.fixture(scope="module")
def images():
    return from_pixels(PIXELS, LABELS, ["cat", "dog", "tree"])


@pytest.fixture
def ids(images, encoder, tmp_path):
    return prepare(images, encoder, "train", folder=tmp_path, about={})


def known(images, encoder) -> Rows:
    return Rows(images, ["label"], encoder.decoding)


def live(images, rows, encoder, settings, made=None) -> LiveExamples:
    """What is written on the fly of these rows."""
    each = known(images, encoder)
    return LiveExamples(made or StoredImages(images, each), each, rows, settings=settings, encoder=encoder, seed=7)


@pytest.fixture
def augmented(images, encoder) -> LiveExamples:
    """All images but the sixth, moved about."""
    rows = np.delete(np.arange(12), 5)
    return live(images, rows, encoder, SETTINGS)


def head(encoder):
    """What makes batches for a classification head."""
    task = TASKS["classify"].with_settings(DataInfo(("cat", "dog", "tree")))
    return READOUTS["head"](task, Layout.of(encoder.vocabulary, 18), Script(encoder.vocabulary)).training_batch


def read(texts, indices) -> list[list[int]]:
    return [row.image.tolist() for row in texts.__getitems__(indices)]


def test_rows_that_are_left_out(ids, images, encoder):
    texts = Examples(ids, known(images, encoder), np.array([1, 4, 11]))
    assert len(texts) == 3
    assert [row.row["label"] for row in texts.__getitems__([2, 0])] == [LABELS[11], LABELS[1]]
    assert read(texts, [2, 0]) == [ids[11].tolist(), ids[1].tolist()]
    assert texts[1].image.tolist() == ids[4].tolist()


@pytest.mark.parametrize(
    "settings", [AugmentSettings(), AugmentSettings("moved", shift=1), AugmentSettings("blended", mixup=1)]
)
def test_balanced_epochs_show_every_class_equally_often(images, ids, encoder, settings):
    """Two images of the first class and one of the second are shown as often as four of the third, each time another
    way; what an epoch shows is the seed's and its own, in whatever order it is read."""
    rows = np.array([0, 1, 2, 3, 5, 8, 11])
    each = known(images, encoder)
    given = {"seed": 7, "balance": True}
    examples = (
        LiveExamples(StoredImages(images, each), each, rows, settings=settings, encoder=encoder, **given)
        if settings.active
        else Examples(ids, each, rows, **given)
    )
    orders = []
    for epoch in (0, 1, 0):
        examples.begin_epoch(epoch)
        shown = examples.__getitems__(range(7))
        assert sorted(np.bincount([example.row["label"] for example in shown])) == [2, 2, 3]
        assert all(example.row["label"] == LABELS[example.number] for example in shown)
        assert {example.number for example in shown} <= set(rows)
        assert len({int(example.seed) for example in shown}) == 7
        again = [examples[index] for index in reversed(range(7))][::-1]
        assert [example.image.tolist() for example in again] == [example.image.tolist() for example in shown]
        orders.append([(example.number, int(example.seed)) for example in shown])
    assert orders[0] == orders[2] != orders[1]


def test_a_moved_image_is_the_one_that_was_moved_then_written(augmented, encoder):
    for epoch in (0, 3):
        augmented.begin_epoch(epoch)
        moved = augment(PIXELS[..., None], SETTINGS, example_seeds(7, epoch, np.arange(12)))
        expected = [row.tolist() for row in encoder.ids(list(moved))]
        assert read(augmented, list(range(11))) == expected[:5] + expected[6:]


def test_moves_depend_on_the_epoch_and_the_example_alone(augmented):
    first = read(augmented, list(range(11)))
    assert read(augmented, [8, 2, 5]) == [first[8], first[2], first[5]]
    augmented.begin_epoch(1)
    assert read(augmented, list(range(11))) != first
    augmented.begin_epoch(0)
    assert read(augmented, list(range(11))) == first


def test_loader_workers_that_outlive_an_epoch_learn_of_the_next(augmented, encoder):
    collator = head(encoder)
    loader = torch.utils.data.DataLoader(
        augmented, batch_size=4, collate_fn=collator, num_workers=1, persistent_workers=True
    )
    epochs = []
    for epoch in range(2):
        augmented.begin_epoch(epoch)
        epochs.append(torch.cat([batch["input_ids"] for batch in loader])[:, 1:-1].tolist())
        assert epochs[-1] == read(augmented, list(range(11)))
    assert epochs[0] != epochs[1]


def test_a_batch(ids, images, encoder):
    collator = head(encoder)
    batch = collator(Examples(ids, known(images, encoder), np.arange(12)).__getitems__([2, 4]))
    assert {name: (value.dtype, tuple(value.shape)) for name, value in batch.items()} == {
        "input_ids": (torch.int64, (2, 18)),
        "attention_mask": (torch.int64, (2, 18)),
        "labels": (torch.int64, (2,)),
    }
    assert batch["labels"].tolist() == [2, 1]


def test_blended_images_have_both_labels(images, encoder):
    settings = AugmentSettings("mixed", mixup=1.0)
    rows = np.arange(12)
    texts = live(images, rows, encoder, settings)
    partners, shares = mixing(1.0, example_seeds(7, 0, rows), 12)
    expected = encoder.ids(blended(list(PIXELS[..., None]), list(PIXELS[partners][..., None]), shares))
    read_rows = texts.__getitems__(list(range(12)))
    assert [row.image.tolist() for row in read_rows] == [row.tolist() for row in expected]
    labels = head(encoder)(read_rows)["labels"].numpy()
    assert labels.sum(axis=1) == pytest.approx(np.ones(12))
    for row in range(12):
        wanted = np.zeros(3)
        wanted[LABELS[row]] += shares[row]
        wanted[LABELS[partners[row]]] += 1 - shares[row]
        assert labels[row] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("settings", [AugmentSettings("none"), SETTINGS], ids=["as made", "moved"])
def test_fresh_images_are_those_of_the_epoch_with_their_labels(images, encoder, settings):
    def fresh(names, epoch):
        numbers = np.array([int(name) for name in names])
        return {
            "image": list(PIXELS[(numbers + epoch) % 12]),
            "label": LABELS[(numbers + epoch) % 12],
            "caption": names,
        }

    rows = np.delete(np.arange(12), 5)
    texts = live(images, rows, encoder, settings, FreshImages(fresh, known(images, encoder)))
    for epoch in (0, 3):
        texts.begin_epoch(epoch)
        shifted = PIXELS[(np.arange(12) + epoch) % 12][..., None]
        expected = encoder.ids(list(augment(shifted, settings, example_seeds(7, epoch, np.arange(12)))))
        read_rows = texts.__getitems__([0, 10, 4])
        assert [row.image.tolist() for row in read_rows] == [expected[row].tolist() for row in (0, 11, 4)]
        assert [row.row["label"] for row in read_rows] == [LABELS[(row + epoch) % 12] for row in (0, 11, 4)]
        assert all("caption" not in row.row for row in read_rows)


def test_what_lies_on_an_image_moves_as_that_image_whatever_stands_for_it():
    """With `data.images=shuffled`, another row's image of another size."""
    sizes = [(12, 30), (30, 12), (12, 30), (20, 20)]
    pictures = [np.zeros((*size, 1), np.uint8) for size in sizes]

    def read(numbers, epoch):
        rows = [{"size": sizes[each], "objects": {"bbox": [[1, 2, 8, 6]], "category": [0]}} for each in numbers]
        return [pictures[each] for each in numbers], [
            {**row, "mask": np.arange(np.prod(row["size"]), dtype=np.uint8).reshape(row["size"]) % 3} for row in rows
        ]

    numbers, others = np.arange(4), np.array([1, 2, 3, 0])
    known = SimpleNamespace(columns=("objects", "mask"))
    own, shuffled = (
        LiveExamples(read, known, numbers, settings=SETTINGS, seed=7, shown=shown).__getitems__(numbers)
        for shown in (numbers, others)
    )
    assert [each.image.shape[:2] for each in shuffled] == [sizes[each] for each in others]
    for one, other in zip(own, shuffled, strict=True):
        assert one.row["objects"] == other.row["objects"]
        assert np.array_equal(one.row["mask"], other.row["mask"]) and other.row["mask"].shape == other.row["size"]
