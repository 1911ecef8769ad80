import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.data.plain_text import END, lines, text_files
from llmimg.errors import UserError
from llmimg.textify import make
from llmimg.tokens.plain_text import held_out, rows_of, text_stream
from llmimg.tokens.vocabulary import make_vocabulary


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    (folder / "b").mkdir(parents=True)
    (folder / "a.txt").write_bytes("One line.\r\nTwo – a dash\n\n  indented".encode())
    (folder / "b" / "c.txt").write_text("Last\n")
    (folder / "d.md").write_text("Not of the folder's *.txt\n")
    return folder


def test_files_are_found_by_name_folder_or_pattern(corpus):
    assert text_files(str(corpus / "d.md")) == [corpus / "d.md"]
    assert text_files(str(corpus)) == [corpus / "a.txt", corpus / "b" / "c.txt"]
    assert text_files(f"{corpus}/*.*") == [corpus / "a.txt", corpus / "d.md"]
    with pytest.raises(UserError, match=r"No text file is at '.*/\*\.rst'"):
        text_files(f"{corpus}/*.rst")


def test_what_stands_there_literally_is_no_pattern(tmp_path):
    for name in ("set1", "set[1]"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a[1].txt").write_text(name)
        (tmp_path / name / "a1.txt").write_text(name)
    folder = tmp_path / "set[1]"
    assert text_files(str(folder)) == text_files(f"{folder}/*.txt") == [folder / "a1.txt", folder / "a[1].txt"]
    assert text_files(str(folder / "a[1].txt")) == [folder / "a[1].txt"]


def test_lines_keep_what_ends_them(corpus):
    files = text_files(str(corpus))
    read = list(lines(files))
    whole = [list(group) for is_end, group in itertools.groupby(read, lambda line: line == END) if not is_end]
    assert ["".join(each).encode() for each in whole] == [file.read_bytes() for file in files]
    assert read.count(END) == 2


def test_the_stream_is_what_the_tokenizer_makes_of_each_line(corpus, gpt2, tmp_path):
    vocabulary = make_vocabulary("reuse", make("region_color"), gpt2)
    end = gpt2.eos_token_id
    expected = [
        *(id for line in ("One line.\r\n", "Two – a dash\n", "\n", "  indented") for id in gpt2(line).input_ids), end,
        *gpt2("Last\n").input_ids, end,
    ]  # fmt: skip
    for num_proc in (None, 2):
        folder = tmp_path / f"cache{num_proc}"
        stream = text_stream(str(corpus), vocabulary, folder=folder, about={}, num_proc=num_proc)
        assert stream.tolist() == expected
    assert not list(folder.rglob("lines"))  # only ids are kept
    (entry,) = (path for path in folder.iterdir() if not path.name.startswith("."))
    before = entry.stat().st_ino
    text_stream(str(corpus), vocabulary, folder=folder, about={})
    assert entry.stat().st_ino == before  # from the cache
    (corpus / "a.txt").write_text("Changed")
    assert len(text_stream(str(corpus), vocabulary, folder=folder, about={})) < len(expected)


def test_what_a_tokenizer_does_not_know_is_its_unknown_token(minilm, tmp_path):
    (tmp_path / "text.txt").write_text("a \U0001f984 dog\n")
    vocabulary = make_vocabulary("reuse", make("region_color"), minilm)
    stream = text_stream(str(tmp_path), vocabulary, folder=tmp_path / "cache", about={})
    assert stream.tolist() == [*minilm("a \U0001f984 dog", add_special_tokens=False).input_ids, minilm.sep_token_id]
    assert minilm.unk_token_id in stream


def test_what_cannot_be_read_is_said(tmp_path, gpt2):
    (tmp_path / "latin.txt").write_bytes("fünf\n".encode("latin-1"))
    vocabulary = make_vocabulary("reuse", make("gray"), gpt2)
    with pytest.raises(UserError, match=r"latin\.txt \(task\.files\) is not text in UTF-8"):
        text_stream(str(tmp_path), vocabulary, folder=tmp_path / "cache", about={})
    (tmp_path / "latin.txt").write_text("five\n")
    own = make_vocabulary("own", make("gray"), None)
    with pytest.raises(UserError, match=r"\(vocabulary=own\) has no tokens for the text 'five"):
        text_stream(str(tmp_path), own, folder=tmp_path / "cache", about={})


@given(st.integers(1, 500), st.floats(0.01, 0.9), st.floats(0.01, 0.9), st.integers(1, 50))
def test_the_end_is_held_out_and_rows_are_the_rest(count, val, test, length):
    stream = np.arange(count)
    parts = held_out(stream, val, test)
    assert np.concatenate(list(parts.values())).tolist() == stream.tolist()
    assert len(parts["test"]) >= test * count
    rows = rows_of(parts["train"], length)
    assert all(len(row) == length for row in rows[:-1])
    assert [each for row in rows for each in row] == parts["train"].tolist()
