"""How well finished runs answered each test image, and which images of two runs are the same."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from llmimg.errors import UserError
from llmimg.insight.seeds import distinct_seeds, is_deterministic
from llmimg.run_folder import RunFolder, distinguishing
from llmimg.tasks.base import Task
from llmimg.tasks.chosen import kind_of
from llmimg.tasks.measure import ByRows, Measure, Weights, of_rows, truths_of

_WRITING = ("textify", "vocabulary")  # settings that decide what a token is
_SAME = 1e-6  # how far the headline of a table may lie from that of metrics.json: losses are summed in another order


@dataclass(frozen=True)
class Answers:
    """How well a run, or the runs of several seeds, answered each test image.

    Attributes:
        pixels: hashes of the images.
        truths: what is right, in words; empty where nothing is.
        ids: names of the images, which tell apart those alone that have the same pixels and truth.
        headlines: of each run, its headline by rows.
        measure: what the headline is.
        seeds: how many seeds there are: more than runs where each of them gives the same answers.
        notes: sentences about what was not counted, or not compared by.
        task: its name.
        writing: the settings that decide what a token is.
    """

    pixels: tuple[str, ...]
    truths: tuple[str, ...]
    ids: tuple[str, ...]
    headlines: tuple[ByRows, ...]
    measure: Measure
    seeds: int = 1
    notes: tuple[str, ...] = ()
    task: str = ""
    writing: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def values(self) -> np.ndarray:
        """The headline of each run, float `[S]`."""
        return np.array([of_rows(headline) for headline in self.headlines])

    @property
    def is_deterministic(self) -> bool:
        """Whether several seeds gave the same answers."""
        return self.seeds > len(self.headlines)

    def ordered(self) -> "Answers":
        """The same, sorted by pixels, truths and ids."""
        keys = list(zip(self.pixels, self.truths, self.ids, strict=True))
        order = sorted(range(len(keys)), key=keys.__getitem__)
        pixels, truths, ids = (tuple(each[row] for row in order) for each in (self.pixels, self.truths, self.ids))
        headlines = tuple(_reordered(headline, np.array(order, np.int64)) for headline in self.headlines)
        return replace(self, pixels=pixels, truths=truths, ids=ids, headlines=headlines)


def _reordered(headline: ByRows, order: np.ndarray) -> ByRows:
    if isinstance(headline, np.ndarray):
        return headline[order]

    def by_rows(weights: Weights = None) -> float:
        if weights is None:
            return headline(None)
        own = np.empty_like(weights)
        own[order] = weights
        return headline(own)

    return by_rows


def paired(one: Answers, other: Answers) -> tuple[Answers, Answers]:
    """Both, with the same image in the same row.

    Raises:
        UserError: where they are of different tasks, or were not tested on the same images: the same pixels with the
            same truth.
    """
    if (one.task, one.measure) != (other.task, other.measure):
        names = [f"{each.task} (by its {each.measure.phrase})" for each in (one, other)]
        raise UserError(f"The two are not scored alike: {' and '.join(names)}. Compare runs of one task.")
    one, other = one.ordered(), other.ordered()
    here, there = (list(zip(each.pixels, each.truths, strict=True)) for each in (one, other))
    if here != there:
        same = sum((Counter(here) & Counter(there)).values())
        raise UserError(
            f"The two were not tested on the same images: of {len(here):,} and {len(there):,}, {same:,} have the same "
            "pixels and truth. Compare runs of the same data, data.split_seed and data.test_samples."
        )
    return one, other


def answers_of(path: str | Path) -> Answers:
    """Of a finished run's folder, or of all finished runs in the folders `seed=…` of one.

    Raises:
        UserError: where there is none, or not of the same images; or where more than the seed tells them apart.
    """
    folders = [RunFolder(path)] if RunFolder(path).is_finished else []
    folders = folders or [RunFolder(each) for each in sorted(Path(path).glob("seed=*"))]
    folders = [folder for folder in folders if folder.is_finished]
    if not folders:
        raise UserError(f"'{path}' is no finished run, and holds none of several seeds: give the folder of one.")
    configs = [distinguishing(folder.config()) for folder in folders]
    if any(config != configs[0] for config in configs):
        raise UserError(f"The runs in '{path}' differ in more than their seed: give one of them.")
    folders, left_out = distinct_seeds(folders)
    runs = [_answers(folder).ordered() for folder in folders]
    if any((run.pixels, run.truths, run.measure) != (runs[0].pixels, runs[0].truths, runs[0].measure) for run in runs):
        raise UserError(f"The runs in '{path}' were tested on different images: give one of them.")
    kept = runs[:1] if is_deterministic(folders) else runs
    headlines = tuple(headline for run in kept for headline in run.headlines)
    return replace(runs[0], headlines=headlines, seeds=len(runs), notes=(*left_out, *runs[0].notes))


def _answers(folder: RunFolder) -> Answers:
    config = folder.config()
    group = {"name": "classify", **config.get("task", {})}
    task = kind_of(group)
    table = _Columns(pyarrow.parquet.read_table(folder.path / "predictions.parquet"))
    if "pixels" not in table:
        raise UserError(
            f"'{folder.path}' does not say which images it was tested on (its predictions.parquet has no column "
            "pixels, as of earlier versions): carry it out again with force=true."
        )
    headline, measure, notes = _headline(task, table, folder)
    truths = truths_of(table) or [""] * len(table["pixels"])
    return Answers(
        pixels=tuple(table["pixels"]),
        truths=tuple(map(str, truths)),
        ids=tuple(map(str, table["id"])),
        headlines=(headline,),
        measure=measure,
        notes=notes,
        task=str(group["name"]),
        writing={key: config.get(key) for key in _WRITING},
    )


def _headline(task: type[Task], table: "_Columns", folder: RunFolder) -> tuple[ByRows, Measure, tuple[str, ...]]:
    """The task's headline by rows; or the rows' own scores where their table does not give the headline that the run
    has, which is said."""
    measure = task.measures[0]
    try:
        headline = task.headline(table)
        value, known = of_rows(headline), folder.metrics().get(f"test/{measure.key}")
        if known is None or abs(value - known) <= _SAME * max(1.0, abs(known)):
            return headline, measure, ()
        scores = np.asarray(table["score"], np.float64)
    except KeyError as error:
        raise UserError(
            f"The predictions.parquet of '{folder.path}' has no column {error}, as those of earlier versions: carry "
            "the run out again with force=true."
        ) from error
    said = f"Compared by {task.row_measure.meaning}: {measure.phrase} cannot be taken anew from predictions.parquet."
    return scores, task.row_measure, (said,)


class _Columns(Mapping[str, list]):
    """The columns of a table, made Python's own when they are asked for: those of probabilities can be wide."""

    def __init__(self, table: pa.Table):
        self._table = table

    def __getitem__(self, name: str) -> list:
        return self._table[name].to_pylist()

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.column_names)

    def __len__(self) -> int:
        return self._table.num_columns
