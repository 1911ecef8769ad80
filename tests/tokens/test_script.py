"""Samples of classification in token ids: templates, shots, conversations, and answers that are told apart."""

import copy

import numpy as np
import pytest

from llmimg.errors import UserError
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.textify import make
from llmimg.tokens.layout import IMAGE
from llmimg.tokens.sample import ImageSlot, Sample
from llmimg.tokens.script import Script, Shot
from llmimg.tokens.vocabulary import load_tokenizer, make_vocabulary
from tests.scripting import script_of

NAMES = ("cat", "dog")


def own():
    return make_vocabulary("own", make("gray"), None)


def classify(*names: str, **settings):
    return TASKS["classify"].with_settings(DataInfo(names or NAMES), **settings)


def shot(task, label: int, image: list[int]) -> Shot:
    prompt = tuple(ImageSlot(0) if part == ImageSlot() else part for part in task.prompt({}, None))
    return Shot(Sample(prompt, task.answer({"label": label}, None)), np.array(image))


def written(task, vocabulary, image, shots=()):
    """Token ids in front of an answer, and the answers."""
    script = script_of(task, vocabulary, shots)
    choices = script.choices(task.prompt({}, None), task.candidates, task.classes)
    spans = script.prompt(task.prompt({}, None), np.array(image, np.int64), choices)
    return script, [int(token) for span in spans for token in span.ids], choices


def test_a_vocabulary_of_pieces_has_a_token_for_each_word():
    task, vocabulary = classify(prompts="see {image} is {answer}!"), own()
    script, before, choices = written(task, vocabulary, [8, 9], [shot(task, 1, [6, 7])])
    tokens = script.vocabulary.tokenizer.convert_ids_to_tokens
    assert tokens(before) == ["<bos>", "see ", *tokens([6, 7]), " is dog!", "see ", *tokens([8, 9])]
    assert choices.shared == ()
    assert [tokens(answer) for answer in choices.answers] == [[" is cat!"], [" is dog!"]]
    assert len(script.vocabulary.tokenizer) == len(vocabulary.tokenizer) + 3


def test_the_image_that_is_asked_about_is_told_from_those_that_were_shown():
    task = classify(prompts="see {image} is {answer}!")
    script, _, choices = written(task, own(), [], [shot(task, 1, [6, 7])])
    spans = script.prompt(task.prompt({}, None), np.array([8, 9]), choices)
    assert [span.ids.tolist() for span in spans if span.role == IMAGE] == [[8, 9]]


def test_a_prompt_in_words():
    task = classify(prompts="One of {classes}.\n{image}\nIt is {answer}.\n")
    assert task.prompt({}, None) == ("One of cat, dog.\n", ImageSlot(), "\nIt is ")
    assert task.candidates == (("cat.\n",), ("dog.\n",))


def test_an_answer_that_begins_another_ends_with_its_line():
    task = classify("hot dog", "hot dog stand", prompts="{image} {answer}")
    assert task.candidates == (("hot dog\n",), ("hot dog stand\n",))


def test_an_answer_that_begins_another_ends(small_tokenizer):
    """… in a conversation, where no template's end stands behind it."""
    vocabulary = make_vocabulary("reuse", make("gray"), load_tokenizer(str(small_tokenizer)))
    vocabulary.tokenizer.chat_template = "{% for turn in messages %}{{ turn.content }}\n{% endfor %}answer:"
    read, end = vocabulary.tokenizer.encode, vocabulary.tokenizer.eos_token_id

    def answers(*names):
        _, _, choices = written(classify(*names, chat=True), vocabulary, [])
        return [[*choices.shared, *answer] for answer in choices.answers]

    def after(name):
        return read(f"\nclass:\nanswer:{name}")

    for names in (["a dog", "a dog sees", "tree"], ["a dog", "a dog sees"]):
        assert answers(*names) == [[*after(name), end] for name in names]
    assert answers("a dog", "sees a dog") == [after("a dog"), after("sees a dog")]


def test_classes_that_are_read_alike_are_refused(small_wordpiece):
    vocabulary = make_vocabulary("reuse", make("gray"), load_tokenizer(str(small_wordpiece)))
    task = classify("a dog", "tree", "a  dog", prompts="sees {image} the {answer}")
    with pytest.raises(UserError, match=r"'a dog' and 'a  dog' are the same to the tokenizer: rename one"):
        written(task, vocabulary, [])


def test_a_chat_needs_a_template():
    with pytest.raises(UserError, match=r"task\.chat=true needs a tokenizer with a chat template"):
        written(classify(chat=True), own(), [])


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("{answer}{image}", r"has a field behind \{answer\}"),
        ("{image}{image}{answer}", r"has not \{image\} and \{answer\} once each"),
        ("x {answer}", r"has not \{image\} and \{answer\} once each"),
        ("x", r"has not \{image\} once each"),
        ("{image}{classes}{answer}", r"has \{classes\} behind \{image\}"),
        ("{image}{imge}{answer}", r"has no field \{imge\} to be filled: did you mean .image.\?"),
        (["{image}{answer}", "{answer}"], r"='\{answer\}' has not \{image\}"),
        ([], "takes a list of 1 or more"),
    ],
)
def test_prompts_that_are_none(prompt, said):
    with pytest.raises(UserError, match=said):
        classify(prompts=prompt)


def test_the_parts_are_the_tokens_of_the_whole(gpt2):
    task = classify()
    vocabulary = make_vocabulary("reuse", make("gray"), copy.deepcopy(gpt2))
    _, before, choices = written(task, vocabulary, gpt2("0 1 2").input_ids)
    for name, answer in zip(NAMES, choices.answers, strict=True):
        assert [*before, *answer] == gpt2(f"0 1 2\nclass: {name}\n").input_ids


def test_a_conversation(smollm2):
    vocabulary = make_vocabulary("reuse", make("gray"), copy.deepcopy(smollm2))
    if not smollm2.chat_template:
        pytest.skip("the GGUF file's tokenizer came without its chat template")
    task = classify(prompts="Which is it?\n{image}\nAnswer: {answer}", chat=True)
    _, before, choices = written(task, vocabulary, smollm2("1 2").input_ids, [shot(task, 1, smollm2("3 4").input_ids)])
    text = smollm2.decode([*before, *choices.answers[0]])
    assert text.count("<|im_start|>user") == 2 and text.count("<|im_start|>assistant") == 2
    assert text.endswith("<|im_start|>assistant\ncat") and "3 4" in text and "1 2" in text and "dog<|im_end|>" in text


def test_an_answer_in_pieces_ends(gpt2):
    """… and behind a shot too, so that the next sample begins apart from it."""
    task = TASKS["detect"].with_settings(DataInfo(classes={"objects": ("cat",)}), bins=4, most=2)
    row = {"id": "0", "size": (4, 4), "objects": {"bbox": [[0, 1, 2, 3]], "category": [0]}}
    answer = task.answer(row, None)
    for vocabulary in (
        make_vocabulary("own", make("gray"), None, task.grammar),
        make_vocabulary("reuse", make("gray"), copy.deepcopy(gpt2), task.grammar),
    ):
        script = script_of(task, vocabulary)
        ids = [int(token) for span in script.answer(answer) for token in span.ids]
        assert (
            ids[-1] == vocabulary.end
            and vocabulary.automaton(vocabulary.grammar).read(ids)[0].tolist() == answer[0].ids.tolist()
        )
        shown = Script(script.vocabulary, (Shot(Sample((ImageSlot(0), "\nobjects:"), answer), np.array([5])),))
        before = [int(token) for span in shown.prompt(task.prompt(row, None), np.array([6])) for token in span.ids]
        start = before.index(ids[0])
        assert before[start : start + len(ids)] == ids and 6 in before[start + len(ids) :]


@pytest.mark.parametrize("name", ["own", "reuse"])
def test_an_answer_that_breaks_off_is_read_up_to_its_last_whole_piece(name, gpt2):
    task = TASKS["detect"].with_settings(DataInfo(classes={"objects": ("cat", "hot dog")}), bins=40, most=2)
    objects = {"bbox": [[0, 10, 20, 30], [3, 4, 5, 6]], "category": [1, 0]}
    (answer,) = task.answer({"id": "0", "size": (40, 40), "objects": objects}, None)
    vocabulary = make_vocabulary(name, make("gray"), None if name == "own" else copy.deepcopy(gpt2), task.grammar)
    automaton = vocabulary.automaton(task.grammar, task.cells)
    tokens = vocabulary.answer_ids(answer.ids).tolist()
    owners = automaton.read(tokens)[1].tolist()
    for cut in range(len(tokens) + 1):
        pieces, found = automaton.read(tokens[:cut], whole=False)
        ended = [piece for piece in range(len(answer.ids)) if piece not in owners[cut:]]
        assert pieces.tolist() == answer.ids[: len(ended)].tolist()
        assert found.tolist() == owners[: len(found)]
