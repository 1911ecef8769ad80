"""What the report and comparisons make of each task, given answers that are somewhat right."""

import json

import numpy as np
import pytest
import yaml

from llmimg.cli import main
from llmimg.data import SceneSettings
from llmimg.data.scenes.make import Scenes, make_scenes, scene_words
from llmimg.insight.answers import answers_of
from llmimg.insight.paired import compare_runs
from llmimg.report.archive import load_record
from llmimg.report.examples import evenly, make_examples, worst
from llmimg.report.page import render
from llmimg.report.results import save_results
from llmimg.run_folder import RunFolder
from llmimg.tasks.base import TASKS, Prediction, Row, Task
from llmimg.tasks.chosen import kind_of
from llmimg.tasks.classify import Label
from llmimg.tasks.figures import Shown
from llmimg.tasks.imagine import Imagined
from llmimg.tasks.info import DataInfo
from llmimg.tasks.measure import of_rows
from llmimg.tasks.mixture import Mixture, MixtureSettings, OfPart
from llmimg.tasks.pretrain import Cost
from llmimg.tasks.retrieve import Ranking
from llmimg.textify import make

SETTINGS = SceneSettings(most=2)
NAMES = scene_words(SETTINGS).names
# What is asked, by the settings of a task that are not as they are by default.
ALONE = [name for name, kind in TASKS.entries().items() if kind.of_images and name != "mixture"]
ASKED = {**{name: {} for name in ALONE}, "segment": {"grid": (8, 8)}}
ASKED = {name: {"name": name, **settings} for name, settings in ASKED.items()}
ASKED["several labels"] = {"name": "classify", "multiple": True}
PARTS = {"boxes": "detect", "kinds": "classify"}
ASKED["mixture"] = {"name": "mixture", "parts": {part: {"task": {"name": name}} for part, name in PARTS.items()}}
TASK = pytest.mark.parametrize("name", sorted(ASKED))


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return make_scenes(SETTINGS, "test", 0, np.arange(24))


def bound(name: str) -> Task:
    classes = {"labels": NAMES, "objects": NAMES, "mask": ("ground", *NAMES)}
    info = DataInfo(label_names=NAMES, classes=classes, answers=NAMES, size=(32, 32))
    settings = dict(ASKED[name])
    if name == "mixture":
        return Mixture.together(MixtureSettings(parts=settings["parts"]), {part: bound(PARTS[part]) for part in PARTS})
    return TASKS[settings.pop("name")].with_settings(info, **settings).bind(info, make("gray"))


def rows_of(scenes: Scenes) -> list[Row]:
    rows = []
    for index, things in enumerate(scenes.things):
        objects = {"bbox": [list(thing.box) for thing in things], "category": [thing.category for thing in things]}
        row = {"id": str(index), "label": index % len(NAMES), "objects": objects, "mask": scenes.masks[index]}
        row["labels"] = sorted(set(objects["category"]))
        row |= {"caption": scenes.captions[index], "question": "what is it?", "answer": NAMES[index % len(NAMES)]}
        row |= {"part": sorted(PARTS)[index % 2]}
        rows.append({**row, "size": scenes.images[index].shape[:2], "placement": None})
    return rows


def sure(label: Label) -> Label:
    return Label(label.label, np.log(np.eye(len(NAMES))[label.label] * 0.6 + 0.4 / len(NAMES)))


def predicted(task: Task, rows: list[Row], every: int) -> list[Prediction]:
    """Each the truth, but every so many that of a row of which something else is true, or dearer where nothing is."""
    found = []
    for index, row in enumerate(rows):
        alike = [each for each in rows if task.part_of(each) == task.part_of(row)]
        others = [each for each in alike if task.text(task.truth(each)) != task.text(task.truth(row))]
        truth = task.truth(others[index % len(others)] if others and index % every == 0 else row)
        if isinstance(truth, Label):
            truth = sure(truth)
        if isinstance(truth, OfPart) and isinstance(truth.prediction, Label):
            truth = truth._replace(prediction=sure(truth.prediction))
        if isinstance(truth, Ranking) and index % every == 0:
            truth = Ranking(9, (7,), truth.found)
        nats = 60.0 + index / 10 + 9 * (index % every == 0)
        if isinstance(truth, Imagined):  # of which what is right is what it costs
            truth = Imagined(truth.label, nats=nats)
        found.append(Cost(nats, 33) if truth is None else truth)
    return found


def left(folder, name: str, scenes: Scenes, every: int, seed: int = 0) -> RunFolder:
    """A finished run's folder."""
    task, rows = bound(name), rows_of(scenes)
    predictions, run = predicted(task, rows, every), RunFolder(folder)
    table = {"id": [row["id"] for row in rows], "pixels": [row["id"] for row in rows]}
    table |= task.table(predictions, rows)
    folder.mkdir(parents=True)
    config = {"task": ASKED[name], "seed": seed, "data": {"name": "scenes"}, "model": {"name": "m"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"textify": {"name": "gray"}}))
    (folder / "environment.json").write_text("{}")
    metrics = {f"test/{key}": value for key, value in task.metrics(predictions, rows, intervals=False).items()}

    def examples(indices):
        drawn = [
            tuple(task.draw(scenes.images[index], each) for each in (task.truth(rows[index]), predictions[index]))
            for index in indices
        ]
        return make_examples(indices, [Shown(scenes.images[index]) for index in indices], table, task.remark, drawn)

    save_results(
        run,
        task,
        title=name,
        metrics=metrics,
        table=table,
        figures=task.figures(predictions, rows),
        notes=[],
        examples=examples(evenly(len(rows))),
        mistakes=examples(worst(table, task.row_measure.best)),
    )
    return run


@TASK
def test_the_headline_comes_from_the_table_as_it_is_in_the_metrics(name, scenes):
    """… in words too, as they come back from a file; and weights count rows, as leaving out and doubling do."""
    task, rows = bound(name), rows_of(scenes)
    predictions, key = predicted(task, rows, 3), task.measures[0].key
    table = json.loads(json.dumps(task.table(predictions, rows), default=lambda each: np.asarray(each).tolist()))
    headline = task.headline(table)
    assert of_rows(headline) == pytest.approx(task.metrics(predictions, rows, intervals=False)[key])
    weights = np.arange(len(rows)) % 3
    chosen = np.repeat(np.arange(len(rows)), weights)
    again = task.metrics([predictions[index] for index in chosen], [rows[index] for index in chosen], intervals=False)
    assert of_rows(headline, weights) == pytest.approx(again[key])


@TASK
def test_a_page_shows_measures_figures_and_the_worst(name, scenes, tmp_path):
    run = left(tmp_path / "run", name, scenes, 3)
    record, page = load_record(run.path), (run.path / "report.html").read_text()
    assert render(record) == page
    assert f"Test {record.measures[0].phrase}" in page
    assert all(figure.title in page for figure in record.figures)
    scores = [example.score for example in record.mistakes]
    assert scores == sorted(scores) and 0 < len(scores) <= 8
    assert all(int(example.id) % 3 == 0 for example in record.mistakes[:4])
    task, rows = bound(name), rows_of(scenes)
    shown = [int(example.id) for example in (*record.examples, *record.mistakes)]
    drawn = sum(task.draw(scenes.images[index], task.truth(rows[index])) is not None for index in shown)
    assert page.count(">truth</figcaption>") == page.count(">prediction</figcaption>") == drawn


@TASK
def test_better_answers_are_better(name, scenes, tmp_path, capsys):
    good, poor = (left(tmp_path / f"{every}", name, scenes, every).path for every in (12, 2))
    result = compare_runs(answers_of(poor), answers_of(good))
    measure = kind_of(ASKED[name]).measures[0]
    assert measure.better(result.difference, 0) and result.p_value < 0.05
    assert result.low <= result.difference <= result.high and not result.low <= 0 <= result.high
    main(["compare", str(poor), str(good)])
    said = capsys.readouterr().out
    assert f"of {measure.phrase} on the same 24 test images" in said and "cannot be taken anew" not in said
    main(["table", str(tmp_path)])
    (head,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("name,"))
    columns = head.split(",")
    assert columns[1] == f"test_{measure.key}_mean" and len(set(columns)) == len(columns)
