"""One composed configuration as dataclasses: what `conf/` composes to, checked by name, type and range."""

import functools
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Annotated, Any

from pydantic import Field

from llmimg import textify
from llmimg.baselines import BASELINES, Baseline
from llmimg.combinations import check_parts
from llmimg.data import AugmentSettings, DataSettings
from llmimg.errors import UserError, within
from llmimg.mixtures import check_mixture, chosen_in_a_mixture
from llmimg.models.settings import AdaptationSettings, ModelSettings
from llmimg.nearest import choose, did_you_mean
from llmimg.objective import objective_of
from llmimg.readouts.settings import SETTINGS as READOUT_SETTINGS
from llmimg.readouts.settings import check_combination, chosen_readout
from llmimg.settings import Positive, Seed, Unit, build, settings_of
from llmimg.tasks.base import Task
from llmimg.tasks.chosen import kind_of
from llmimg.tasks.measure import LOSS, Measure
from llmimg.textify import Textifier
from llmimg.tokens.folders import cache_folder
from llmimg.tokens.settings import TokensSettings, VocabularySettings
from llmimg.training.arguments import stop_early


@settings_of("launch")
class Launch:
    """Attributes:
    processes: how many this run is spread over by accelerate, one a GPU; 1 stays in this process.
    """

    processes: Positive = 1


@settings_of("early_stopping")
class EarlyStopping:
    """Attributes:
    patience: evaluations without a better one before training ends, with the best weights; null never ends early.
    metric: a measure of the task or `loss`, on the validation split; null is the task's headline.
    """

    patience: Positive | None = None
    metric: str | None = None


@settings_of()
class Configuration:
    """Everything an experiment depends on, and where it goes.

    Attributes:
        experiment: its name, for the run's folder.
        trainer: fields of transformers.TrainingArguments.
        layer_decay: the learning rate's factor for each layer further down, above 0 to 1.
        ema: how much of the weights' moving average stays at each step, 0 to below 1; 0 keeps none.
        run_dir: the run's folder.
        dry_run: check and show, but read no data.
        force: start over, whatever the folder holds.
        profile: steps of training to trace into the run's folder; 0 traces none.
        objective: the key in metrics.json of what a sweep looks for; None is the task's headline on the validation
            split.
    """

    data: DataSettings
    textify: dict[str, Any]
    model: ModelSettings
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    vocabulary: VocabularySettings = field(default_factory=VocabularySettings)
    tokens: TokensSettings = field(default_factory=TokensSettings)
    task: dict[str, Any] = field(default_factory=lambda: {"name": "classify"})
    readout: dict[str, Any] = field(default_factory=lambda: {"name": "auto"})
    adaptation: AdaptationSettings = field(default_factory=AdaptationSettings)
    trainer: dict[str, Any] = field(default_factory=dict)
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    early_stopping: EarlyStopping = field(default_factory=EarlyStopping)
    launch: Launch = field(default_factory=Launch)
    experiment: str = "run"
    seed: Seed = 0
    run_dir: str | None = None
    dry_run: bool = False
    force: bool = False
    profile: Annotated[int, Field(ge=0), Unit("steps")] = 0
    objective: str | None = None

    def __post_init__(self):
        if self.model.kind == "baseline" and self.launch.processes > 1:
            raise UserError(f"model={self.model.name} is fitted in one process: set launch.processes=1.")
        if self.early_stopping.patience is not None and self.trainer.get("eval_strategy") == "no":
            raise UserError("early_stopping.patience needs evaluations: set trainer.eval_strategy to epoch or steps.")

    @classmethod
    def of(cls, resolved: Mapping[str, Any]) -> "Configuration":
        """From values of JSON's types, everything checked that can be without reading data.

        Raises:
            UserError: an unknown name, a value of the wrong type or out of range, or parts that do not go together.
        """
        configuration = build(cls, resolved)
        _ = configuration.textifier
        configuration._check()
        for name, part in configuration.parts.items():
            with within(f"task.parts.{name}" if name else ""):
                part._check()
        if "" in configuration.parts and not configuration.task_kind.of_images:
            raise UserError("task=text is plain text beside images: name it in task.parts of task=mixture.")
        if configuration.readout_name == "mixture":
            check_mixture(configuration)
        objective_of(resolved)
        _ = configuration.stops_by  # whether there is such a measure
        configuration._check_best()
        return configuration

    def _check(self) -> None:
        """Refuse a task, a readout and a model that do not go together, or with the rest."""
        check_combination(self.task_name, self.task_kind.readouts, self.readout_name, self.model.kind)
        _ = self.task_settings, self.readout_settings
        check_parts(self)

    @property
    def task_name(self) -> str:
        return self._named(self.task, "task")

    @property
    def task_kind(self) -> type[Task]:
        """The task's class."""
        return kind_of({**self.task, "name": self.task_name})

    @functools.cached_property
    def task_settings(self) -> Any:
        """The task's `Settings`."""
        given = {key: value for key, value in self.task.items() if key != "name"}
        return build(self.task_kind.Settings, given)

    @property
    def readout_name(self) -> str:
        readouts = self.task_kind.readouts
        return chosen_readout(readouts, self._named(self.readout, "readout"), self.model.kind)

    @functools.cached_property
    def parts(self) -> Mapping[str, "Configuration"]:
        """The configuration of each task that rows are asked by, by its name: of a single one itself, unnamed."""
        parts = getattr(self.task_settings, "parts", {})
        return {name: self._of_part(name, part) for name, part in parts.items()} or {"": self}

    def _of_part(self, name: str, part: Any) -> "Configuration":
        with within(f"task.parts.{name}"):
            data = self.data if part.data is None else build(DataSettings, part.data)
            return replace(self, task=part.task, readout=chosen_in_a_mixture(part), data=data)

    @property
    def plain_text(self) -> tuple[str, ...]:
        """The files of plain text that are learned from."""
        parts = [part for part in self.parts.values() if not part.task_kind.of_images]
        return tuple(source for part in parts for source in part.task_settings.files)

    @functools.cached_property
    def readout_settings(self) -> Any:
        """The readout's entry in `llmimg.readouts.settings`."""
        given = {key: value for key, value in self.readout.items() if key != "name"}
        return build(READOUT_SETTINGS[self.readout_name], given)

    @functools.cached_property
    def baseline(self) -> Baseline:
        """What a model of the kind `baseline` is."""
        return build(BASELINES[str(self.model.architecture)], self.model.options)

    @staticmethod
    def _named(group: Mapping[str, Any], where: str) -> str:
        if "name" not in group:
            raise UserError(f"The setting '{where}.name' has no default: give it a value.")
        return str(group["name"])

    @functools.cached_property
    def textifier(self) -> Textifier:
        settings = dict(self.textify)
        name = self._named(settings, "textify")
        del settings["name"]
        return textify.make(name, **settings)

    @property
    def training_arguments(self) -> dict[str, Any]:
        """What TrainingArguments are made from: `trainer`, and what ending early needs."""
        if self.early_stopping.patience is None:
            return dict(self.trainer)
        return stop_early(self.trainer, self.stops_by)

    @property
    def learns(self) -> bool:
        """Whether the Trainer changes anything of the model."""
        return bool(self.trainer.get("do_train", False)) and self.adaptation.name != "none"

    @property
    def stops_by(self) -> Measure:
        """What training ends early by."""
        headline = self.task_kind.measures_for(self.task_settings)[0].key
        return choose(self.early_stopping.metric or headline, self._while_training, "early_stopping.metric")

    @property
    def _while_training(self) -> dict[str, Measure]:
        """What every evaluation in training gives, by its key: what the best weights can be told by."""
        measures = (LOSS, *self.task_kind.measures_for(self.task_settings))
        return {measure.key: measure for measure in measures if measure.while_training}

    def _check_best(self) -> None:
        """Refuse best weights by what evaluations do not give."""
        key, known = self.trainer.get("metric_for_best_model"), self._while_training
        if key is not None and str(key).removeprefix("eval_") not in known:
            raise UserError(f"trainer.metric_for_best_model={key} is no validation score: {did_you_mean(key, known)}")

    @property
    def cache_options(self) -> dict[str, Any]:
        """Where what is learned or prepared is kept, what it is, and what becomes of broken images."""
        names = {"data": self.data.name, "textify": self.textify["name"], "vocabulary": self.vocabulary_name}
        return {
            "folder": cache_folder(self.tokens.cache_dir),
            "about": names,
            "skip_broken": self.data.broken == "skip",
        }

    @property
    def live(self) -> bool:
        """Whether training images are written as text while training, as they differ from epoch to epoch."""
        return self.augment.active or self.data.fresh

    @property
    def vocabulary_name(self) -> str:
        """`auto` resolved: the tokens of a pretrained model, or one a piece for a model from scratch."""
        if self.vocabulary.name != "auto":
            return self.vocabulary.name
        return "reuse" if self.model.pretrained else "own"
