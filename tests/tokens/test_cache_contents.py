"""What is kept is what was written, of what the images are now: flipped bytes, mended images, other code."""

import ast
import importlib.metadata
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import llmimg
from llmimg.data import Decoding
from llmimg.data.columns import from_files, from_pixels
from llmimg.errors import UserError
from llmimg.textify import make
from llmimg.tokens import keys
from llmimg.tokens.cache import prepare, prepare_hashes
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.folders import cache_entries
from llmimg.tokens.learned import learned_textifier
from llmimg.tokens.plain_text import text_stream
from llmimg.tokens.vocabulary import make_vocabulary

NAMES = ["odd", "even"]
PACKAGE = Path(llmimg.__file__).parent


def images(count=12):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 4, 4)).astype(np.uint8)
    return from_pixels(pixels, np.arange(count) % 2, NAMES)


def encoder(name="gray"):
    textifier = make(name)
    return Encoder(Decoding(), textifier, make_vocabulary("own", textifier, None))


def rows(ids):
    return [ids[row].tolist() for row in range(len(ids))]


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def append(file):
    file.write_bytes(file.read_bytes() + b"\0")


LEVELS = (("dark", 10), ("light", 200))
DAMAGES = {
    "a byte flipped": (flip, "ids.arrow"),
    "cut short": (lambda file: file.write_bytes(file.read_bytes()[:-9]), "ids.arrow"),
    "a byte more": (append, "ids.arrow"),
    "a file gone": (lambda file: file.unlink(), "ids.arrow"),
    "a file more": (lambda file: shutil.copy(file, file.with_name("ids_more.arrow")), "ids.arrow"),
    "about.json torn": (lambda file: file.write_text(file.read_text()[:30]), "about.json"),
    "about.json gone": (lambda file: file.unlink(), "about.json"),
    "about.json empty": (lambda file: file.write_text(""), "about.json"),
    "about.json of something else": (lambda file: file.write_text("[1]"), "about.json"),
    "about.json changed": (lambda file: file.write_text(file.read_text().replace('ds": ', 'ds": 1')), "about.json"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_made_anew_and_it_is_said(tmp_path, damage, caplog):
    written = rows(prepare(images(), encoder(), "train", folder=tmp_path, about={}))
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir() and not path.name.startswith("."))
    change, name = DAMAGES[damage]
    change(folder / name)
    assert len(cache_entries(tmp_path)) == 1  # `cache list` goes on
    caplog.clear()
    again = prepare(images(), encoder(), "train", folder=tmp_path, about={})
    assert rows(again) == written
    assert [record for record in caplog.messages if f"{folder.name} was damaged: it is made anew" in record]
    caplog.clear()
    assert rows(prepare(images(), encoder(), "train", folder=tmp_path, about={})) == written
    assert caplog.messages == []


def test_what_lies_under_the_key_of_another_is_made_anew(tmp_path):
    sets = {name: from_pixels(np.full((6, 4, 4), level, np.uint8), np.arange(6) % 2, NAMES) for name, level in LEVELS}
    made = {name: rows(prepare(each, encoder(), "train", folder=tmp_path, about={})) for name, each in sets.items()}
    one, other = (path for path in tmp_path.iterdir() if path.is_dir() and not path.name.startswith("."))
    one.rename(tmp_path / "between")
    other.rename(one)
    (tmp_path / "between").rename(other)
    for name, each in sets.items():
        assert rows(prepare(each, encoder(), "train", folder=tmp_path, about={})) == made[name]


def test_what_was_learned_is_checked_too(tmp_path, caplog):
    def learn():
        textifier = make("patch_words", words=4, patch=2, codes=4)
        return learned_textifier(textifier, images(), Decoding(), folder=tmp_path, about={})

    known = learn().state
    for file in tmp_path.glob("*/*.safetensors"):
        flip(file)
    again = learn().state
    assert known.keys() == again.keys() and all(np.array_equal(known[name], again[name]) for name in known)
    assert any("damaged" in message for message in caplog.messages)


def test_an_image_that_can_be_read_again_is_no_longer_skipped(tmp_path):
    paths = [str(tmp_path / f"{index}.png") for index in range(4)]
    for index, path in enumerate(paths):
        Image.fromarray(np.full((4, 4), 50 * index, np.uint8)).save(path)
    data = from_files(paths, paths, [0] * 4, NAMES, "the same fingerprint all along")
    whole = [(tmp_path / f"{index}.png").read_bytes() for index in (1, 2)]
    for index in (1, 2):
        (tmp_path / f"{index}.png").write_bytes(b"broken")
    kept = {"folder": tmp_path / "cache", "about": {}, "skip_broken": True}
    assert sorted(prepare(data, encoder(), "train", **kept).problems) == [1, 2]
    assert prepare_hashes(data, Decoding(), "train", **kept)[1:3] == (None, None)
    written = [entry for entry in cache_entries(tmp_path / "cache") if entry.about["broken"]]
    prepare(data, encoder(), "train", **kept)
    assert {entry.used for entry in written}  # still broken: what was written is read
    (tmp_path / "1.png").write_bytes(whole[0])
    assert sorted(prepare(data, encoder(), "train", **kept).problems) == [2]
    assert None not in prepare_hashes(data, Decoding(), "train", **kept)[:2]
    (tmp_path / "2.png").write_bytes(whole[1])
    ids = prepare(data, encoder(), "train", **(kept | {"skip_broken": False}))
    assert ids.problems == {} and ids.lengths.tolist() == [16] * 4
    assert len(set(ids.pixels)) == 4 == len(set(prepare_hashes(data, Decoding(), "train", **kept)))
    (tmp_path / "2.png").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"2\.png cannot be read"):
        prepare_hashes(data.select([2]), Decoding(), "test", folder=tmp_path / "cache", about={})


def test_hashes_are_kept_beside_ids_and_equal_those_of_decoding(tmp_path):
    data = images(30)
    ids = prepare(data, encoder("region_color"), "train", folder=tmp_path, about={}, num_proc=2)
    expected = tuple(Decoding().hashed(data["image"])[2])
    assert ids.pixels == expected
    assert prepare_hashes(data, Decoding(), "train", folder=tmp_path, about={}) == expected


def test_plain_text_is_known_by_what_it_holds(tmp_path, smollm2):
    vocabulary = make_vocabulary("reuse", make("gray"), smollm2)
    file = tmp_path / "t.txt"
    streams = []
    for text in ("one two\n", "two one\n"):  # of one size
        file.write_text(text)
        streams.append(text_stream(str(file), vocabulary, folder=tmp_path / "cache", about={}).tolist())
    assert streams[0] != streams[1]


def test_the_key_covers_all_code_and_libraries_that_ids_come_through():
    files = keys.code_files()
    known = {".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in files}
    known |= {name.removesuffix(".__init__") for name in known}
    imported = {name for file in files for name in _imported(file)}
    ours = {name for name in imported if name.split(".")[0] == "llmimg"} - {"llmimg"}
    assert ours <= known
    assert {"llmimg.data.plain_text", "llmimg.data.sources.folder", "llmimg.textify.keypoint"} <= known
    assert not any(name.startswith(("llmimg.report", "llmimg.training")) for name in known)
    of_module = importlib.metadata.packages_distributions()
    packages = {each.lower() for name in imported for each in of_module.get(name.split(".")[0], ())}
    shape_no_ids = {"filelock", "huggingface-hub", "huggingface_hub", "llmimg", "peft", "pyyaml", "threadpoolctl"}
    shape_no_ids |= {"annotated-types", "pydantic", "pydantic_core"}  # the settings that they checked are in the key
    assert packages - shape_no_ids - {"torch", "tqdm", "gguf"} <= set(keys.LIBRARIES)


def _imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
