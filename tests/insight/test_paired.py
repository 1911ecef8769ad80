import dataclasses
import json
import math
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from llmimg.cli import main
from llmimg.errors import UserError
from llmimg.insight.answers import Answers, answers_of
from llmimg.insight.paired import compare_runs
from llmimg.insight.words import comparison_lines
from llmimg.tasks.base import TASKS
from llmimg.tasks.chosen import kind_of
from llmimg.tasks.measure import Measure

ACCURACY = TASKS["classify"].measures[0]


def answers(right, names=None) -> Answers:
    right = np.atleast_2d(np.asarray(right, float))
    names = tuple(names or map(str, range(right.shape[1])))
    return Answers(names, tuple(f"truth of {each}" for each in names), names, tuple(right), ACCURACY, seeds=len(right))


def written(folder, right, first=0, seed=0, sure=1.0, **columns):
    folder.mkdir(parents=True)
    names = [str(index + first) for index in range(len(right))]
    table = {"id": names, "pixels": names, "label": ["a"] * len(right), **columns}
    table |= {"prediction": ["a" if each else "b" for each in right], "probabilities": [[sure, 1 - sure]] * len(right)}
    pyarrow.parquet.write_table(
        pa.table({name: each for name, each in table.items() if each}), folder / "predictions.parquet"
    )
    (folder / "config.yaml").write_text(yaml.safe_dump({"seed": seed, "task": {"name": "classify"}}))
    (folder / "metrics.json").write_text(json.dumps({"test/accuracy": float(np.mean(right))}))


def test_a_run_is_no_better_than_itself():
    same = answers(np.random.default_rng(0).integers(0, 2, 200))
    result = compare_runs(same, same)
    assert (result.difference, result.p_value, result.exact) == (0, 1, 1)
    # Agreement on 200 images does not prove that two runs agree on all: about one in a hundred may differ.
    assert -0.02 < result.low < 0 < result.high < 0.02


def test_the_interval_is_that_of_paired_differences():
    rng = np.random.default_rng(0)
    one = rng.random(2000) < 0.8
    other = np.where(rng.random(2000) < 0.05, True, one)
    gain = other.astype(float) - one
    result = compare_runs(answers(one), answers(other))
    half = 1.96 * gain.std() / np.sqrt(2000)
    assert result.difference == pytest.approx(gain.mean())
    assert (result.low, result.high) == pytest.approx((gain.mean() - half, gain.mean() + half), abs=0.001)
    assert result.p_value < 0.01


runs = st.integers(5, 30).flatmap(
    lambda images: st.tuples(
        *[
            st.integers(1, 3).flatmap(
                lambda seeds: st.lists(
                    st.lists(st.booleans(), min_size=images, max_size=images), min_size=seeds, max_size=seeds
                )
            )
            for _ in range(2)
        ]
    )
)


@settings(max_examples=15)
@given(runs, st.randoms())
def test_neither_the_order_of_sides_nor_of_rows_counts(sides, random):
    one, other = map(answers, sides)
    result = compare_runs(one, other)
    assert -1 <= result.low <= result.difference <= result.high <= 1
    assert 0 < result.p_value <= 1
    turned = compare_runs(other, one)
    assert (turned.low, turned.high, turned.p_value) == (-result.high, -result.low, result.p_value)
    order = list(range(len(other.ids)))
    random.shuffle(order)
    names = [other.ids[index] for index in order]
    shuffled = answers(np.stack(other.headlines)[:, order], names)
    again = compare_runs(one, shuffled)
    assert (again.low, again.high, again.p_value, again.exact) == (
        result.low,
        result.high,
        result.p_value,
        result.exact,
    )


@given(st.integers(0, 12), st.integers(0, 12))
def test_few_images_that_differ_are_tested_exactly(gained, lost):
    one, other = [0] * gained + [1] * lost + [1] * 30, [1] * gained + [0] * lost + [1] * 30
    result = compare_runs(answers(one), answers(other))
    assert (result.gained, result.lost) == (gained, lost)
    tail = sum(math.comb(gained + lost, few) for few in range(min(gained, lost) + 1))
    assert result.exact == pytest.approx(min(1, 2 * tail / 2 ** (gained + lost)))
    assert result.p_value > 0.03 or result.exact < 0.05  # the bootstrap is not liberal either


def test_four_to_none_prove_nothing():
    result = compare_runs(answers([0] * 4 + [1] * 36), answers([1] * 40))
    assert result.exact == 0.125 and result.p_value > 0.05


def test_many_that_differ_are_as_in_mcnemar_s_approximation():
    one, other = [0] * 130 + [1] * 90 + [1] * 800, [1] * 130 + [0] * 90 + [1] * 800
    result = compare_runs(answers(one), answers(other))
    assert result.exact == pytest.approx(chi2.sf((abs(130 - 90) - 1) ** 2 / 220, 1), rel=0.02)
    assert result.p_value == pytest.approx(result.exact, abs=0.005)


def test_seeds_that_differ_widely_prove_little():
    rng = np.random.default_rng(0)
    one, other = (np.array([rng.random(400) < level for level in levels]) for levels in ((0.34, 0.52), (0.4, 0.66)))
    result = compare_runs(answers(one), answers(other))
    assert result.exact is None and result.p_value > 0.2 and result.low < 0 < result.high
    alone = compare_runs(answers(one[0]), answers(other[1]))
    assert alone.p_value < 0.001  # as the images of one seed each say


def test_the_standard_error_is_that_of_seeds_and_images():
    """Of many seeds, against the formula: the variance of seeds' means beside that of images' mean differences."""
    rng = np.random.default_rng(1)
    easy, levels = rng.random(1500), rng.normal(0, 0.05, (2, 12, 1))
    one, other = ((easy + level > 0.3).astype(float) for level in levels)
    result = compare_runs(answers(one), answers(other))
    of_images = (other.mean(axis=0) - one.mean(axis=0)).var() / 1500
    error = np.sqrt(sum(side.mean(axis=1).var(ddof=1) / 12 for side in (one, other)) + of_images)
    assert result.high - result.low == pytest.approx(2 * 2.08 * error, rel=0.05)  # Student's t of some 20 degrees


def test_images_are_paired_by_their_pixels_and_labels():
    one = answers([1, 0, 1, 1], "abcd")
    assert compare_runs(one, answers(np.ones((1, 4)), "dbac")).gained == 1
    for names, same in (("abce", 3), ("wxyz", 0)):
        with pytest.raises(UserError, match=rf"not tested on the same images: of 4 and 4, {same} have the same"):
            compare_runs(one, answers([1, 1, 1, 1], names))
    with pytest.raises(UserError, match="not tested on the same images"):  # the same pixels with another label
        compare_runs(one, dataclasses.replace(one, truths=("other",) * 4))
    named_otherwise = dataclasses.replace(one, ids=("x",) * 4)
    assert compare_runs(one, named_otherwise).difference == 0


def test_on_the_command_line(tmp_path, capsys):
    for seed in (0, 1):
        written(tmp_path / "one" / f"seed={seed}", [1, seed, 1, 0] * 50, seed=seed)
        written(tmp_path / "other" / f"seed={seed}", [1, 1, 1, 0] * 50, seed=seed)
    main(["compare", str(tmp_path / "one"), str(tmp_path / "other")])
    said = capsys.readouterr().out
    assert (
        "62.5 % ± 17.7 over 2 seeds" in said and "+12.5 points of accuracy" in said and "hierarchical bootstrap" in said
    )
    assert "75.0 % with each of 2 seeds (deterministic)" in said and "± 0.0" not in said
    main(["compare", str(tmp_path / "one/seed=0"), str(tmp_path / "other/seed=1")])
    said = capsys.readouterr().out
    assert "+25.0 points" in said and "McNemar" in said and "One seed each: the interval is over images alone" in said


def test_a_copy_of_a_seed_is_no_second_seed(tmp_path, capsys):
    for name in ("seed=0", "seed=0 (copy)"):
        written(tmp_path / "one" / name, [1, 0, 1, 0] * 5)
    written(tmp_path / "other", [1, 1, 1, 0] * 5, seed=3)
    main(["compare", str(tmp_path / "one"), str(tmp_path / "other")])
    said = capsys.readouterr().out
    assert "seeds" not in said and "seed=0 (copy) was left out: it has the seed of" in said and "One seed each" in said


def test_seeds_that_answer_alike_by_chance_are_no_deterministic_model(tmp_path):
    for seed in (0, 1):
        written(tmp_path / f"seed={seed}", [1, 1, 1], seed=seed, sure=0.9 - 0.1 * seed)
    assert not answers_of(tmp_path).is_deterministic


def test_a_folder_of_different_runs_is_no_folder_of_seeds(tmp_path):
    for seed in (0, 1):
        written(tmp_path / f"seed={seed}", [1, 0, 1], seed=seed)
    (tmp_path / "seed=1" / "config.yaml").write_text(
        yaml.safe_dump({"seed": 1, "task": {"name": "classify"}, "experiment": "another"})
    )
    with pytest.raises(UserError, match="differ in more than their seed"):
        answers_of(tmp_path)


def test_a_run_that_does_not_say_which_images_it_saw(tmp_path):
    written(tmp_path / "old", [1, 0, 1], pixels=None)
    with pytest.raises(UserError, match=r"does not say which images it was tested on.*force=true"):
        answers_of(tmp_path / "old")


@pytest.mark.parametrize("words", [["one"], ["one", "nothing"], ["one", "elsewhere"]])
def test_what_cannot_be_compared(words, tmp_path, capsys):
    written(tmp_path / "one", [1, 0, 1])
    written(tmp_path / "elsewhere", [1, 0, 1], first=7)
    with pytest.raises(SystemExit):
        main(["compare", *(str(tmp_path / word) for word in words)])
    assert capsys.readouterr().err.startswith("llmimg: ")


def pretrained(folder, nats, seed=0, counted=8, loss=None, **config):
    folder.mkdir(parents=True)
    names = [str(index) for index in range(len(nats))]
    table = {"id": names, "pixels": names, "log_likelihood": [-each for each in nats], "counted": [counted] * len(nats)}
    table["score"] = [-each / counted for each in nats]
    pyarrow.parquet.write_table(pa.table(table), folder / "predictions.parquet")
    (folder / "config.yaml").write_text(yaml.safe_dump({"seed": seed, "task": {"name": "clm"}, **config}))
    mean = float(np.mean(nats)) / counted if loss is None else loss
    (folder / "metrics.json").write_text(json.dumps({"test/loss": mean}))


def test_pretraining_is_compared_by_its_loss_of_which_less_is_better(tmp_path, capsys):
    """As Student's t has it, of so many images."""
    rng = np.random.default_rng(0)
    one = rng.gamma(4, 5, 400)
    gain = rng.normal(0.8, 3, 400)
    pretrained(tmp_path / "one", one)
    pretrained(tmp_path / "other", one - gain, seed=1)
    sides = [answers_of(tmp_path / name) for name in ("one", "other")]
    result = compare_runs(*sides)
    half = 1.96 * gain.std() / np.sqrt(400) / 8
    assert result.difference == pytest.approx(-gain.mean() / 8) and result.exact is None
    assert (result.low, result.high) == pytest.approx((-gain.mean() / 8 - half, -gain.mean() / 8 + half), abs=0.004)
    main(["compare", str(tmp_path / "one"), str(tmp_path / "other")])
    said = capsys.readouterr().out
    assert re.search(r"-0\.\d{3} nats of loss on the same 400 test images \(lower is better\); 95 % interval -0", said)
    assert "paired bootstrap over images" in said and "McNemar" not in said and "tokens differ" not in said
    turned = compare_runs(*sides[::-1])
    assert (turned.low, turned.high, turned.p_value) == (-result.high, -result.low, result.p_value)


def test_losses_of_other_tokens_are_said_not_to_tell(tmp_path, capsys):
    pretrained(tmp_path / "one", [8.0, 9.0, 7.0], textify={"name": "gray"})
    pretrained(tmp_path / "other", [6.0, 9.0, 5.0], textify={"name": "rgb"})
    main(["compare", str(tmp_path / "one"), str(tmp_path / "other")])
    assert "Their tokens differ" in capsys.readouterr().out


def test_runs_of_other_tasks_are_not_compared(tmp_path):
    pretrained(tmp_path / "one", [8.0, 9.0])
    written(tmp_path / "other", [1, 0])
    with pytest.raises(UserError, match=r"not scored alike: clm \(by its loss\) and classify \(by its accuracy\)"):
        compare_runs(answers_of(tmp_path / "one"), answers_of(tmp_path / "other"))


def test_a_headline_that_the_table_does_not_give_is_said(tmp_path, capsys):
    """… and the rows' own scores are compared."""
    for name, nats in (("one", [8.0, 16.0]), ("other", [8.0, 24.0])):
        pretrained(tmp_path / name, nats, loss=7.0)
    main(["compare", str(tmp_path / "one"), str(tmp_path / "other")])
    said = capsys.readouterr().out
    assert said.count("loss cannot be taken anew from predictions.parquet") == 1 and "-0.5 of score" in said


def functions(weights_of_runs, measure, names) -> Answers:
    """A headline that is no mean of rows: the ratio of two sums."""
    headlines = tuple(
        lambda weights=None, top=top, bottom=bottom: float(
            (top if weights is None else top * weights).sum() / (bottom if weights is None else bottom * weights).sum()
        )
        for top, bottom in weights_of_runs
    )
    return Answers(names, names, names, headlines, measure, seeds=len(headlines))


def test_a_headline_is_taken_anew_of_every_resample():
    """A ratio of sums, against the delta method; rows in another order are the same rows."""
    rng = np.random.default_rng(0)
    names, measure = tuple(map(str, range(600))), Measure("ratio", "Ratio", "", "number", worst=None, best=None)
    bottom = rng.integers(1, 9, 600).astype(float)
    one, other = bottom * rng.normal(2.0, 0.4, 600), bottom * rng.normal(2.1, 0.4, 600)
    order = rng.permutation(600)
    sides = (
        functions([(one, bottom)], measure, names),
        functions([(other[order], bottom[order])], measure, tuple(names[index] for index in order)),
    )
    result = compare_runs(*sides)
    gain = (other - one).sum() / bottom.sum()
    error = np.sqrt(((other - one - gain * bottom) ** 2).sum()) / bottom.sum()
    assert result.difference == pytest.approx(gain)
    assert (result.low, result.high) == pytest.approx((gain - 1.96 * error, gain + 1.96 * error), abs=0.15 * error)


def test_seeds_widen_the_interval_of_any_headline():
    rng = np.random.default_rng(2)
    names, measure = tuple(map(str, range(300))), Measure("ratio", "Ratio", "", "number", worst=None, best=None)
    bottom = rng.integers(1, 9, 300).astype(float)
    sides = [
        functions([(bottom * rng.normal(level, 0.1, 300), bottom) for level in levels], measure, names)
        for levels in ((1.0, 1.3), (1.1, 1.4))
    ]
    result = compare_runs(*sides)
    assert result.p_value > 0.2 and result.low < 0 < result.high
    alone = compare_runs(*(dataclasses.replace(side, headlines=side.headlines[:1], seeds=1) for side in sides))
    assert alone.p_value < 0.01 and alone.low > 0
    said = comparison_lines(["a", "b"], sides, result)
    assert "over 2 seeds" in said[0] and "hierarchical bootstrap over seeds and images" in said[2]


@pytest.mark.parametrize("task", [*TASKS.entries().values(), kind_of({"name": "classify", "multiple": True})])
def test_every_task_says_what_it_is_scored_by(task):
    measures = task.measures
    assert measures and len({measure.key for measure in measures}) == len(measures)
    for measure in (*measures, task.row_measure):
        assert measure.title and measure.meaning
        if None not in (measure.worst, measure.best):
            assert measure.better(measure.best, measure.worst)
