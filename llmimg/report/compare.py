"""Finished runs side by side: what each way of writing images costs, and what it gives."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from llmimg.errors import UserError
from llmimg.insight.seeds import distinct_seeds, is_deterministic
from llmimg.report import plots
from llmimg.report.archive import load_record
from llmimg.report.page import page_environment
from llmimg.report.record import Example
from llmimg.report.svg import short
from llmimg.run_folder import RunFolder, distinguishing, flatten, without, write_text
from llmimg.tasks.chosen import kind_of
from llmimg.tasks.measure import Measure

# What the table shows of a row's runs besides the task's measures, on average: metrics.json's key → the column's name.
COLUMNS = {
    "data/train_images": "train_images",
    "data/tokens_per_image": "tokens_per_image",
    "data/bits_per_image": "bits_per_image",
    "data/psnr_db": "psnr_db",
    "data/ssim": "ssim",
    "data/prepare_images_per_second": "prepare_images_per_second",
    "train/images_per_second": "train_images_per_second",
    "model/parameters": "parameters",
}
_SIZE = "data.train_samples"  # what learning curves run over
_EXAMPLES = 3
_LONGEST = 24  # letters of a name in a plot


@dataclass(frozen=True)
class Row:
    """One way to recognise the images: the runs that differ in nothing but their seed.

    Attributes:
        name: the textifier and what else tells it from the others; the model, where it needs no text.
        values: the task's headline of each seed.
        numbers: the means of the other columns, those that there are.
        examples: the first test images as the first seed's model read them.
        on_front: whether nothing else is at least as good for fewer tokens.
    """

    name: str
    values: tuple[float, ...]
    numbers: Mapping[str, float]
    examples: Sequence[Example]
    on_front: bool = False

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float | None:
        """The standard deviation over seeds; None for one seed."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    @property
    def tokens(self) -> float | None:
        return self.numbers.get("tokens_per_image")


def compare(folder: str | Path) -> tuple[list[Path], list[str]]:
    """Write a table (CSV) and a page (HTML) of the finished runs under a folder, by their task's headline: one of each
    data set, and of each task where a data set has several.

    Returns:
        The files, and sentences about runs that do not count: copies of a seed, and seeds that made no difference.

    Raises:
        UserError: where there are none.
    """
    runs = [RunFolder(path.parent) for path in sorted(Path(folder).rglob("metrics.json"))]
    runs = [run for run in runs if run.is_finished and (run.path / "config.yaml").is_file()]
    by_data: dict[tuple[str, str, tuple[Measure, ...]], list[RunFolder]] = {}
    for run in runs:
        (name, measures), config = task_of(run), run.config()
        if f"test/{measures[0].key}" in run.metrics():
            by_data.setdefault((config["data"]["name"], name, measures), []).append(run)
    if not by_data:
        raise UserError(f"'{folder}' holds no finished run: give the folder of a comparison, as runs/compare.")
    tasks = Counter(data for data, *_ in by_data)
    headlines = Counter((data, task) for data, task, _ in by_data)
    written, notes = [], []
    for (data, task, measures), group in by_data.items():
        group, found = counted(group)
        notes += found
        rows, curves = rows_of(group, measures), curves_of(group, measures[0])
        name = data if tasks[data] == 1 else f"{data}-{task}"
        name += f"-{measures[0].key}" * (headlines[data, task] > 1)
        for kind, text in (("csv", table(rows, measures)), ("html", page(name, measures, rows, curves, found))):
            written.append(Path(folder) / f"{name}.{kind}")
            write_text(written[-1], text)
    return written, notes


def task_of(run: RunFolder) -> tuple[str, tuple[Measure, ...]]:
    """The name of its task, and what that is measured by."""
    group = {"name": "classify", **run.config().get("task", {})}
    return str(group["name"]), kind_of(group).measures


def counted(runs: Sequence[RunFolder]) -> tuple[list[RunFolder], list[str]]:
    """Runs without copies of a seed, and one for all where seeds made no difference; a sentence about each case."""
    kept, notes = [], []
    for group in _by_configuration(runs).values():
        seeds, left_out = distinct_seeds(group)
        notes += left_out
        if is_deterministic(seeds):
            notes.append(
                f"{seeds[0].path} gives the same answers with each of {len(seeds)} seeds (deterministic): counted as "
                "one, without a spread."
            )
            seeds = seeds[:1]
        kept += seeds
    return kept, notes


def _by_configuration(runs: Sequence[RunFolder]) -> dict[str, list[RunFolder]]:
    """The runs that differ in nothing but their seed."""
    groups: dict[str, list[RunFolder]] = {}
    for run in runs:
        config = distinguishing(run.config())
        groups.setdefault(json.dumps(config, sort_keys=True), []).append(run)
    return groups


def rows_of(runs: Sequence[RunFolder], measures: Sequence[Measure]) -> list[Row]:
    """The runs by configuration, the best first."""
    groups = _by_configuration(runs)
    names = _names([json.loads(key) for key in groups])
    rows = [_row(name, group, measures) for name, group in zip(names, groups.values(), strict=True)]
    return sorted(_with_front(rows, measures[0]), key=lambda row: row.mean, reverse=measures[0].higher_is_better)


def curves_of(runs: Sequence[RunFolder], measure: Measure) -> list[tuple[str, list[tuple[float, float, float]]]]:
    """Learning curves: runs that differ in nothing but their seed and how many images they trained on.

    Returns:
        Name, and (training images, mean of the measure, its standard deviation) of each number of images, ascending;
        for each way that was trained on two numbers or more.
    """
    groups: dict[str, dict[float, list[float]]] = {}
    for run in runs:
        config = without(distinguishing(run.config()), [_SIZE])
        metrics = run.metrics()
        if "data/train_images" not in metrics:  # nothing was trained
            continue
        sizes = groups.setdefault(json.dumps(config, sort_keys=True), {})
        sizes.setdefault(metrics["data/train_images"], []).append(metrics[f"test/{measure.key}"])
    names = _names([json.loads(key) for key in groups])
    return [
        (
            name,
            [
                (size, float(np.mean(each)), float(np.std(each, ddof=len(each) > 1)))
                for size, each in sorted(sizes.items())
            ],
        )
        for name, sizes in zip(names, groups.values(), strict=True)
        if len(sizes) > 1
    ]


def _columns(measures: Sequence[Measure]) -> dict[str, str]:
    """metrics.json's key → the column's name, of all that is shown besides the headline."""
    return {f"test/{measure.key}": f"test_{measure.key}" for measure in measures[1:]} | COLUMNS


def _row(name: str, runs: list[RunFolder], measures: Sequence[Measure]) -> Row:
    metrics = [run.metrics() for run in runs]
    numbers = {
        column: float(np.mean([each[key] for each in metrics]))
        for key, column in _columns(measures).items()
        if all(key in each for each in metrics)
    }
    examples = [each for each in load_record(runs[0].path).examples if each.text][:_EXAMPLES]
    return Row(name, tuple(each[f"test/{measures[0].key}"] for each in metrics), numbers, examples)


def _names(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The textifier's name, or the model's where it sees pixels; with the settings in which two of one name differ."""
    short = [
        each["textify"]["name"]
        if each["model"].get("kind", "language") in ("language", "endpoint")
        else each["model"]["name"]
        for each in configs
    ]
    flat = [flatten(each) for each in configs]
    named = []
    for name, settings in zip(short, flat, strict=True):
        twins = [other for twin, other in zip(short, flat, strict=True) if twin == name]
        keys = sorted({key for twin in twins for key in {*settings, *twin} if twin.get(key) != settings.get(key)})
        differing = [f"{key.removeprefix('textify.')}={settings.get(key)}" for key in keys]
        named.append(" ".join([name, *differing]))
    return named


def _with_front(rows: Sequence[Row], measure: Measure) -> list[Row]:
    """Pareto: a row is on the front, if none is at least as good and as short, and better in one of both."""
    texts = [row for row in rows if row.tokens is not None]
    return [
        replace(row, on_front=row.tokens is not None and not any(_beats(other, row, measure) for other in texts))
        for row in rows
    ]


def _beats(one: Row, other: Row, measure: Measure) -> bool:
    if one.tokens is None or other.tokens is None:
        return False
    as_good = not measure.better(other.mean, one.mean) and one.tokens <= other.tokens
    return as_good and (one.mean, one.tokens) != (other.mean, other.tokens)


def table(rows: Sequence[Row], measures: Sequence[Measure]) -> str:
    """The comparison as CSV."""
    file, columns = io.StringIO(), _shown(rows, measures)
    headline = f"test_{measures[0].key}"
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["name", f"{headline}_mean", f"{headline}_std", "seeds", "pareto_front", *columns])
    for row in rows:
        spread = "" if row.deviation is None else f"{row.deviation:.5f}"
        numbers = [f"{row.numbers[column]:.6g}" if column in row.numbers else "" for column in columns]
        writer.writerow([row.name, f"{row.mean:.5f}", spread, len(row.values), int(row.on_front), *numbers])
    return file.getvalue()


def _shown(rows: Sequence[Row], measures: Sequence[Measure]) -> list[str]:
    """The columns of numbers: of the task's measures those that some run has, and all others."""
    named = _columns(measures)
    return [column for key, column in named.items() if key in COLUMNS or any(column in row.numbers for row in rows)]


def page(
    name: str,
    measures: Sequence[Measure],
    rows: Sequence[Row],
    curves: Sequence[tuple[str, Sequence[tuple[float, float, float]]]] = (),
    notes: Sequence[str] = (),
) -> str:
    """The comparison as one HTML file that loads nothing from elsewhere; `curves` as `curves_of` has them."""
    labels, told = _labels([row.name for row in rows])
    named = list(zip(labels, rows, strict=True))
    points = [(label, row.tokens, row.mean, row.deviation or 0.0, row.on_front) for label, row in named if row.tokens]
    others = [(label, row.mean) for label, row in named if not row.tokens]
    of_curves, told_of_curves = _labels([curve for curve, _ in curves])
    labelled = [(label, points) for label, (_, points) in zip(of_curves, curves, strict=True)]
    return (
        page_environment()
        .get_template("compare.html.jinja")
        .render(
            name=name,
            measure=measures[0],
            rows=rows,
            columns=_shown(rows, measures),
            plot=plots.price(points, others, measures[0]),
            curves=plots.learning_curves(labelled, measures[0]),
            told=told,
            told_of_curves=told_of_curves,
            notes=notes,
        )
    )


def _labels(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names as a plot has room for them, long ones by their beginning and a number; and what the numbers stand for."""
    labels, told = [], []
    for name in names:
        if len(name) > _LONGEST:
            told.append(f"[{len(told) + 1}] {name}")
            name = f"{short(name, _LONGEST - 6)} [{len(told)}]"
        labels.append(name)
    return labels, told
