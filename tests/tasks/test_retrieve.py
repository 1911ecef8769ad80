"""Captions and images, each found by the other: ranks from a matrix of likelihoods."""

import numpy as np
import pytest

from llmimg.tasks.base import TASKS
from llmimg.tokens.sample import Answer, RowText

TASK = TASKS["retrieve"].with_settings()


def rows(*captions):
    return [{"id": str(number), "caption": caption} for number, caption in enumerate(captions)]


def ranked(captions, scores):
    known = rows(*captions)
    answers = [Answer(scores=np.float32(row)) for row in scores]
    return TASK.of_split(known).read_all(answers, known), known


def test_all_captions_of_a_split_are_held_against_each_image_once():
    task = TASK.of_split(rows(["a dog", "a  cat"], "a dog", "ein\nHund"))
    assert task.held_against == ((RowText(" a dog"),), (RowText(" a  cat"),), (RowText(" ein\nHund"),))


def test_a_caption_that_several_images_have_is_right_for_each():
    predictions, known = ranked(["a", "a", "b"], np.log([[0.6, 0.1], [0.9, 0.1], [0.1, 0.9]]))
    assert [each.to_text for each in predictions] == [1, 1, 1]
    assert [each.to_image for each in predictions] == [(1,), (1,), (1,)]
    metrics = TASK.metrics(predictions, known, intervals=False)
    assert metrics["recall_at_1"] == metrics["image_to_text_recall_at_5"] == 1
    assert metrics["text_to_image_median_rank"] == 1


def test_a_caption_that_is_likely_behind_every_image_comes_first_behind_none():
    # "b" is likelier than "a" everywhere, and less so behind the first image.
    predictions, known = ranked(["a", "b"], np.log([[0.3, 0.5], [0.05, 0.6]]))
    assert [each.to_text for each in predictions] == [1, 1]
    assert [each.to_image for each in predictions] == [(1,), (1,)]
    assert predictions[0].nats == pytest.approx(-np.log(0.3))
    assert TASK.headline(TASK.table(predictions, known)).tolist() == [1, 1]


def test_what_was_found_is_shown_the_likeliest_first():
    predictions, _ = ranked(["a", "b", "c"], np.log([[0.1, 0.8, 0.1], [0.2, 0.1, 0.7], [0.1, 0.1, 0.8]]))
    assert [each.to_text for each in predictions] == [2, 3, 1]
    assert [caption for caption, _ in predictions[0].found] == ["b", "a", "c"]
    assert TASK.as_json(predictions[0])["captions"][0]["caption"] == "b"
