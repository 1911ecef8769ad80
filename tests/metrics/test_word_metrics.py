"""Answers and captions in words, held against one reference or several."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.metrics.words import agreement, bleu, caption_bleu, commonest, normalised, number_of

ANSWERS = st.sampled_from(["red", "the red", "blue", "two", "2", "yes"])


@pytest.mark.parametrize(
    ("answer", "as_compared"),
    [
        ("The Dogs, two!", "dogs 2"),
        ("a T-shirt", "t shirt"),
        ("1,000", "1000"),
        ("3.5", "3.5"),
        ("Yes.", "yes"),
        ("dont know", "don't know"),
        ("it’s", "it's"),
        ("none", "0"),
        ("on\nthe\ttable", "on table"),
        ("left/right", "left right"),
        ("猫", "猫"),
        ("?", "?"),
        ("A", "a"),
        ("-5", "-5"),
        ("from 3-5", "from 3 5"),
    ],
)
def test_answers_are_compared_without_what_does_not_matter(answer, as_compared):
    assert normalised(answer) == as_compared


@given(ANSWERS, st.lists(ANSWERS, min_size=4, max_size=10))
def test_agreement_is_the_mean_over_all_choices_of_all_annotators_but_one(answer, known):
    shares = [
        min(sum(normalised(each) == normalised(answer) for each in others) / 3, 1)
        for others in itertools.combinations(known, len(known) - 1)
    ]
    assert agreement(answer, known) == pytest.approx(sum(shares) / len(shares))


@given(ANSWERS, st.lists(ANSWERS, min_size=1, max_size=3))
def test_of_few_answers_any_is_right(answer, known):
    assert agreement(answer, known) == (normalised(answer) in map(normalised, known))


def test_where_all_agree_both_sides_are_normalised():
    assert agreement("The dog.", ["a dog"] * 10) == 1


@given(st.lists(ANSWERS, min_size=1))
def test_the_commonest_is_one_of_them_that_most_agree_with(known):
    counts = [sum(normalised(one) == normalised(other) for other in known) for one in known]
    assert counts[known.index(commonest(known))] == max(counts)


def test_bleu_of_captions_with_one_reference_or_several():
    own = [["a red circle above a blue square"], ["two cats sit on the mat", "a mat with two cats on it"]]
    assert bleu([each[-1] for each in own], own) == pytest.approx(100)
    assert bleu(["a red circle\n above a blue  square", "a dog"], own) < 100
    assert bleu(["", ""], own) == 0
    assert caption_bleu("two cats sit on the mat", own[1]) == pytest.approx(100)


@pytest.mark.parametrize(
    ("answer", "number"), [("seven", 7), ("1,000", 1000), ("2.5", 2.5), ("a dog", None), ("nan", None), ("", None)]
)
def test_answers_that_are_numbers(answer, number):
    assert number_of(answer) == number
