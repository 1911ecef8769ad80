"""Captions: one of several is learned, and any of an image's own is right."""

from llmimg.tasks.base import TASKS
from llmimg.tasks.words import Words
from llmimg.tokens.sample import RowText

TASK = TASKS["caption"].with_settings()


def row(caption):
    return {"id": "0", "caption": caption}


def test_of_several_captions_one_is_drawn():
    several = row(["a dog", "ein Hund", "犬\n犬"])
    drawn = {TASK.answer(several, seed) for seed in range(40)}
    assert drawn == {(RowText(f" {text}"),) for text in several["caption"]}
    assert TASK.answer(several, None) == (RowText(" a dog"),)


def test_any_of_an_images_own_captions_is_right_however_its_lines_break():
    rows = [row(["a dog", "a big\ndog runs"]), row("a dog"), row("a dog")]
    found = TASK.metrics([Words("a big dog  runs"), Words("A dog"), Words(None, problem="It breaks off.")], rows, False)
    assert found["exact_match"] == found["unread_answers"] == 1 / 3
    assert 0 < found["bleu"] < 100
