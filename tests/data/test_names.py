import unicodedata

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llmimg.data.names import alike, nearest_name, same, without_training


def test_names_that_differ_by_case_or_spaces_are_said():
    (note,) = alike(["cat", "dog", " Cat", "cat  ", "hot dog", "hot  dog"])
    assert "'cat' and ' Cat' and 'cat  ', 'hot dog' and 'hot  dog'" in note
    assert alike(["cat", "dog"]) == []


def test_the_nearest_name():
    assert nearest_name("One", ["one", "two"]) == "one"
    assert nearest_name("one ", ["two", "one"]) == "one"
    assert nearest_name("tow", ["one", "two"]) == "two"
    assert nearest_name("zebra", ["one", "two"]) is None


@given(st.text())
def test_unicode_forms_are_the_same(name):
    assert same(unicodedata.normalize("NFD", name)) == same(name) == same(same(name))


def test_what_cannot_be_learned_comes_with_its_nearest():
    labels = {"train": np.array([0, 0, 1]), "validation": np.array([2]), "test": np.array([2, 3, 3, -1])}
    (note,) = without_training(["one", "two", "One", "zebra", "none"], labels)
    assert note == (
        "3 of 5 classes have no training image and cannot be learned: 'One' (1 validation and 1 test images, the "
        "nearest that has some: 'one'), 'zebra' (2 test images), 'none' (no images)."
    )
    assert without_training(["one", "two"], {"train": np.array([0, 1]), "test": np.array([0])}) == []
