"""Several labels an image: what is learned of a row, what is written, and what is read."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.errors import UserError
from llmimg.tasks.base import TASKS
from llmimg.tasks.chosen import kind_of, name_of
from llmimg.tasks.info import DataInfo
from llmimg.textify import make
from llmimg.tokens.sample import Answer, ImageSlot

NAMES = ("cat", "hot dog", "dog")
INFO = DataInfo(("a", "b"), {"labels": NAMES}, counts={"labels": (1, 4, 0), "label": (6, 2)}, rows=5)


def task(info=INFO, **settings):
    return TASKS["classify"].with_settings(info, multiple=True, **settings).bind(info, make("gray"))


def text_of(answer) -> str:
    return task().lexicon.text(answer[0].ids)


def test_a_setting_chooses_the_task():
    several, one = task(), TASKS["classify"].with_settings(INFO)
    assert kind_of({"name": "classify", "multiple": "true"}) is type(several) is not type(one)
    assert kind_of({"name": "classify"}) is kind_of({"name": "classify", "multiple": False}) is type(one)
    assert name_of(several) == name_of(one) == "classify"
    assert (several.classes, one.classes) == (NAMES, ("a", "b"))
    with pytest.raises(UserError, match=r"The setting 'task\.multiple' cannot be 'both'"):
        kind_of({"name": "classify", "multiple": "both"})


@given(st.sets(st.integers(0, 2)))
def test_the_names_of_those_that_hold_are_written_and_read(labels):
    row = {"id": "s", "labels": sorted(labels)}
    answer = task().answer(row, None)
    assert text_of(answer) == "".join([" " + ", ".join(NAMES[each] for each in sorted(labels))] if labels else [])
    sureness = np.log(np.linspace(0.3, 0.9, len(labels))).astype(np.float32)
    found = task().read(Answer(pieces=answer[0].ids, log_probabilities=sureness), row)
    np.testing.assert_array_equal(found.labels, np.isin(range(3), sorted(labels)))
    np.testing.assert_allclose(found.probabilities[sorted(labels)], np.exp(sureness), rtol=1e-6)
    assert found.probabilities[~found.labels].sum() == 0
    np.testing.assert_array_equal(task().truth(row).labels, found.labels)
    np.testing.assert_array_equal(task().target(row), found.labels.astype(np.float32))
    assert set(task().as_json(found)["probabilities"]) == set(task().as_json(found)["labels"])


def test_names_stand_in_the_order_of_the_classes_each_once():
    grammar = task().grammar
    for count in range(4):
        for numbers in itertools.permutations(range(3), count):
            text = " " * (count > 0) + ", ".join(NAMES[each] for each in numbers)
            if list(numbers) == sorted(numbers):
                assert grammar.lexicon.text(grammar.parse(text)) == text
            else:
                with pytest.raises(UserError):
                    grammar.parse(text)
    for text in (" cat, cat", " cat,", "cat", " cat dog"):
        with pytest.raises(UserError):
            grammar.parse(text)
    assert task().longest == grammar.longest == 3


def test_a_class_holds_from_one_half_on():
    found = task().read(Answer(scores=np.array([0.0, -0.1, 30.0], np.float32)), {"id": "s"})
    assert task().text(found) == "cat, dog"
    said = task().as_json(found)
    assert said["labels"] == ["cat", "dog"] and list(said["probabilities"]) == list(NAMES)
    np.testing.assert_allclose(found.probabilities, 1 / (1 + np.exp([0, 0.1, -30])), rtol=1e-6)
    assert task().text(task().truth({"labels": []})) == "nothing"


def test_what_was_not_read_is_counted():
    rows = [{"id": "s", "labels": [0]}, {"id": "t", "labels": []}]
    whole, broken = Answer(pieces=np.array([0])), Answer(problem="It cannot be read.")
    predictions = task().read_all([whole, broken], rows)
    found = task().metrics(predictions, rows, intervals=False)
    assert found["unread_answers"] == 0.5 and found["map"] == 1 and "loss" not in found
    assert task().table(predictions, rows)["problem"] == ["", "It cannot be read."]
    assert "unread_answers" not in task().metrics([task().truth(row) for row in rows], rows, intervals=False)


def test_a_diverged_model_is_said():
    rows = [{"id": "s", "labels": [0]}]
    for wrong in (np.nan, np.inf):
        predictions = task().read_all([Answer(scores=np.array([wrong, 0, 0]))], rows)
        with pytest.raises(UserError, match="diverged"):
            task().metrics(predictions, rows)


def test_without_looking_each_class_has_its_share():
    found = task().constant([{"labels": each} for each in ([0, 2], [0], [0], [])])
    np.testing.assert_allclose(found.probabilities, [0.75, 0, 0.25])
    assert task().text(found) == "cat"


def test_the_prompt_leaves_the_space_to_the_answer():
    assert task().prompt({}, None) == (ImageSlot(), "\nclass:")
    assert task(prompts="{classes}: {image} has").prompt({}, None)[0] == "cat, hot dog, dog: "


def test_weights_make_up_for_rare_classes():
    assert task().class_weights is None
    np.testing.assert_allclose(task(class_weights="balanced").class_weights, [4, 0.25, 1])
    one = TASKS["classify"].with_settings(INFO, class_weights="balanced")
    np.testing.assert_allclose(one.class_weights, [8 / 2 / 6, 8 / 2 / 2])  # 6 rows and 2: 8 in all
    rare = TASKS["classify"].with_settings(DataInfo(NAMES, counts={"label": (3, 1, 0)}), class_weights="balanced")
    np.testing.assert_allclose(rare.class_weights, [4 / 2 / 3, 2, 1])
    assert TASKS["classify"].with_settings(INFO).class_weights is None


def test_what_it_cannot_be_asked_of_is_said():
    with pytest.raises(UserError, match=r"needs labels, and these data have none: .* data\.label_column="):
        task(DataInfo(("a", "b")))
    with pytest.raises(UserError, match=r"words behind \{answer\}, where the names of several classes"):
        task(prompts="{image}: {answer}, that is all")
    with pytest.raises(UserError, match=r"'a, b' has a comma, .* take readout=head"):
        _ = task(DataInfo(classes={"labels": ("a", "a, b")})).grammar
    with pytest.raises(UserError, match=r"501 classes, and names of more than 500 .* take readout=head"):
        _ = task(DataInfo(classes={"labels": tuple(map(str, range(501)))})).grammar
    with pytest.raises(UserError, match="No training image has a label"):
        task().check([{"labels": []}])
    with pytest.raises(UserError, match=r"No image of the test split has a label.*data\.test_split="):
        task().check_scored([{"labels": []}], "test")
