import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmimg.data import Decoding
from llmimg.data.columns import from_pixels
from llmimg.data.rows import Rows
from llmimg.textify import Ragged
from llmimg.tokens.store import ImageIds
from llmimg.training.examples import Examples
from llmimg.training.mixture import Mixture, PlainText, Stream


def images(count: int) -> Examples:
    rows = Ragged.from_rows([np.array([index], np.uint16) for index in range(count)])
    known = Rows(from_pixels(np.zeros((count, 1, 1), np.uint8), np.zeros(count, np.int64), ["a"]), [], Decoding())
    return Examples(ImageIds((rows,), np.array([0, count]), {}), known, np.arange(count))


def mixture_of(examples, weights, seed: int) -> Mixture:
    return Mixture([Stream(*each) for each in zip(examples, weights, strict=True)], seed)


def text(start: int, count: int) -> PlainText:
    return PlainText([np.array([index], np.uint16) for index in range(start, start + count)])


def epoch(mixture: Mixture, number: int) -> list[int]:
    mixture.begin_epoch(number)
    return [int(each.image[0]) for each in mixture.__getitems__(range(len(mixture)))]


def test_an_epoch_has_every_image_once_and_text_by_weight():
    mixture = mixture_of([images(10), text(100, 7), text(200, 3)], [2, 1, 0.4], seed=0)
    drawn = epoch(mixture, 0)
    assert sorted(each for each in drawn if each < 100) == list(range(10))
    assert len([each for each in drawn if 100 <= each < 200]) == 5
    assert len([each for each in drawn if each >= 200]) == 2


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(0, 2**31))
def test_every_row_of_text_comes_before_any_comes_again(count, rows, weight, seed):
    mixture = mixture_of([images(count), text(100, rows)], [1, weight], seed)
    drawn = [each for number in range(6) for each in epoch(mixture, number) if each >= 100]
    for start in range(0, len(drawn) - rows + 1, rows):
        assert sorted(drawn[start : start + rows]) == list(range(100, 100 + rows))


def test_text_alone():
    mixture = mixture_of([images(10), text(100, 4)], [0, 3], seed=0)
    assert sorted(epoch(mixture, 0)) == [100, 101, 102, 103]


def test_an_example_depends_on_seed_epoch_and_place_alone():
    """… so that the number of loader workers and resuming change nothing."""
    one, other = (mixture_of([images(6), text(100, 5)], [1, 1], seed=3) for _ in range(2))
    epoch(other, 0)
    for mixture in (one, other):
        mixture.begin_epoch(4)
    for index in range(len(one)):
        first, second = one[index], other[index]
        assert first.seed == second.seed and (first.image == second.image).all()
    assert one[0].seed != one[7].seed
    again = mixture_of([images(6), text(100, 5)], [1, 1], seed=4)
    again.begin_epoch(4)
    assert [int(one[i].image[0]) for i in range(12)] != [int(again[i].image[0]) for i in range(12)]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_learns_of_the_next_epoch(workers):
    mixture = mixture_of([images(2), text(100, 50)], [1, 10], seed=0)
    loader = torch.utils.data.DataLoader(
        mixture, batch_size=22, num_workers=workers, persistent_workers=workers > 0, collate_fn=list
    )
    seen = []
    for number in range(2):
        mixture.begin_epoch(number)
        seen.append([int(each.image[0]) for batch in loader for each in batch])
    assert not set(seen[0][2:]) & set(seen[1][2:])


def test_a_stream_s_examples_are_asked_by_its_tasks_as_often_as_it_says():
    mixture = Mixture([Stream(images(400), 1.0, {"detect": 1.0, "answer": 0.25}), Stream(images(20), 0.5)], seed=0)
    mixture.begin_epoch(0)
    asked = [each.asked for each in mixture.__getitems__(range(len(mixture)))]
    assert all(each[0] == "detect" for each in asked[:400]) and asked[400:] == [("",)] * 200
    assert 70 <= sum("answer" in each for each in asked[:400]) <= 130
    mixture.begin_epoch(1)
    assert [each.asked for each in mixture.__getitems__(range(400))] != asked[:400]
