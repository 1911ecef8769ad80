import json
import re
import warnings

import numpy as np
import pytest
import yaml

from llmimg.report.compare import Row, curves_of, page, rows_of, table
from llmimg.report.plots import learning_curves
from llmimg.run_folder import RunFolder
from llmimg.tasks.measure import Measure

ACCURACY = Measure("accuracy", "Accuracy", "share of test images answered rightly")
LOSS = Measure("loss", "Loss", "mean surprise", "nats", higher_is_better=False, worst=None, best=0.0)

ACCURACIES = {
    ("gray", 100): (0.5, 0.7),
    ("gray", 1000): (0.9, 0.9),
    ("rgb", 100): (0.4,),
    ("rgb", None): (0.8,),
    ("sift", 100): (0.3,),
}


def runs(root) -> list[RunFolder]:
    made = []
    for (textify, size), accuracies in ACCURACIES.items():
        for seed, accuracy in enumerate(accuracies):
            folder = root / f"{textify}-{size}-{seed}"
            folder.mkdir()
            config = {"data": {"name": "d", "train_samples": size}, "textify": {"name": textify}, "seed": seed}
            config |= {"model": {"name": "m", "kind": "language"}, "run_dir": str(folder)}
            (folder / "config.yaml").write_text(yaml.safe_dump(config))
            metrics = {"test/accuracy": accuracy, "data/train_images": size or 1293}
            (folder / "metrics.json").write_text(json.dumps(metrics))
            made.append(RunFolder(folder))
    return made


def test_runs_that_differ_in_their_training_images_make_a_curve(tmp_path):
    assert curves_of(runs(tmp_path), ACCURACY) == [
        ("gray", [(100, 0.6, float(np.std([0.5, 0.7], ddof=1))), (1000, 0.9, 0.0)]),
        ("rgb", [(100, 0.4, 0.0), (1293, 0.8, 0.0)]),
    ]


def test_the_plot_names_every_curve_and_number_of_images(tmp_path):
    plot = learning_curves(curves_of(runs(tmp_path), ACCURACY), ACCURACY)
    assert {"gray", "rgb", "100", "1,000", "1,293"} <= set(re.findall(r">([^<>]+)</text>", plot))
    assert learning_curves([], ACCURACY) == ""


def test_the_page_has_curves_where_there_are_some(tmp_path, monkeypatch):
    monkeypatch.setattr("llmimg.report.compare.load_record", lambda path: type("", (), {"examples": []}))
    made = runs(tmp_path)
    assert "Learning curves" in page("d", [ACCURACY], rows_of(made, [ACCURACY]), curves_of(made, ACCURACY))
    assert "Learning curves" not in page("d", [ACCURACY], rows_of(made[:1], [ACCURACY]), curves_of(made[:1], ACCURACY))


@pytest.mark.parametrize(("measure", "first", "front"), [(ACCURACY, "c", {"a", "b", "c"}), (LOSS, "a", {"a"})])
def test_the_best_is_the_greatest_or_the_least_as_the_measure_has_it(tmp_path, monkeypatch, measure, first, front):
    """Of as many tokens more for each more of the measure: all are worth their price, or the first alone."""
    monkeypatch.setattr("llmimg.report.compare.load_record", lambda path: type("", (), {"examples": []}))
    made = []
    for index, name in enumerate("abc"):
        folder = tmp_path / name
        folder.mkdir()
        config = {"data": {"name": "d"}, "textify": {"name": name}, "model": {"name": "m", "kind": "language"}}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        metrics = {f"test/{measure.key}": 0.5 + index / 10, "data/tokens_per_image": 2.0**index}
        (folder / "metrics.json").write_text(json.dumps(metrics))
        made.append(RunFolder(folder))
    rows = rows_of(made, [measure])
    assert rows[0].name == first and {row.name for row in rows if row.on_front} == front
    lines = table(rows, [measure]).splitlines()
    assert lines[0].startswith(f"name,test_{measure.key}_mean,test_{measure.key}_std,seeds,pareto_front,")
    assert lines[1].startswith(f"{first},")
    written = page("d", [measure], rows)
    assert f"Test {measure.phrase}" in written and ("lower is better" in written) == (not measure.higher_is_better)


def test_names_as_long_as_they_come_fit_into_the_plot(tmp_path):
    """Without a warning of matplotlib's that its layout collapsed; the table has them whole."""
    long = "patch_words " + " ".join(f"trainer.setting_{index}={index}" for index in range(12))
    rows = [Row(f"{long} {index}", (0.5 + index / 100,), {"tokens_per_image": 8.0 + index}, []) for index in range(6)]
    rows += [Row(f"{long} {index} pixels", (0.4 + index / 100,), {}, []) for index in range(6)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = page("d", [ACCURACY], rows)
    assert all(row.name in written for row in rows)
