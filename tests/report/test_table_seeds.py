"""What `llmimg table` counts as a seed."""

import json

import pyarrow as pa
import pyarrow.parquet
import yaml

from llmimg.report.compare import counted
from llmimg.run_folder import RunFolder, distinguishing, without


def written(folder, seed, predictions, sure=0.9, way="gray"):
    folder.mkdir(parents=True)
    config = {"seed": seed, "textify": {"name": way}, "model": {"name": "m"}, "data": {"name": "d"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "metrics.json").write_text(json.dumps({"test/accuracy": 0.5}))
    table = {
        "pixels": ["0", "1"],
        "label": ["a", "b"],
        "prediction": predictions,
        "probabilities": [[sure, 1 - sure]] * 2,
    }
    pyarrow.parquet.write_table(pa.table(table), folder / "predictions.parquet")
    return RunFolder(folder)


def test_copies_of_a_seed_and_seeds_without_effect_do_not_count(tmp_path):
    runs = [
        written(tmp_path / "one" / "seed=0", 0, ["a", "b"]),
        written(tmp_path / "one" / "seed=0 copy", 0, ["a", "b"]),
        written(tmp_path / "one" / "seed=1", 1, ["b", "b"]),
        written(tmp_path / "moved", 1, ["b", "b"]),
        *(written(tmp_path / "knn" / f"seed={seed}", seed, ["a", "a"], way="knn") for seed in range(3)),
        *(written(tmp_path / "sure" / f"seed={seed}", seed, ["a", "a"], 0.9 - 0.1 * seed, "rgb") for seed in range(2)),
    ]
    kept, notes = counted(runs)
    names = [str(run.path.relative_to(tmp_path)) for run in kept]
    assert names == ["one/seed=0", "one/seed=1", "knn/seed=0", "sure/seed=0", "sure/seed=1"]
    assert len(notes) == 3 and "seed=0 copy was left out" in notes[0] and "moved was left out" in notes[1]
    assert "the same answers with each of 3 seeds (deterministic)" in notes[2]


def test_where_runs_keep_what_they_prepare_tells_them_not_apart():
    one = {"seed": 0, "data": {"size": 8, "train_samples": 9}, "tokens": {"cache_dir": "a", "overflow": "error"}}
    other = {"seed": 1, "data": {"size": 8, "train_samples": 9}, "tokens": {"cache_dir": "b", "overflow": "error"}}
    assert distinguishing(one) == distinguishing(other)
    assert distinguishing(one) == {"data": one["data"], "tokens": {"overflow": "error"}}
    assert without(one, ["data.train_samples"])["data"] == {"size": 8}
