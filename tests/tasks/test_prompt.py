import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.errors import UserError
from llmimg.tasks.classify import ClassifySettings
from llmimg.tasks.prompt import draw_shots, make_prompt, write_prompt
from llmimg.textify import make
from llmimg.tokens.vocabulary import load_tokenizer, make_vocabulary

NAMES = ["cat", "dog"]


def own():
    return make_vocabulary("own", make("gray"), None)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 30), st.integers(0, 100))
def test_shots_are_of_all_classes_as_evenly_as_goes(labels, count, seed):
    broken, rows = [7, 7, 7], np.arange(3, 3 + len(labels))  # of a class that no whole image has
    labels = np.array([*broken, *labels])
    if count > len(rows):
        with pytest.raises(UserError, match=r"task\.shots"):
            draw_shots(labels, rows, count, seed)
        return
    shots = draw_shots(labels, rows, count, seed)
    assert len(set(shots)) == count and set(shots) <= set(rows)
    assert np.array_equal(shots, draw_shots(labels, rows, count, seed))
    drawn = np.bincount(labels[shots], minlength=5) if count else np.zeros(5, int)
    there = np.bincount(labels[rows], minlength=5)
    # No class has two more than another that could have had one more.
    assert all(drawn[a] <= drawn[b] + 1 for a in range(5) for b in range(5) if drawn[b] < there[b])


def test_shots_differ_with_the_seed():
    labels = np.arange(100) % 5
    assert len({tuple(draw_shots(labels, np.arange(100), 5, seed)) for seed in range(20)}) > 15


def test_a_prompt_in_words():
    settings = ClassifySettings(template="One of {classes}.\n{image}\nIt is {answer}.\n")
    text = write_prompt(settings, NAMES, [1])
    assert text.between == ("One of cat, dog.\n", "\nIt is dog.\nOne of cat, dog.\n")
    assert text.tails == ("\nIt is cat.\n", "\nIt is dog.\n")


def test_a_vocabulary_of_pieces_has_a_token_for_each_word():
    settings, vocabulary = ClassifySettings(template="see {image} is {answer}!"), own()
    pieces = vocabulary.lookup(make("gray").grammar.parse_all(["0 1 2"]))
    prompt, extended, notes = make_prompt(settings, NAMES, vocabulary, [(np.array([6, 7]), 1)], [(pieces[0], "0 1 2")])
    assert not notes
    tokens = extended.tokenizer.convert_ids_to_tokens
    assert tokens(prompt.before) == ["<bos>", "see ", *tokens([6, 7]), " is dog!", "see "]
    assert prompt.after == ()
    assert [tokens(answer) for answer in prompt.answers] == [[" is cat!"], [" is dog!"]]
    assert len(extended.tokenizer) == len(vocabulary.tokenizer) + 3


def test_an_answer_that_begins_another_ends(small_tokenizer):
    """… in a conversation, where no template's end stands behind it."""
    vocabulary = make_vocabulary("reuse", make("gray"), load_tokenizer(str(small_tokenizer)))
    vocabulary.tokenizer.chat_template = "{% for turn in messages %}{{ turn.content }}\n{% endfor %}answer:"
    read, end = vocabulary.tokenizer.encode, vocabulary.tokenizer.eos_token_id

    def answers(*names):
        prompt, _, _ = make_prompt(ClassifySettings(chat=True), names, vocabulary, [], [])
        return [[*prompt.after, *answer] for answer in prompt.answers]

    def after(name):
        return read(f"\nclass:\nanswer:{name}")

    for names in (["a dog", "a dog sees", "tree"], ["a dog", "a dog sees"]):
        assert answers(*names) == [[*after(name), end] for name in names]
    assert answers("a dog", "sees a dog") == [after("a dog"), after("sees a dog")]


def test_classes_that_are_read_alike_are_refused(small_wordpiece):
    vocabulary = make_vocabulary("reuse", make("gray"), load_tokenizer(str(small_wordpiece)))
    settings = ClassifySettings(template="sees {image} the {answer}")
    with pytest.raises(UserError, match=r"'a dog' and 'a  dog' are the same to the tokenizer: rename one"):
        make_prompt(settings, ["a dog", "tree", "a  dog"], vocabulary, [], [])


def test_words_that_an_image_holds_leave_it_as_it_is():
    pieces = make("gray").grammar.parse_all(["0 1 2"])
    image = own().lookup(pieces)[0]
    for word in (" 1", " 1 2", "0 1"):
        template = ClassifySettings(template=f"{word}{{image}}{{answer}}")
        prompt, vocabulary, notes = make_prompt(template, NAMES, own(), [], [(image, "0 1 2")])
        assert vocabulary.tokenizer.convert_ids_to_tokens(prompt.before) == ["<bos>", word] and not notes
        assert vocabulary.tokenizer("0 1 2", add_special_tokens=False).input_ids == image.tolist()


def test_a_chat_needs_a_template():
    with pytest.raises(UserError, match=r"task\.chat=true needs a tokenizer with a chat template"):
        make_prompt(ClassifySettings(chat=True), NAMES, own(), [], [(np.array([5]), "0 1 2")])


@pytest.mark.parametrize("template", ["{answer}{image}", "{image}", "{image}{image}{answer}", "x {answer}"])
def test_templates_that_are_none(template):
    with pytest.raises(UserError, match=r"has not \{image\} and \{answer\} once each, in this order"):
        ClassifySettings(template=template)
    with pytest.raises(UserError, match=r"has \{classes\} behind \{image\}"):
        ClassifySettings(template="{image}{classes}{answer}")


def test_parts_that_the_tokenizer_would_join_are_told(gpt2):
    vocabulary = make_vocabulary("reuse", make("gray"), copy.deepcopy(gpt2))
    samples = [(np.array(gpt2("0 1 2").input_ids), "0 1 2")]
    joined = ClassifySettings(template="{image}0{answer}")
    assert "read apart" in make_prompt(joined, NAMES, vocabulary, [], samples)[2][0]
    prompt, _, notes = make_prompt(ClassifySettings(), NAMES, vocabulary, [], samples)
    assert not notes
    for name, answer in zip(NAMES, prompt.answers, strict=True):
        assert gpt2.decode([*prompt.before, *samples[0][0], *prompt.after, *answer]) == f"0 1 2\nclass: {name}\n"


def test_a_conversation(smollm2):
    vocabulary = make_vocabulary("reuse", make("gray"), copy.deepcopy(smollm2))
    if not smollm2.chat_template:
        pytest.skip("the GGUF file's tokenizer came without its chat template")
    shots = [(np.array(smollm2("3 4").input_ids), 1)]
    settings = ClassifySettings(template="Which is it?\n{image}\nAnswer: {answer}", chat=True)
    prompt, _, _ = make_prompt(settings, NAMES, vocabulary, shots, [])
    text = smollm2.decode([*prompt.before, *prompt.after, *prompt.answers[0]])
    assert text.count("<|im_start|>user") == 2 and text.count("<|im_start|>assistant") == 2
    assert text.endswith("<|im_start|>assistant\ncat") and "3 4" in text and "dog<|im_end|>" in text
