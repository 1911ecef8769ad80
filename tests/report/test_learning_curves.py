import json
import re

import numpy as np
import yaml

from llmimg.report.compare import curves_of, page, rows_of
from llmimg.report.plots import learning_curves
from llmimg.run_folder import RunFolder

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
    assert curves_of(runs(tmp_path)) == [
        ("gray", [(100, 0.6, float(np.std([0.5, 0.7], ddof=1))), (1000, 0.9, 0.0)]),
        ("rgb", [(100, 0.4, 0.0), (1293, 0.8, 0.0)]),
    ]


def test_the_plot_names_every_curve_and_number_of_images(tmp_path):
    plot = learning_curves(curves_of(runs(tmp_path)))
    assert {"gray", "rgb", "100", "1,000", "1,293"} <= set(re.findall(r">([^<>]+)</text>", plot))
    assert learning_curves([]) == ""


def test_the_page_has_curves_where_there_are_some(tmp_path, monkeypatch):
    monkeypatch.setattr("llmimg.report.compare.load_record", lambda path: type("", (), {"examples": []}))
    made = runs(tmp_path)
    assert "Learning curves" in page("d", rows_of(made), curves_of(made))
    assert "Learning curves" not in page("d", rows_of(made[:1]), curves_of(made[:1]))
