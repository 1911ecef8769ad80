"""The cache between processes: those that prepare the same at once, those that are killed, and those of other code."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import llmimg
from llmimg.data import Decoding
from llmimg.data.columns import from_pixels
from llmimg.textify import make
from llmimg.tokens.cache import prepare
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.folders import cache_entries, prune
from llmimg.tokens.keys import cache_key
from llmimg.tokens.vocabulary import make_vocabulary

PACKAGE = Path(llmimg.__file__).parent

# What a process of its own does: the same data and encoder as `parts()`, with a pause where one is asked for.
SCRIPT = """
import sys, time, pathlib
import numpy as np
from llmimg.data import Decoding
from llmimg.data.columns import from_pixels
from llmimg.textify import make
from llmimg.tokens import cache, keys
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.vocabulary import make_vocabulary

folder, pause, seconds = pathlib.Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
pixels = np.random.default_rng(0).integers(0, 256, (40, 4, 4)).astype(np.uint8)
data = from_pixels(pixels, np.arange(40) % 2, ["odd", "even"])
textifier = make("region_color")
encoder = Encoder(Decoding(), textifier, make_vocabulary("own", textifier, None))


def paused(call):
    def slow(*given, **named):
        (folder.parent / "paused").touch()
        print("paused", flush=True)
        time.sleep(seconds)
        return call(*given, **named)
    return slow


if pause == "key":
    print(keys.cache_key(data, encoder, "train"))
else:
    if pause == "map":
        Encoder.hashed = paused(Encoder.hashed)
    if pause == "rename":
        pathlib.Path.rename = paused(pathlib.Path.rename)
    ids = cache.prepare(data, encoder, "train", folder=folder, about={})
    print(sum(int(ids[row].astype(np.int64).sum()) for row in range(len(ids))))
"""


def parts():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 4, 4)).astype(np.uint8)
    textifier = make("region_color")
    encoder = Encoder(Decoding(), textifier, make_vocabulary("own", textifier, None))
    return from_pixels(pixels, np.arange(40) % 2, ["odd", "even"]), encoder


@pytest.fixture
def start():
    """Starts the script in a process of its own; what still runs at the end is killed."""
    running = []

    def run(folder, pause: str, seconds: float = 600, root: Path = PACKAGE.parent) -> subprocess.Popen:
        words = [sys.executable, "-c", SCRIPT, str(folder), pause, str(seconds)]
        environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        running.append(subprocess.Popen(words, env=environment, cwd=root, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.wait()


def wait_for(condition, seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it never came to that"
        time.sleep(0.05)


@pytest.mark.slow
def test_the_key_changes_with_the_code_that_makes_ids_and_no_other(tmp_path, start):
    processes = []
    for name, file in (("ids", "textify/region.py"), ("page", "report/page.py")):
        shutil.copytree(PACKAGE, tmp_path / name / "llmimg", ignore=shutil.ignore_patterns("__pycache__"))
        with (tmp_path / name / "llmimg" / file).open("a") as code:
            code.write("# a remark\n")
        processes.append(start(tmp_path / "cache", "key", root=tmp_path / name))
    ids, page = (process.communicate(timeout=120)[0].strip() for process in processes)
    here = cache_key(*parts(), "train")
    assert page == here  # in another process, from another folder
    assert len(ids) == len(here) and ids != here


@pytest.mark.slow
def test_two_that_prepare_the_same_at_once_both_end_right(tmp_path, start):
    processes = [start(tmp_path / "cache", "map", seconds=2) for _ in range(2)]
    answers = [process.communicate(timeout=120)[0].split() for process in processes]
    data, encoder = parts()
    expected = str(int(encoder(data["image"])[0].values.astype(np.int64).sum()))
    assert sorted(answers, key=len) == [[expected], ["paused", expected]]  # one wrote, one waited and read


@pytest.mark.slow
@pytest.mark.parametrize("pause", ["map", "rename"])
def test_a_killed_preparation_leaves_nothing_that_is_taken_for_whole(tmp_path, start, pause):
    cache = tmp_path / "cache"
    process = start(cache, pause)
    wait_for((tmp_path / "paused").exists)
    assert prune(cache) == []  # what is being written is spared
    process.send_signal(signal.SIGKILL)
    process.wait()

    data, encoder = parts()
    (left,) = cache.glob("*.writing")
    assert not (cache / cache_key(data, encoder, "train")).exists()
    if pause == "map":  # either of two clears it away
        assert prune(cache) == [left.name]
    prepared = prepare(data, encoder, "train", folder=cache, about={})
    assert [prepared[row].tolist() for row in range(40)] == [row.tolist() for row in encoder(data["image"])[0]]
    assert not left.exists()
    assert len(cache_entries(cache)) == 1
