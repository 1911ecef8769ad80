import dataclasses
import errno
import os
import subprocess

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from llmimg.data import Decoding
from llmimg.data.columns import from_files, from_pixels
from llmimg.errors import UserError
from llmimg.textify import START, Grammar, Lexicon, make
from llmimg.tokens.cache import prepare
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.folders import cache_entries, prune
from llmimg.tokens.keys import cache_key
from llmimg.tokens.pieces import own_tokenizer
from llmimg.tokens.vocabulary import make_vocabulary

NAMES = ["odd", "even"]
ABOUT = {"data": "made up"}


def images(count: int = 12, side: int = 4, seed: int = 0) -> datasets.Dataset:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, side, side)).astype(np.uint8)
    return from_pixels(pixels, np.arange(count) % 2, NAMES)


def encoder(name: str = "gray", size=None, fit: str = "stretch", tokenizer=None, answers=None, **textify) -> Encoder:
    textifier = make(name, **textify)
    vocabulary = make_vocabulary("reuse" if tokenizer else "own", textifier, tokenizer, answers)
    return Encoder(Decoding(size, fit), textifier, vocabulary)


def rows(ids) -> list[list[int]]:
    return [ids[row].tolist() for row in range(len(ids))]


@pytest.fixture
def disk(tmp_path):
    """Mounts a disk of so many kilobytes; unmounted at the end."""
    disk = tmp_path / "disk"

    def mount(kilobytes: int):
        disk.mkdir()
        options = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)]
        if os.name != "posix" or os.geteuid() or subprocess.run(options, capture_output=True).returncode:
            pytest.skip("no disk can be mounted here (that takes root)")
        return disk

    yield mount
    subprocess.run(["umount", "-l", str(disk)], capture_output=True)


def test_the_second_time_only_reads(tmp_path, monkeypatch):
    data, writer = images(), encoder()
    first = prepare(data, writer, "train", folder=tmp_path, about=ABOUT)
    monkeypatch.setattr(datasets.Dataset, "map", lambda *_, **__: pytest.fail("mapped again"))
    second = prepare(data, writer, "train", folder=tmp_path, about=ABOUT)
    assert rows(first) == rows(second) == [row.tolist() for row in writer(data["image"])[0]]
    assert second.lengths.tolist() == [16] * 12


@settings(max_examples=8, deadline=None)
@given(sizes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=9), seed=st.integers(0, 99))
def test_what_is_read_is_what_the_encoder_gives_whatever_the_sizes(tmp_path_factory, sizes, seed):
    folder, rng, paths = tmp_path_factory.mktemp("sizes"), np.random.default_rng(seed), []
    for index, size in enumerate(sizes):
        paths.append(str(folder / f"{index}.png"))
        Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(paths[-1])
    data, writer = from_files(paths, paths, [0] * len(paths), NAMES, "key"), encoder()
    ids = prepare(data, writer, "train", folder=folder / "cache", about=ABOUT)
    assert rows(ids) == [row.tolist() for row in writer(data["image"])[0]]
    assert ids.lengths.tolist() == [height * width for height, width in sizes]


def test_two_processes_give_what_one_gives(tmp_path):
    data, writer = images(50), encoder()
    one = prepare(data, writer, "train", folder=tmp_path / "one", about=ABOUT)
    two = prepare(data, writer, "train", folder=tmp_path / "two", about=ABOUT, num_proc=2)
    assert rows(one) == rows(two)
    assert len(list((tmp_path / "two").glob("*/*.arrow"))) == 2


def test_more_processes_than_images(tmp_path):
    ids = prepare(images(2), encoder(), "train", folder=tmp_path, about=ABOUT, num_proc=8)
    assert len(ids) == 2


def test_train_and_test_share_no_file_even_with_equal_rows(tmp_path):
    for split in ("train", "test"):
        prepare(images(), encoder(), split, folder=tmp_path, about=ABOUT)
    entries = cache_entries(tmp_path)
    assert {entry.about["split"] for entry in entries} == {"train", "test"}
    assert len({entry.key for entry in entries}) == 2


def test_the_key_stands_for_everything_that_shapes_the_ids():
    other = own_tokenizer(Lexicon.of(piece=make("rgb", levels=8).lexicon.pieces[::-1]))  # the same pieces, other ids
    keys = [
        cache_key(images(), encoder(), "train"),
        cache_key(images(), encoder(), "test"),
        cache_key(images(seed=1), encoder(), "train"),
        cache_key(images().select(range(11)), encoder(), "train"),
        cache_key(images(), encoder(levels=8), "train"),
        cache_key(images(), encoder(style="ramp"), "train"),
        cache_key(images(), encoder("rgb", levels=8), "train"),
        cache_key(images(), encoder("rgb", levels=8, tokenizer=other), "train"),
        cache_key(images(), encoder(size=(4, 4)), "train"),
        cache_key(images(), encoder(size=(5, 4)), "train"),
        cache_key(images(), encoder(size=(5, 4), fit="pad"), "train"),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == cache_key(images(), encoder(), "train")


def test_other_answers_and_words_prepare_nothing_again(tmp_path, gpt2, monkeypatch):
    pieces = {"name": [" cat", " dog", " 1 2"], "edge": [f" y{index}" for index in range(300)]}
    moves = {START: {"name": "named"}, "named": {"edge": "done"}}
    answers = Grammar(Lexicon.of(**pieces), moves, frozenset({"done"}))
    for tokenizer in (None, gpt2):
        given = {"tokenizer": tokenizer, "levels": 8}
        alone = encoder(**given)
        first = prepare(images(), alone, "train", folder=tmp_path, about=ABOUT)
        with monkeypatch.context() as patched:
            patched.setattr("llmimg.tokens.cache.map_images", lambda *_: pytest.fail("prepared again"))
            joint = encoder(**given, answers=answers)
            spoken = joint.vocabulary.with_words(["Which one?", "7"]).with_open(["a question"], 300)
            for vocabulary in (joint.vocabulary, spoken):
                again = prepare(
                    images(), dataclasses.replace(joint, vocabulary=vocabulary), "train", folder=tmp_path, about=ABOUT
                )
                assert rows(again) == rows(first)
    assert len(cache_entries(tmp_path)) == 2


@pytest.fixture
def broken(tmp_path):
    """Five images, of which the third and fourth cannot be read."""
    paths = [str(tmp_path / f"{index}.png") for index in range(5)]
    for index, path in enumerate(paths):
        Image.fromarray(np.full((4, 4), 50 * index, np.uint8)).save(path)
    (tmp_path / "2.png").write_bytes(b"no image at all")
    (tmp_path / "3.png").write_bytes((tmp_path / "4.png").read_bytes()[:50])
    return from_files(paths, paths, [0] * 5, NAMES, "broken images")


def test_a_broken_image_is_named(tmp_path, broken):
    with pytest.raises(UserError, match=r"2\.png cannot be read.*data\.broken=skip"):
        prepare(broken, encoder(), "train", folder=tmp_path / "cache", about=ABOUT)
    assert cache_entries(tmp_path / "cache") == []
    assert not list((tmp_path / "cache").glob("*.writing"))


@pytest.mark.parametrize("processes", [None, 2])
def test_broken_images_are_skipped_and_counted_where_that_was_asked_for(tmp_path, broken, processes):
    cache = tmp_path / "cache"
    for _ in range(2):  # written, then read
        ids = prepare(broken, encoder(), "train", folder=cache, about=ABOUT, num_proc=processes, skip_broken=True)
        assert sorted(ids.problems) == [2, 3]
        assert ids.lengths.tolist() == [16, 16, 0, 0, 16]
    with pytest.raises(UserError, match=r"2\.png cannot be read"):
        prepare(broken, encoder(), "train", folder=cache, about=ABOUT)


def test_a_full_disk_is_told_and_leaves_no_entry(disk):
    folder = disk(256) / "cache"
    with pytest.raises(UserError, match=r"is full: .*cache prune.*tokens\.cache_dir"):
        prepare(images(200, side=64), encoder(), "train", folder=folder, about=ABOUT)
    assert cache_entries(folder) == []
    assert not list(folder.glob("*.writing"))


def test_a_full_disk_is_told_in_a_worker_too(disk):
    with pytest.raises(UserError, match="is full"):
        prepare(images(200, side=64), encoder(), "train", folder=disk(256), about=ABOUT, num_proc=2)


def test_a_disk_that_fills_up_at_the_end_leaves_no_entry(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(UserError, match="is full"):
        patch.setattr("pathlib.Path.rename", full)
        prepare(images(), encoder(), "train", folder=tmp_path, about=ABOUT)
    assert cache_entries(tmp_path) == []
    assert len(prepare(images(), encoder(), "train", folder=tmp_path, about=ABOUT)) == 12


def test_a_read_only_cache_works_where_it_is_whole(disk):
    folder = disk(4096)
    prepare(images(), encoder(), "train", folder=folder, about=ABOUT)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    assert len(prepare(images(), encoder(), "train", folder=folder, about=ABOUT)) == 12
    with pytest.raises(UserError, match=r"cannot be written .*tokens\.cache_dir"):
        prepare(images(), encoder(), "test", folder=folder, about=ABOUT)


def test_a_cache_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written .*tokens\.cache_dir"):
        prepare(images(), encoder(), "train", folder=tmp_path / "file", about=ABOUT)


def test_prune_removes_what_was_not_used_for_so_many_days(tmp_path):
    for split in ("train", "test"):
        prepare(images(), encoder(), split, folder=tmp_path, about=ABOUT)
    old = next(entry.key for entry in cache_entries(tmp_path) if entry.about["split"] == "train")
    os.utime(tmp_path / old, (0, 0))
    assert prune(tmp_path, older_than_days=1) == [old]
    assert [entry.about["split"] for entry in cache_entries(tmp_path)] == ["test"]
    prepare(images(), encoder(), "test", folder=tmp_path, about=ABOUT)  # use counts, not age
    assert prune(tmp_path, older_than_days=1) == []
    assert len(prune(tmp_path)) == 1
    assert cache_entries(tmp_path) == []


def test_prune_touches_nothing_that_is_not_the_cache_s(tmp_path):
    (tmp_path / "my thesis").mkdir()
    (tmp_path / "backup.writing").mkdir()
    (tmp_path / "notes.txt").write_text("")
    prepare(images(), encoder(), "train", folder=tmp_path, about=ABOUT)
    assert len(prune(tmp_path)) == 1
    assert {"my thesis", "backup.writing", "notes.txt"} <= {path.name for path in tmp_path.iterdir()}


def test_prune_of_a_cache_that_never_was(tmp_path):
    assert prune(tmp_path / "nowhere") == []
    assert not (tmp_path / "nowhere").exists()
