import hashlib
import os
import shutil
import time

import pytest

from llmimg.data.contents import file_hashes


def clock(monkeypatch, seconds: float):
    """The clock shows so much later than files are stamped with."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + int(seconds * 10**9))


@pytest.fixture
def settled(monkeypatch):
    """Files written just now were written a while ago."""
    clock(monkeypatch, 4)


@pytest.fixture
def reads(monkeypatch):
    """Counts the files that are read."""
    found, whole = [], hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, name: found.append(file.name) or whole(file, name))
    return found


def fill(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


def test_a_hash_is_of_bytes_alone(tmp_path):
    one, two, three = fill(tmp_path / "a", x=b"1", y=b"2", z=b"1")
    found = file_hashes([one, two, three, one])
    assert found == [hashlib.sha256(data).hexdigest() for data in (b"1", b"2", b"1", b"1")]
    assert file_hashes([]) == []


def test_an_unchanged_file_is_read_once(tmp_path, settled, reads):
    files = fill(tmp_path / "a", x=b"1", y=b"2")
    first = file_hashes(files, tmp_path / "cache")
    assert file_hashes(files, tmp_path / "cache") == first and len(reads) == 2
    files += fill(tmp_path / "a", z=b"3")
    assert file_hashes(files, tmp_path / "cache")[:2] == first and len(reads) == 3


def test_a_file_changed_just_now_is_not_trusted(tmp_path, reads, monkeypatch):
    clock(monkeypatch, -100)  # however slow the machine
    files = fill(tmp_path / "a", x=b"1")
    for _ in range(2):
        file_hashes(files, tmp_path / "cache")
    assert len(reads) == 2


def swapped(folder):
    one, two = folder / "x", folder / "y"
    one.rename(folder / "z")
    two.rename(one)
    (folder / "z").rename(two)


def rewritten(folder):
    """Other bytes of the same number in the same file, with the times of before."""
    times = (folder / "x").stat()
    time.sleep(0.02)  # the clock of a file system ticks every few milliseconds
    (folder / "x").write_bytes(b"3")
    os.utime(folder / "x", ns=(times.st_atime_ns, times.st_mtime_ns))


def restored(folder):
    """Another file of the same name, size and times, as an archive brings it."""
    times = (folder / "x").stat()
    (folder / "new").write_bytes(b"3")
    os.utime(folder / "new", ns=(times.st_atime_ns, times.st_mtime_ns))
    os.replace(folder / "new", folder / "x")


@pytest.mark.parametrize("change", [swapped, rewritten, restored])
def test_what_sizes_and_times_do_not_tell(tmp_path, settled, change):
    files = fill(tmp_path / "a", x=b"1", y=b"2")
    for file in files:
        os.utime(file, ns=(10**18, 10**18))
    before = file_hashes(files, tmp_path / "cache")
    change(tmp_path / "a")
    after = file_hashes(files, tmp_path / "cache")
    assert after != before and after == file_hashes(files)


def test_what_cannot_be_read_is_tried_again(tmp_path, settled):
    (file,) = fill(tmp_path / "a", x=b"1")
    shutil.move(file, tmp_path / "away")
    assert file_hashes([file], tmp_path / "cache") == ["unreadable: No such file or directory"]
    shutil.move(tmp_path / "away", file)
    assert file_hashes([file], tmp_path / "cache") == file_hashes([file])


def test_a_damaged_index_is_not_believed(tmp_path, settled, reads):
    files = fill(tmp_path / "a", x=b"1")
    right = file_hashes(files, tmp_path / "cache")
    (kept,) = (tmp_path / "cache" / ".contents").iterdir()
    data = kept.read_bytes()
    kept.write_bytes(data.replace(right[0].encode(), b"0" * 64))
    assert file_hashes(files, tmp_path / "cache") == right and len(reads) == 2
    (tmp_path / "cache" / "file").write_bytes(b"")
    assert file_hashes(files, tmp_path / "cache" / "file") == right  # nowhere to keep it
