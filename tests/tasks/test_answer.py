"""Questions about an image: what is asked, what can be answered, and how answers are scored."""

import numpy as np
import pytest

from llmimg.errors import UserError
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import MOST_ANSWERS, DataInfo, training_answers
from llmimg.tasks.words import Words
from llmimg.textify import make
from llmimg.tokens.sample import Answer, ImageSlot, RowText

KNOWN = ("yes", "no", "2")


def task(answers=KNOWN, **settings):
    return (
        TASKS["answer"]
        .with_settings(DataInfo(answers=answers), **settings)
        .bind(DataInfo(answers=answers), make("gray"))
    )


def row(answer="yes", question="is it red?", **others):
    return {"id": "0", "question": question, "answer": answer, **others}


def test_answers_of_training_are_each_once_as_they_are_mostly_written():
    column = ["Yes", "yes", "yes", ["no", "No.", "no", "red"], None, [], "two"]
    assert training_answers(column) == ("yes", "no", "two")
    assert training_answers(str(number) for number in range(MOST_ANSWERS + 1)) == ()


def test_few_answers_are_chosen_from_and_many_are_written():
    assert task().classes == KNOWN and task(few=2).classes is None
    assert task(few=2, closed=True).classes == KNOWN and task(closed=False).classes is None
    assert task(answers=("yes",)).classes is None  # of one there is nothing to choose
    assert task().candidates == ((" yes",), (" no",), (" 2",))
    assert task(few=2).open and not task().open
    with pytest.raises(UserError, match=r"task\.closed=true chooses among the answers of training"):
        task(answers=(), closed=True)


def test_the_space_in_front_of_an_answer_is_the_answers():
    parts = ImageSlot(), "\nquestion: ", RowText("is it red?"), "\nanswer:"
    for last in ("{answer}", " {answer}", "", " "):
        each = task(prompts="{image}\nquestion: {question}\nanswer:" + last, closed=False)
        assert each.prompt(row(), None) == parts
        assert each.answer(row(), None) == (RowText(" yes"),)


def test_words_behind_an_answer_end_it():
    each = task(prompts="{image}{question} {answer}.\n", closed=False)
    assert each.answer(row(), None) == (RowText(" yes.\n"),)
    assert each.read(Answer(" yes.\n"), row()).text == "yes"


def test_of_several_questions_one_is_drawn_with_its_answer():
    several = [{"question": f"{answer}?", "answer": answer, "type": ""} for answer in KNOWN]
    each, asked = task(), row(questions=several)
    drawn = set()
    for seed in range(40):
        (_, _, question, _), answer = each.prompt(asked, seed), each.answer(asked, seed)
        assert answer == (f" {question.removesuffix('?')}",) == each.candidates[each.target(asked, seed)]
        drawn.add(str(question))
    assert len(drawn) == 3
    assert each.prompt(asked, None)[2] == "is it red?"


def test_an_answer_that_training_never_saw_is_nothing_to_learn_and_counts():
    each, rows = task(), [row("purple"), row("yes")]
    assert each.target(rows[0]) is None
    found = [each.read(Answer(scores=np.float32([2, 0, 0])), one) for one in rows]
    assert [one.text for one in found] == ["yes", "yes"] and found[0].nats is None
    metrics = each.metrics(found, rows, intervals=False)
    assert metrics["unseen_answers"] == metrics["exact_match"] == 0.5
    assert metrics["loss"] == pytest.approx(-np.log(np.exp(2) / (np.exp(2) + 2)))
    with pytest.raises(UserError, match="None of the answers of the test split is one of the 3 of training"):
        each.check_scored(rows[:1], "test")


def test_several_annotators_are_agreed_with():
    each, rows = task(closed=False), [row(["yes"] * 2 + ["no"] * 8), row(["no", "yes"])]
    metrics = each.metrics([Words("yes"), Words("Yes!")], rows, intervals=False)
    assert metrics["exact_match"] == 0.5  # most said no; of two, any is right
    assert metrics["vqa_accuracy"] == pytest.approx(((2 * 1 / 3 + 8 * 2 / 3) / 10 + 1) / 2)
    assert "vqa_accuracy" not in each.metrics([Words("yes")], rows[1:], intervals=False)


def test_types_are_the_datas_or_by_the_answer():
    each = task(closed=False)
    rows = [row("yes"), row("two"), row("red"), row("no", question_type="colour")]
    (bars,) = each.figures([Words("yes")] * 4, rows)
    assert bars.names == ("colour", "number", "other", "yes or no")
    assert bars.columns["exact match"].tolist() == [0, 0, 0, 1]


def test_without_looking_each_question_has_its_commonest_answer():
    each = task()
    constant = each.constant([row("yes"), row("yes"), row("no"), row("2", "how many?")])
    said = [each.on(constant, one).text for one in (row(), row(question="How many"), row(question="what?"))]
    assert said == ["yes", "2", "yes"]


def test_a_list_of_questions_is_refused_by_its_row():
    with pytest.raises(UserError, match="1 training rows have a list of questions, the first is row 7"):
        task().check([row(), row(question=["a?", "b?"]) | {"id": "7"}])


def test_numbers_are_as_wrong_as_they_are_far():
    """… where both are numbers; exact match has the others."""
    each, rows = task(closed=False), [row("two"), row("10"), row("3"), row("red")]
    metrics = each.metrics([Words("3"), Words("seven"), Words("red"), Words("2")], rows, intervals=False)
    assert metrics["mean_absolute_error"] == 2
    assert "mean_absolute_error" not in each.metrics([Words("red")], rows[3:], intervals=False)


def test_what_stands_behind_an_answer_is_that_of_the_prompt_that_was_drawn():
    each = task(prompts=["{image}{question} {answer}.", "{question}{image} {answer}!"], closed=False)
    for seed in range(20):
        behind = "." if each.prompt(row(), seed)[0] == ImageSlot() else "!"
        assert each.answer(row(), seed) == (RowText(f" yes{behind}"),)
    assert [one.answer(row(), None) for one in each.in_every_wording()] == [(RowText(" yes."),), (RowText(" yes!"),)]


def test_answers_to_every_question_of_a_row_are_known():
    several = [{"question": "how many?", "answer": "2", "type": ""}]
    split = {"answer": ["yes"], "questions": [several]}
    known = TASKS["answer"].known_answers(type("Split", (dict,), {"column_names": list(split)})(split))
    assert training_answers(known) == ("yes", "2")
    assert [each["question"] for each in task().variants(row(questions=several))] == ["is it red?", "how many?"]
