"""Captions and images, each found by the other: ranks from a matrix of likelihoods."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.errors import UserError
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


@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_ranks_are_those_of_the_whole_matrix(images, most, seed):
    """… of log-likelihoods, beside each caption's mean over all images, and each image's over all captions."""
    rng = np.random.default_rng(seed)
    captions = [[f"c{number}" for number in rng.integers(0, 5, rng.integers(1, most + 1))] for _ in range(images)]
    pool = list(dict.fromkeys(text for each in captions for text in each))
    scores = rng.normal(-20, 5, (images, len(pool))).astype(np.float32)
    predictions, _ = ranked(captions, scores)
    whole = scores.astype(np.float64)
    to_text = whole - np.log(np.exp(whole).sum(axis=0)) if images > 1 else whole
    to_image = whole - np.log(np.exp(whole).sum(axis=1, keepdims=True))
    for row, (each, own) in enumerate(zip(predictions, captions, strict=True)):
        right = [pool.index(text) for text in own]
        order = np.argsort(-to_text[row], kind="stable")
        wrong = [place for place in order if place not in right]
        best = max(right, key=lambda text: to_text[row, text])
        assert each.to_text == 1 + sum(to_text[row, text] >= to_text[row, best] for text in wrong)
        assert each.found == tuple((pool[text], float(scores[row, text])) for text in order[:5])
        for text, rank in zip(own, each.to_image, strict=True):
            column, having = to_image[:, pool.index(text)], [text in texts for texts in captions]
            assert rank == 1 + sum(column[~np.array(having)] >= column[having].max())


@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_vectors_rank_by_cosine(images, most, seed):
    """… and are as surprising as softmax of their products says, of each right one beside the wrong ones."""
    rng = np.random.default_rng(seed)
    captions = [[f"c{number}" for number in rng.permutation(5)[: rng.integers(1, most + 1)]] for _ in range(images)]
    known = rows(*captions)
    task = TASK.of_split(known)
    seen, said = (5 * unit(rng.normal(size=(count, 3))).astype(np.float32) for count in (images, len(task.pool)))
    predictions = task.read_vectors(seen, said, np.empty((images, 0, 3), np.float32), known)
    products = seen.astype(np.float64) @ said.T
    for row, (each, own) in enumerate(zip(predictions, captions, strict=True)):
        right = [task.pool.index(text) for text in own]
        order = np.argsort(-products[row]).tolist()
        places = [place - sum(other in right for other in order[:place]) for place, text in enumerate(order)]
        assert each.to_text == 1 + min(places[order.index(text)] for text in right)
        assert [text for text, _ in each.found] == [task.pool[text] for text in order[:5]]
        assert [cosine for _, cosine in each.found] == pytest.approx(products[row, order[:5]] / 25, abs=1e-6)
        wrong = [text for text in order if text not in right]
        to_text = [surprise(products[row, text], products[row, wrong]) for text in right]
        to_image = []
        for text, rank in zip(right, each.to_image, strict=True):
            others = [image for image, texts in enumerate(captions) if task.pool[text] not in texts]
            having = [image for image in range(images) if image not in others]
            assert rank == 1 + (products[others, text] >= products[having, text].max()).sum()
            to_image.append(np.mean([surprise(products[one, text], products[others, text]) for one in having]))
        assert each.nats == pytest.approx((np.mean(to_text) + np.mean(to_image)) / 2, rel=1e-4, abs=1e-6)
    assert set(task.as_json(predictions[0])["captions"][0]) == {"caption", "similarity"}


def test_an_images_own_caption_is_held_against_its_foils():
    known = [
        {"id": "0", "caption": ["a", "b"], "foils": ["c", "d"], "foil_kinds": ["color", "relation"]},
        {"id": "1", "caption": "b", "foils": ["a"], "foil_kinds": ["color"]},
        {"id": "2", "caption": "e", "foils": [], "foil_kinds": []},
        {"id": "3", "caption": "e", "foils": None, "foil_kinds": None},
    ]
    task = TASK.of_split(known)
    scores = np.float32([[-3, -2, -9], [-5, -4, -9], [-1, -1, -1], [-1, -1, -1]])
    foils = np.float32([[-2.5, -2], [-7, 0], [0, 0], [0, 0]])  # what fills up says nothing
    answers = [Answer(scores=row, foils=own) for row, own in zip(scores, foils, strict=True)]
    predictions = task.read_all(answers, known)
    assert [each.margins for each in predictions] == [(0.5, 0.0), (3.0,), (), ()]
    metrics = task.metrics(predictions, known, intervals=False)
    found = {key: value for key, value in metrics.items() if key.startswith("foils")}
    assert found == {"foils_beaten": 0.5, "foils_beaten_color": 1.0, "foils_beaten_relation": 0.0}
    assert task.table(predictions, known)["foil_margins"] == [[0.5, 0.0], [3.0], [], []]
    assert [figure.title for figure in task.figures(predictions, known)] == ["Found among the first", "Foils beaten"]
    assert "foils_beaten" not in TASK.metrics(predictions[2:], known[2:], intervals=False)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"foils": ["b"], "foil_kinds": ["color", "size"]}, "Row 7 of the test split has 1 foils and 2 foil_kinds"),
        ({"foils": ["b", "a  dog"], "foil_kinds": None}, "has its own caption among its foils .'a dog'.: a foil is"),
    ],
)
def test_foils_that_are_none_are_refused(row, sentence):
    with pytest.raises(UserError, match=sentence):
        TASK.check_scored([{"id": "7", "caption": "a dog", **row}], "test")


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def surprise(right, wrong):
    return np.log(1 + np.exp(wrong - right).sum())
