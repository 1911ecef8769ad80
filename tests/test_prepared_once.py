"""Images are written as tokens once: what is asked of them, and in which words, prepares nothing again."""

import pytest

from llmimg.tokens.folders import cache_entries

pytestmark = pytest.mark.usefixtures("one_thread")

ASKED = {
    "score": ("readout=score",),
    "words": ("readout=score", "task.template='One of {{classes}}: {{image}}\nIt is {{answer}}.\n'", "task.shots=2"),
    "clm": ("task=clm",),
}


def test_other_questions_prepare_nothing_again(run):
    kept = keys(run("head", "trainer.max_steps=1"))
    assert len(kept) == 3  # a split each
    for name, asked in ASKED.items():
        assert keys(run(name, "trainer.max_steps=1", *(each.format() for each in asked))) == kept


def keys(folder) -> set[str]:
    return {entry.key for entry in cache_entries(folder.parent / "cache")}
