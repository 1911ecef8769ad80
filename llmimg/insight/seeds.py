"""Runs that differ in nothing but their seed: each seed counts once, and all count as one where it makes no
difference."""

from collections.abc import Sequence

import pyarrow.parquet

from llmimg.run_folder import RunFolder

_BESIDE = ("id", "tokens")  # columns that say nothing of what a run answered


def distinct_seeds(runs: Sequence[RunFolder]) -> tuple[list[RunFolder], list[str]]:
    """The first run of each seed, and a sentence about each other one: a copy of a run is no second observation."""
    first: dict[object, RunFolder] = {}
    left_out = []
    for run in runs:
        seed = run.config().get("seed", run.path.name)
        if seed in first:
            left_out.append(f"{run.path} was left out: it has the seed of {first[seed].path} ({seed}).")
        first.setdefault(seed, run)
    return list(first.values()), left_out


def is_deterministic(runs: Sequence[RunFolder]) -> bool:
    """Whether several runs answered alike to the last probability, so that their seeds made no difference."""
    if len(runs) < 2 or any(not (run.path / "predictions.parquet").is_file() for run in runs):
        return False
    tables = [pyarrow.parquet.read_table(run.path / "predictions.parquet") for run in runs]
    tables = [table.drop_columns([name for name in _BESIDE if name in table.column_names]) for table in tables]
    return all(table.equals(tables[0]) for table in tables[1:])
