import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from llmimg.cli import main
from llmimg.errors import UserError
from llmimg.insight.paired import Answers, answers_of, compare_runs


def answers(right, ids=None) -> Answers:
    right = np.atleast_2d(np.asarray(right, float))
    ids = ids or tuple(map(str, range(right.shape[1])))
    return Answers(ids, tuple(f"label of {each}" for each in ids), right)


def written(folder, right, first=0):
    folder.mkdir(parents=True)
    names = [str(place + first) for place in range(len(right))]
    columns = {"id": names, "label": ["a"] * len(right), "prediction": ["a" if each else "b" for each in right]}
    pyarrow.parquet.write_table(pa.table(columns), folder / "predictions.parquet")
    (folder / "metrics.json").write_text(json.dumps({"test/accuracy": float(np.mean(right))}))


def test_a_run_is_no_better_than_itself():
    same = answers(np.random.default_rng(0).integers(0, 2, 200))
    result = compare_runs(same, same)
    assert (result.difference, result.low, result.high, result.p_value) == (0, 0, 0, 1)


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
    back = compare_runs(answers(other), answers(one))
    assert (back.low, back.high) == pytest.approx((-result.high, -result.low), abs=0.001)


def test_chance_is_seldom_called_a_difference():
    rng = np.random.default_rng(0)
    found = [
        compare_runs(answers(rng.random(300) < 0.7), answers(rng.random(300) < 0.7)).p_value < 0.05 for _ in range(100)
    ]
    assert np.mean(found) < 0.12


def test_images_are_paired_by_their_id():
    one = answers([1, 0, 1, 1], ("a", "b", "c", "d"))
    shuffled = Answers(("d", "b", "a", "c"), ("label of d", "label of b", "label of a", "label of c"), np.ones((1, 4)))
    assert compare_runs(one, shuffled).difference == 0.25
    with pytest.raises(UserError, match=r"not tested on the same images"):
        compare_runs(one, answers([1, 1, 1, 1]))


def test_on_the_command_line(tmp_path, capsys):
    for seed in (0, 1):
        written(tmp_path / "one" / f"seed={seed}", [1, 0, 1, 0] * 50)
        written(tmp_path / "other" / f"seed={seed}", [1, 1, 1, 0] * 50)
    main(["compare", str(tmp_path / "one"), str(tmp_path / "other")])
    said = capsys.readouterr().out
    assert "50.0 %" in said and "75.0 %" in said and "+25.0 points" in said and "2 seeds" in said
    main(["compare", str(tmp_path / "one/seed=0"), str(tmp_path / "other/seed=1")])
    assert "+25.0 points" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["one"], ["one", "nothing"], ["one", "elsewhere"]])
def test_what_cannot_be_compared(words, tmp_path, capsys):
    written(tmp_path / "one", [1, 0, 1])
    written(tmp_path / "elsewhere", [1, 0, 1], first=7)
    with pytest.raises(SystemExit):
        main(["compare", *(str(tmp_path / word) for word in words)])
    assert capsys.readouterr().err.startswith("llmimg: ")


def test_pretraining_answers_nothing(tmp_path):
    pyarrow.parquet.write_table(pa.table({"id": ["1"], "log_likelihood": [0.0]}), tmp_path / "predictions.parquet")
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(UserError, match=r"answers nothing"):
        answers_of(tmp_path)
