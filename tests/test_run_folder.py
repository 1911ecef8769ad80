import json

import pytest

import llmimg
from llmimg.atomic import replacing
from llmimg.errors import UserError
from llmimg.run_folder import RunFolder, flatten, write_text

CONFIG = {"seed": 0, "data": {"name": "digits", "size": (8, 8)}, "run_dir": "here", "tokens": {"cache_dir": None}}
DATA = {"splits": {}, "sources": {}}


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    run = RunFolder(tmp_path / "experiment" / "seed=0")
    run.begin(CONFIG, force=False, data=DATA)
    run.end(mistaken=False)
    return run


def test_what_stands_in_a_folder_that_began(folder):
    assert not folder.is_finished
    assert folder.config() == {"seed": 0, "data": {"name": "digits", "size": [8, 8]}, "tokens": {"cache_dir": None}}
    assert folder.data() == DATA
    environment = folder.environment()
    assert environment["llmimg"] == llmimg.__version__
    assert {"python", "torch", "transformers", "datasets", "git_commit", "device"} <= environment.keys()
    folder.finish({"test/accuracy": 0.5})
    assert folder.is_finished and folder.metrics() == {"test/accuracy": 0.5}


def test_the_same_configuration_is_at_home(folder):
    assert folder.check_is_ours({**CONFIG, "run_dir": "there", "tokens": {"cache_dir": "elsewhere"}}, force=False) == []


def test_another_is_not_and_what_differs_is_named(folder):
    with pytest.raises(
        UserError, match=r"different: data\.name \(digits there, mnist here\), seed \(0 there, 1 here\)"
    ):
        folder.check_is_ours({**CONFIG, "seed": 1, "data": {"name": "mnist", "size": (8, 8)}}, force=False)
    with pytest.raises(UserError, match=r"and 3 more"):
        folder.check_is_ours({**CONFIG, **{f"new{number}": number for number in range(8)}}, force=False)


def test_a_new_folder_is_anyone_s(tmp_path):
    assert RunFolder(tmp_path / "new").check_is_ours(CONFIG, force=False) == []
    assert not (tmp_path / "new").exists()


def test_another_version_s_folder_is_refused(folder):
    (folder.path / "environment.json").write_text(json.dumps({"llmimg": "99.0"}))
    with pytest.raises(UserError, match=r"written by llmimg 99\.0, and this is"):
        folder.check_is_ours(CONFIG, force=False)


def test_another_commit_is_told(folder, monkeypatch):
    monkeypatch.setattr("llmimg.run_folder.git_commit", lambda: "abc")
    (note,) = folder.check_is_ours(CONFIG, force=False)
    assert note.endswith("and is at abc now.")


def test_a_configuration_that_cannot_be_read(folder):
    (folder.path / "config.yaml").write_text("{")
    with pytest.raises(UserError, match=r"config\.yaml cannot be read: mend it, or start over with force=true"):
        folder.check_is_ours(CONFIG, force=False)


def test_force_takes_another_configuration_s_folder(folder):
    other = {**CONFIG, "seed": 1}
    folder.finish({"test/accuracy": 0.5})
    assert folder.check_is_ours(other, force=True) == []
    (folder.path / "notes.txt").write_text("mine")
    folder.begin(other, force=True, data=DATA)
    folder.end(mistaken=False)
    assert not folder.is_finished and folder.config()["seed"] == 1
    assert (folder.path / "notes.txt").exists()


def test_a_folder_of_other_things_is_refused_and_left_alone(tmp_path):
    (tmp_path / "model").mkdir()
    for force in (False, True):
        with pytest.raises(UserError, match="holds files, and no run of llmimg"):
            RunFolder(tmp_path).check_is_ours(CONFIG, force)
    assert (tmp_path / "model").exists()


def test_a_mistake_takes_a_new_run_away_and_leaves_an_old_one(tmp_path, folder):
    new = RunFolder(tmp_path / "new")
    new.begin(CONFIG, force=False, data=DATA)
    new.end(mistaken=True)
    assert not new.path.exists()
    before = folder.config()
    folder.begin(CONFIG, force=False, data=DATA)
    folder.end(mistaken=True)
    assert folder.config() == before and folder.data() == DATA


def test_one_process_at_a_time(folder):
    folder.begin(CONFIG, force=False, data=DATA)
    with pytest.raises(UserError, match="Another process is carrying out"):
        RunFolder(folder.path).begin(CONFIG, force=False, data=DATA)
    folder.end(mistaken=False)
    RunFolder(folder.path).begin(CONFIG, force=False, data=DATA)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written .*run_dir="):
        RunFolder(tmp_path / "file" / "run").begin(CONFIG, force=False, data=DATA)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "metrics.json"
    write_text(file, "old")
    with monkeypatch.context() as patch, pytest.raises(UnicodeEncodeError):
        patch.setenv("PYTHONUTF8", "1")
        write_text(file, "half \udc80")
    assert file.read_text() == "old"
    write_text(file, "new")
    assert file.read_text() == "new" and [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


def test_flatten():
    assert flatten({"a": {"b": {"c": 1}, "d": (1, 2)}, "e": None}) == {"a.b.c": 1, "a.d": [1, 2], "e": None}


def test_several_may_write_one_file_at_once(tmp_path):
    file = tmp_path / "report.html"
    with replacing(file) as one, replacing(file) as other:
        one.write_text("one")
        other.write_text("other")
    assert file.read_text() == "one"
    with pytest.raises(OSError), replacing(file) as part:
        part.write_text("half")
        raise OSError
    assert file.read_text() == "one" and list(tmp_path.iterdir()) == [file]
