"""What a recogniser says of image files: in JSON's types, and as files in the field's own format."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from llmimg.data import decode
from llmimg.data.png import write_png
from llmimg.errors import UserError
from llmimg.nearest import did_you_mean
from llmimg.paths import file_name, output_folder
from llmimg.recogniser import Recogniser
from llmimg.settings import Positive, Seed, build, settings_of
from llmimg.tasks.asked import all_asks
from llmimg.tasks.base import TASKS, Prediction, Row, Task
from llmimg.tasks.chosen import name_of


def predict(run: str, images: Sequence[str], given: Mapping[str, str]) -> list[dict[str, Any]]:
    """The answer to each image, in JSON's types.

    Args:
        run: the folder of a run, or of its recogniser.
        images: paths; none of a task that writes images, or of which the upper part is given.
        given: `task`, which one of a mixture; `out`, a folder to write predictions to in the field's own format, and
            drawn on their images as PNG files in the folder `drawn` there; what the task asks by (`question`), the same
            for all images; and what its `Bounds` have. The folder is written once all is predicted, each file whole or
            not at all; files of the same names are replaced.

    Raises:
        UserError: a name that no task has, or not the run's; an image that is not there or cannot be read.
    """
    _check(given)
    asked, given = given.get("task"), {name: value for name, value in given.items() if name != "task"}
    out = output_folder(given["out"]) if "out" in given else None
    drawn = build(Drawn, {name: given[name] for name in _DRAWN if name in given})
    if not images and out is None:
        raise UserError("predict without images writes some: give out=FOLDER, where they go (or images to read).")
    for image in images:
        if not Path(image).is_file():
            raise UserError(f"There is no image {image}.")
    recogniser = Recogniser.load(run).of(asked)
    task = recogniser.readout.task
    if recogniser.readout.draws:
        return _drawn(recogniser, images, given, drawn, out)
    if not images:
        raise UserError("What this run leaves writes no images: give some that it is to read.")
    if said := next((name for name in _DRAWN if name in given), None):
        raise UserError(f"{said}= is for tasks that write images, and task={name_of(task)} does not: leave it out.")
    asked_by: dict[str, Any] = {name: value for name, value in given.items() if name in all_asks()}
    bounds = _bounds(task, {name: given[name] for name in given if name not in asked_by})
    if out is not None and not task.exports:
        raise UserError(f"task={name_of(task)} has no format of files of its own: leave out out=.")
    predictions, rows = recogniser.predictions(images, **asked_by)
    if bounds is not None:
        predictions = [task.bounded(each, bounds) for each in predictions]
    if out is not None:
        rows = [{**row, "id": name} for row, name in zip(rows, _ids(images), strict=True)]
        _write(task, predictions, rows, images, recogniser.encoder.decoding.white, out)
    return [task.as_json(each) for each in predictions]


@settings_of()
class Drawn:
    """How images are drawn.

    Attributes:
        samples: of each that is asked for.
        seed: of all of them.
        keep: how much of the height of an image is given, from its top.
    """

    samples: Positive = 1
    seed: Seed = 0
    keep: Annotated[float, Field(gt=0, lt=1)] = 0.5


_DRAWN = tuple(field.name for field in dataclasses.fields(Drawn))


def _drawn(
    recogniser: Recogniser, images: Sequence[str], given: Mapping[str, str], drawn: Drawn, out: Path | None
) -> list[dict[str, Any]]:
    """Images that a model writes or, from their upper parts, writes anew, as PNG files in a folder; commas part several
    words that it is asked by."""
    task = recogniser.readout.task
    if images and "keep" not in given:
        raise UserError(
            f"task={name_of(task)} writes images: give keep=0.5 to have the lower halves of these written anew, or "
            f"{task.asks[0]}= without images."
        )
    if not images and "keep" in given:
        raise UserError("keep= is how much of an image is given: give images too, or leave it out.")
    if out is None:
        raise UserError("Images are written as files: give out=FOLDER, where they go.")
    asked: dict[str, Any] = {name: value.split(",") for name, value in given.items() if name not in (*_DRAWN, "out")}
    if images:  # one word is for all of them
        asked = {name: values * len(images) if len(values) == 1 else values for name, values in asked.items()}
    asked = {name: [each for each in values for _ in range(drawn.samples)] for name, values in asked.items()}
    whole = [each for each in images for _ in range(drawn.samples)] if images else None
    predictions, rows = recogniser.written(whole, drawn.keep, seed=drawn.seed, **asked)
    of_each = [each for each in _ids(images) for _ in range(drawn.samples)]
    of_each = of_each or ["-".join(row[name] for name in task.asks) for row in rows]
    names = [f"{name}-{index % drawn.samples}" for index, name in enumerate(of_each)]
    out.mkdir(parents=True, exist_ok=True)
    task.export(predictions, [{**row, "id": name} for row, name in zip(rows, names, strict=True)], out)
    files = [str(out / f"{file_name(name)}.png") for name in names]
    return [{"image": file, **task.as_json(each)} for file, each in zip(files, predictions, strict=True)]


def _write(
    task: Task, predictions: Sequence[Prediction], rows: Sequence[Row], images: Sequence[str], white: Any, out: Path
) -> None:
    """Write predictions as files; arguments as of `predict`, and what counts as white in the images."""
    drawn = out / "drawn"
    drawn.mkdir(parents=True, exist_ok=True)
    task.export(predictions, rows, out)
    for image, prediction, row in zip(images, predictions, rows, strict=True):
        picture = task.draw(decode(image, row["id"], white), prediction)
        if picture is not None:
            write_png(drawn / f"{file_name(row['id'])}.png", picture)


def _check(given: Mapping[str, str]) -> None:
    known = (
        {"task", "out", *_DRAWN}
        | all_asks()
        | {field.name for kind in TASKS.entries().values() for field in _fields(kind)}
    )
    for name in given:
        if name not in known:
            raise UserError(f"predict has no setting '{name}': {did_you_mean(name, known)}")


def _bounds(task: Task, given: Mapping[str, str]) -> Any:
    chosen, known = {name: value for name, value in given.items() if name != "out"}, _fields(type(task))
    for name in chosen:
        if name not in {field.name for field in known}:
            raise UserError(f"{name}= bounds nothing that task={name_of(task)} answers: leave it out.")
    return build(task.Bounds, chosen) if chosen else None


def _fields(kind: Any) -> tuple[dataclasses.Field, ...]:
    return () if kind.Bounds is None else dataclasses.fields(kind.Bounds)


def _ids(images: Sequence[str]) -> list[str]:
    """What files and entries are called by: the images' own names; where two have the same, their paths."""
    names = [Path(image).name for image in images]
    return names if len(set(names)) == len(names) else list(images)
