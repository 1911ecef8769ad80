"""The main path of an experiment: data → tokens → model → train → evaluate → report."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import datasets
import torch
from transformers import PreTrainedModel, Trainer, TrainingArguments, enable_full_determinism, set_seed
from transformers.trainer_utils import PredictionOutput

from llmimg.configuration import Configuration
from llmimg.context import make_layout, text_lengths
from llmimg.costs import data_metrics, peak_memory_mb
from llmimg.data import SPLITS, Data
from llmimg.data.identity import DataIdentity
from llmimg.fidelity import fidelity_metrics
from llmimg.models.adaptation import adapted, merged
from llmimg.models.language import context_limit, make_model
from llmimg.models.loading import origin
from llmimg.models.looks import Looks
from llmimg.models.quantised import parameter_counts
from llmimg.preparation import common_boxes, make_encoder, make_looks, make_prompts, prepare_split, prepare_text
from llmimg.provenance import identify, load_data, save_trained_on
from llmimg.ranks import is_first_process
from llmimg.readouts.base import READOUTS, Readout
from llmimg.recogniser import Recogniser
from llmimg.reloaded import check_recogniser
from llmimg.report.examples import evenly, make_examples, surest_mistakes
from llmimg.report.results import save_results
from llmimg.run_folder import RunFolder
from llmimg.tasks.base import TASKS, Task, scores
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import Layout
from llmimg.tokens.store import ImageIds
from llmimg.training.arguments import make_arguments
from llmimg.training.dataset import AugmentedImageTexts, ImageTexts
from llmimg.training.fit import make_trainer, train
from llmimg.training.mixture import PlainText, mixed
from llmimg.training.resume import starting_point
from llmimg.training.weights import notes_of_weights

log = logging.getLogger("llmimg")


@dataclass(frozen=True)
class Prepared:
    """What a run reads, and how: all that comes before its model.

    Attributes:
        ids: of each split's images.
        plain_text: of each split, what of `task.text` is in it.
        looks: where a model from scratch begins, where that is not at random.
        seconds: what preparing took, now.
    """

    data: Data
    identity: DataIdentity
    task: Task
    encoder: Encoder
    ids: dict[str, ImageIds]
    layout: Layout
    readout: Readout
    plain_text: dict[str, list[PlainText]]
    looks: Looks | None
    seconds: float


def run_experiment(
    settings: Configuration, plain: Mapping[str, Any], folder: RunFolder, notes: list[str]
) -> dict[str, float]:
    """Carry out one configuration in its folder, or go on with it from its newest checkpoint.

    Args:
        settings: what to do.
        plain: the same as plain values, to be kept in the folder.
        notes: sentences that a reader of the results must know; more are added on the way.

    Returns:
        The content of metrics.json.

    Raises:
        UserError: a user's mistake, wherever it shows.
    """
    prepared = _prepare(settings, folder, notes)
    if is_first_process():
        folder.begin(plain, settings.force, prepared.identity.plain())
        log.info("\n".join(notes))

    # Train: from here on devices and the process group are in use.
    arguments = make_arguments(settings.training_arguments, folder.path, settings.seed)
    learns = arguments.do_train and settings.adaptation.name != "none"
    began_from = origin(settings.model)
    trained_from = _trained_from(settings, prepared, began_from)
    start = starting_point(folder.checkpoints, arguments, learns, notes, *trained_from)
    (enable_full_determinism if arguments.full_determinism else set_seed)(settings.seed)
    model = _model(settings, prepared, learns, notes)
    texts = {split: _image_texts(settings, prepared, split) for split in SPLITS}
    trainer = _trainer(settings, prepared, model, arguments, texts)
    trained = train(trainer, start, settings.ema) if learns else {}
    notes.extend(texts["train"].notes)

    # Evaluate: the test split is looked at once, here.
    outputs = {split: trainer.predict(texts[split]) for split in ("validation", "test")}
    notes.extend(notes_of_weights(trainer, outputs["validation"].metrics))
    metrics = {
        **_measure(settings, prepared, trainer, texts, outputs, notes),
        **trained,
        "time/prepare_seconds": prepared.seconds,
        **dict(zip(("model/parameters", "model/trainable_parameters"), parameter_counts(model), strict=True)),
        "memory/peak_mb": peak_memory_mb(),
    }

    # Report: what others can load, see and compare.
    if is_first_process():
        learned = merged(model, settings.adaptation)
        recogniser = Recogniser(learned, prepared.encoder, prepared.readout, began_from, prepared.identity.plain())
        recogniser.save(folder.model)
        save_trained_on(settings, prepared.ids["train"].pixels if learns else (), folder.model)
        notes.extend(check_recogniser(folder.model, texts["test"], outputs["test"].predictions, arguments))
        _report(settings, prepared, folder, metrics, trainer.state.log_history, texts["test"], outputs["test"], notes)
    return metrics


def _prepare(settings: Configuration, folder: RunFolder, notes: list[str]) -> Prepared:
    """Read the data, write every image as token ids (once; later from the cache), and settle what stands around
    them."""
    kind = READOUTS[settings.readout_name]
    limit = context_limit(settings.model, kind.causal)  # a model that is not there shows before data are read
    started = time.perf_counter()
    data = load_data(settings, notes)
    task = TASKS[settings.task_name].of(data.label_names, **settings.task_settings)
    encoder = make_encoder(settings, data, notes)
    ids = {split: prepare_split(settings, data, split, encoder, notes) for split in SPLITS}
    identity = identify(settings, data, {split: ids[split].pixels for split in SPLITS}, folder, notes)
    lengths = text_lengths(settings, data, ids, encoder)
    prompt, encoder = make_prompts(settings, data, task, kind, encoder, ids["train"], lengths, notes)
    layout = make_layout(settings, limit, encoder, ids, lengths, prompt)
    plain_text = prepare_text(settings, task, encoder, layout, notes)
    boxes = common_boxes(settings, data, task, encoder, lengths)
    readout = kind(task, layout, encoder.vocabulary, boxes, **settings.readout_settings)
    looks, seconds = make_looks(settings, data, encoder, layout, lengths), time.perf_counter() - started
    return Prepared(data, identity, task, encoder, ids, layout, readout, plain_text, looks, seconds)


def _trained_from(settings: Configuration, prepared: Prepared, began_from: Mapping[str, Any]) -> list[str]:
    """Fingerprints of what weights come from, which an interrupted run must find again: data, tokens, and the weights
    that it began from (those that do not learn are held against the checkpoint by themselves)."""
    weights = began_from.get("base", {}).get("weights") if settings.adaptation.name == "full" else None
    return [prepared.identity.fingerprint, prepared.encoder.vocabulary.fingerprint, *([weights] if weights else [])]


def _model(settings: Configuration, prepared: Prepared, learns: bool, notes: list[str]) -> PreTrainedModel:
    """The model, of which only what learns takes gradients; what is said of it is logged, and added to `notes`."""
    said: list[str] = []
    model = make_model(
        settings.model,
        prepared.encoder.vocabulary,
        prepared.layout.context,
        prepared.readout.auto_class,
        prepared.readout.head(),
        learns=learns,
        notes=said,
        looks=prepared.looks,
    )
    if said:
        log.info("\n".join(said))
    notes.extend(said)
    return adapted(model, settings.adaptation, prepared.encoder.vocabulary.has_new_tokens)


def _image_texts(settings: Configuration, prepared: Prepared, split: str) -> ImageTexts:
    """What the Trainer reads of a split: image ids, or images written afresh where they are augmented or made anew."""
    images, ids = getattr(prepared.data, split), prepared.ids[split]
    annotations = {name: images.select_columns([name]).with_format("numpy")[:][name] for name in prepared.task.columns}
    if split == "train" and settings.live:
        return AugmentedImageTexts(
            ids,
            annotations,
            ids.whole,
            images=images,
            encoder=prepared.encoder,
            settings=settings.augment,
            seed=settings.seed,
            room=prepared.layout.room,
            fresh=prepared.data.fresh,
        )
    # What is hidden from it differs from seed to seed; what it is tested on does not.
    return ImageTexts(ids, annotations, ids.whole, seed=settings.seed if split == "train" else 0)


def _trainer(
    settings: Configuration,
    prepared: Prepared,
    model: PreTrainedModel,
    arguments: TrainingArguments,
    texts: Mapping[str, ImageTexts],
) -> Trainer:
    return make_trainer(
        model,
        arguments,
        prepared.readout.training_batch,
        prepared.task,
        mixed(texts["train"], prepared.plain_text["train"], prepared.task, settings.seed),
        texts["validation"],
        readout=prepared.readout,
        layer_decay=settings.layer_decay,
        patience=settings.early_stopping.patience,
        profile=settings.profile,
    )


def _measure(
    settings: Configuration,
    prepared: Prepared,
    trainer: Trainer,
    texts: Mapping[str, ImageTexts],
    outputs: Mapping[str, PredictionOutput],
    notes: list[str],
) -> dict[str, float]:
    """The scores of both splits, what the images cost as text and how much of them it holds, and the scores on plain
    text: by the names of metrics.json."""
    task, layout = prepared.task, prepared.layout
    tested = scores("test", task, outputs["test"].predictions, outputs["test"].label_ids)
    bits, seed = tested.get("test/bits_per_image"), settings.data.split_seed
    return {
        **tested,
        **scores("val", task, outputs["validation"].predictions, outputs["validation"].label_ids),
        **data_metrics(prepared.ids, texts, layout),
        **fidelity_metrics(prepared.encoder, prepared.data, texts, layout, seed, bits, notes),
        **_text_scores(trainer, task, prepared.plain_text),
    }


def _text_scores(trainer: Trainer, task: Task, plain_text: Mapping[str, list[PlainText]]) -> dict[str, float]:
    """How well the model foretells the plain text that was held out, where there is some."""
    metrics = {}
    for name, split in (("test", "test"), ("val", "validation")):
        if plain_text[split]:
            outcome = trainer.predict(torch.utils.data.ConcatDataset(plain_text[split]))
            found = task.metrics(outcome.predictions, outcome.label_ids)
            metrics |= {f"{name}/text_{key}": found[key] for key in ("loss", "perplexity")}
    return metrics


def _report(
    settings: Configuration,
    prepared: Prepared,
    folder: RunFolder,
    metrics: Mapping[str, float],
    history: list[dict[str, float]],
    texts: ImageTexts,
    outcome: PredictionOutput,
    notes: list[str],
) -> None:
    """Write what readers of the run get, of the test split's texts and the answers to them."""
    test, encoder, layout = prepared.data.test, prepared.encoder, prepared.layout
    table = _predictions(prepared.task, test, texts, outcome)
    places = {"examples": evenly(len(table["id"])), "mistakes": surest_mistakes(table)}
    save_results(
        folder,
        title=f"{settings.data.name} · {settings.textify['name']} · {settings.model.name}",
        label_names=prepared.data.label_names,
        metrics=metrics,
        table=table,
        notes=notes,
        history=history,
        context=layout.context,
        **{name: make_examples(each, texts.rows, test, table, encoder, layout) for name, each in places.items()},
    )


def _predictions(task: Task, test: datasets.Dataset, texts: ImageTexts, outcome: PredictionOutput) -> dict[str, Any]:
    """The columns of predictions.parquet."""
    return {
        "id": test.select_columns(["id"])[texts.rows]["id"],
        "pixels": [texts.ids.pixels[row] for row in texts.rows],
        **task.table(outcome.predictions, outcome.label_ids),
        "tokens": texts.ids.lengths[texts.rows],
    }
