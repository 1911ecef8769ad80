"""Several tasks in one model, each with a prompt, a readout and, where it says so, data of its own."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import numpy as np
from pydantic import Field

from llmimg.errors import UserError
from llmimg.settings import settings_of
from llmimg.tasks.base import TASKS, Prediction, Row, Task
from llmimg.tasks.chosen import kind_of, name_of
from llmimg.tasks.figures import Figure
from llmimg.tasks.info import DataInfo
from llmimg.tasks.measure import LOSS, ByRows, Measure, Table, Weights, of_rows, truths_of
from llmimg.textify import Textifier
from llmimg.tokens.sample import Answer, Part

PART, KIND, OWN_SCORE = "part", "task", "own_score"  # columns of predictions.parquet


@settings_of("task.parts")
class PartSettings:
    """One task of a mixture.

    Attributes:
        task: its name and settings, as in conf/task.
        readout: how its answer is taken, as in conf/readout.
        weight: how often rows are asked by it, and how much its mean loss counts, beside the others' weights; 0 learns
            none.
        data: of its own, as in conf/data; null takes the mixture's.
    """

    task: dict[str, Any]
    readout: dict[str, Any] = field(default_factory=lambda: {"name": "auto"})
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    data: dict[str, Any] | None = None


@settings_of("task")
class MixtureSettings:
    """conf/task/mixture.yaml.

    Attributes:
        parts: the tasks, by names of one's own; the rows of the first that is learned make an epoch.
        image_loss: how much the mean loss over the image's own text in the prompts counts beside the answers'.
        packed: whether the tasks that read the same images are asked of each at once, behind one text of it.
    """

    parts: dict[str, PartSettings] = field(default_factory=dict)
    image_loss: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    packed: bool = True

    def __post_init__(self):
        if not self.parts:
            raise UserError("task=mixture has no tasks: name them in task.parts, as experiment=scenes_mixture does.")
        if not any(part.weight for part in self.parts.values()):
            raise UserError("task.parts have weights of 0 alone, so that nothing is learned: raise one.")
        for name in self.parts:
            if not name.replace("_", "").replace("-", "").isalnum():
                raise UserError(f"task.parts has the name '{name}': take letters, digits, _ and -.")

    def share(self, name: str) -> float:
        """The weight of a part beside the largest, 0 to 1."""
        return self.parts[name].weight / max(part.weight for part in self.parts.values())


class OfPart(NamedTuple):
    """A prediction of one of the tasks."""

    part: str
    prediction: Prediction


MEAN = Measure(
    "mean", "Mean of headlines", "mean of its tasks' headlines that have bounds, each brought to 0 to 1", "share"
)
_RANK = Measure("score", "Rank", "where it stands among its task's rows, from the worst (0) to the best (1)", "share")


@TASKS.register("mixture")
@dataclass(frozen=True)
class Mixture(Task):
    """Rows name the task that they are asked by (`part`); keys of its metrics begin with that name.

    Attributes:
        parts: the tasks, bound to their data.
    """

    settings: MixtureSettings
    parts: Mapping[str, Task] = field(default_factory=dict)
    Settings = MixtureSettings
    readouts = ("mixture",)
    columns = ()
    measures: ClassVar = (MEAN,)
    row_measure: ClassVar = _RANK

    @classmethod
    def measures_for(cls, settings: MixtureSettings) -> tuple[Measure, ...]:
        kinds = {name: kind_of(part.task) for name, part in settings.parts.items()}
        told = [
            dataclasses.replace(each, key=f"{name}/{each.key}", title=f"{each.title} ({name})")
            for name, kind in kinds.items()
            for each in kind.measures
        ]
        bounded = any(_is_bounded(kind.measures[0]) for kind in kinds.values())
        return (MEAN, *told) if bounded else tuple(told)

    @classmethod
    def together(cls, settings: MixtureSettings, asked: Mapping[str, Task]) -> Self:
        return cls(settings, parts=asked)

    def bind(self, info: DataInfo, textifier: Textifier) -> Self:
        parts = {name: each.bind(each.info, textifier) for name, each in self.parts.items()}
        return dataclasses.replace(self, parts=parts)

    def of(self, row: Row) -> Task:
        """The task that a row is asked by."""
        return self.parts[self.part_of(row)]

    def prompt(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        return self.of(row).prompt(row, seed)

    def answer(self, row: Row, seed: int | None) -> tuple[Part, ...]:
        return self.of(row).answer(row, seed)

    def truth(self, row: Row) -> OfPart:
        return OfPart(row[PART], self.of(row).truth(row))

    def read(self, answer: Answer, row: Row) -> OfPart:
        return OfPart(row[PART], self.of(row).read(answer, row))

    @property
    def asked(self) -> Mapping[str, Task]:
        return self.parts

    def by_part(
        self, predictions: Sequence[OfPart], rows: Sequence[Row]
    ) -> Iterator[tuple[str, Task, list[Prediction], list[Row], np.ndarray]]:
        names = np.array([row[PART] for row in rows])
        for name, task in self.parts.items():
            here = np.flatnonzero(names == name)
            if len(here):
                places = here.tolist()
                yield (
                    name,
                    task,
                    [predictions[each].prediction for each in places],
                    [rows[each] for each in places],
                    here,
                )

    def part_of(self, row: Row) -> str:
        return row[PART]

    def joined(self, found: Mapping[str, tuple[Sequence[Prediction], Sequence[Row]]]) -> tuple[list[OfPart], list[Row]]:
        predictions = [OfPart(name, each) for name, (some, _) in found.items() for each in some]
        return predictions, [{**row, PART: name} for name, (_, rows) in found.items() for row in rows]

    def metrics(self, predictions: Sequence[OfPart], rows: Sequence[Row], intervals: bool = True) -> dict[str, float]:
        parts = self.by_part(predictions, rows)
        return self.combined({name: task.metrics(some, among, intervals) for name, task, some, among, _ in parts})

    def combined(self, metrics: Mapping[str, dict[str, float]]) -> dict[str, float]:
        """The mean of headlines; the loss as it is learned, of those that say theirs; and each one's own, by its
        name."""
        headlines = [(self.parts[name].measures[0], found) for name, found in metrics.items()]
        reached = [share for measure, found in headlines for share in share_reached(measure, found[measure.key])]
        losses = [self.settings.share(name) * found[LOSS.key] for name, found in metrics.items() if LOSS.key in found]
        return {
            **({MEAN.key: float(np.mean(reached))} if reached else {}),
            **({LOSS.key: float(np.sum(losses))} if losses else {}),
            **{f"{name}/{key}": value for name, found in metrics.items() for key, value in found.items()},
        }

    def per_row(self, predictions: Sequence[OfPart], rows: Sequence[Row]) -> np.ndarray:
        """The rank of each among its task's, 0 to 1; what could not be better has 1."""
        found = np.ones(len(rows))
        for _, task, some, among, here in self.by_part(predictions, rows):
            scores, best = task.per_row(some, among), task.row_measure.best
            found[here] = _ranks(scores) if best is None else np.where(scores >= best, 1.0, _ranks(scores))
        return found

    def table(self, predictions: Sequence[OfPart], rows: Sequence[Row]) -> Table:
        """The columns of each task's table, empty where another's has them; which task a row is asked by, and its score
        there."""
        tables = [_told(name, task, some, among) for name, task, some, among, _ in self.by_part(predictions, rows)]
        order = np.argsort(np.concatenate([here for *_, here in self.by_part(predictions, rows)]))
        names = dict.fromkeys(column for each in tables for column in each)
        whole = {name: [tables_value for each in tables for tables_value in _column(each, name)] for name in names}
        found = {name: [values[index] for index in order] for name, values in whole.items()}
        return {**found, OWN_SCORE: found["score"], "score": self.per_row(predictions, rows)}

    @classmethod
    def headline(cls, table: Table) -> ByRows:
        """The mean of the headlines, each of its own rows."""
        names, parts = np.array(table[PART]), []
        for name in dict.fromkeys(names.tolist()):
            here = np.flatnonzero(names == name)
            every = {column: [values[index] for index in here.tolist()] for column, values in dict(table).items()}
            own = {column: values for column, values in every.items() if any(each is not None for each in values)}
            task = _kind(own[KIND][0])
            if _is_bounded(task.measures[0]):
                parts.append((task.measures[0], task.headline({**own, "score": own[OWN_SCORE]}), here))
        return _mean_of(parts)

    @classmethod
    def remark(cls, row: Mapping[str, Any]) -> str:
        own = {name: value for name, value in row.items() if value is not None}  # without other tasks' columns
        return f"{row[PART]}: {_kind(row[KIND]).remark({**own, 'score': row[OWN_SCORE]})}"

    def text(self, prediction: OfPart) -> str:
        return self.parts[prediction.part].text(prediction.prediction)

    def as_json(self, prediction: OfPart) -> dict[str, Any]:
        return self.parts[prediction.part].as_json(prediction.prediction)

    def figures(self, predictions: Sequence[OfPart], rows: Sequence[Row]) -> list[Figure]:
        return [
            dataclasses.replace(figure, title=f"{name}: {figure.title}")
            for name, task, some, among, _ in self.by_part(predictions, rows)
            for figure in task.figures(some, among)
        ]

    def draw(self, image: np.ndarray, prediction: OfPart) -> np.ndarray | None:
        return self.parts[prediction.part].draw(image, prediction.prediction)

    @property
    def exports(self) -> bool:
        return any(task.exports for task in self.parts.values())

    def export(self, predictions: Sequence[OfPart], rows: Sequence[Row], folder: Path) -> None:
        """Each task's in a folder of its name."""
        for name, task, some, among, _ in self.by_part(predictions, rows):
            if task.exports:
                (folder / name).mkdir(parents=True, exist_ok=True)
                task.export(some, among, folder / name)


def _kept(task: Task) -> str:
    """A task in a column: its name, or that and its settings where these choose its class."""
    name = name_of(task)
    if kind_of({"name": name}) is type(task):
        return name
    return json.dumps({"name": name, **dataclasses.asdict(task.settings)}, ensure_ascii=False)


def _kind(kept: str) -> type[Task]:
    """The class of a task that `_kept` gave."""
    return kind_of(json.loads(kept) if kept.startswith("{") else {"name": kept})


def share_reached(measure: Measure, value: float) -> list[float]:
    """How far a value lies from a measure's worst (0) to its best (1); nothing of one without bounds."""
    if measure.worst is None or measure.best is None:
        return []
    return [min(max((value - measure.worst) / (measure.best - measure.worst), 0.0), 1.0)]


def _is_bounded(measure: Measure) -> bool:
    return bool(share_reached(measure, 0.0))


def _ranks(scores: np.ndarray) -> np.ndarray:
    """Of each score the share of the others that are lower, float64 `[N]`; of one alone, 1."""
    ordered = np.sort(scores)
    return np.searchsorted(ordered, scores) / (len(scores) - 1) if len(scores) > 1 else np.ones(len(scores))


def _told(name: str, task: Task, predictions: Sequence[Prediction], rows: Sequence[Row]) -> Table:
    """The table of a task, with its name and kind, and what is right where that is said."""
    table = task.table(predictions, rows)
    truths = truths_of(table)
    told = {} if truths is None else {"truth": truths}
    return {**table, **told, PART: [name] * len(rows), KIND: [_kept(task)] * len(rows)}


def _column(table: Table, name: str) -> Sequence[Any]:
    count = len(table[PART])
    if name not in table:
        return [None] * count
    column = table[name]
    return column.tolist() if isinstance(column, np.ndarray) else column


def _mean_of(parts: Sequence[tuple[Measure, ByRows, np.ndarray]]) -> Callable[[Weights], float]:
    def mean(weights: Weights = None) -> float:
        found = [
            share_reached(measure, of_rows(rows, None if weights is None else weights[here]))
            for measure, rows, here in parts
        ]
        return float(np.mean(found))

    return mean
