"""The main path of an experiment: data → tokens → model → train → evaluate → report."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import datasets
import numpy as np
import torch
from transformers import Trainer, TrainingArguments, enable_full_determinism, set_seed
from transformers.trainer_utils import PredictionOutput

from llmimg.configuration import Configuration
from llmimg.context import make_layout, text_lengths
from llmimg.data import SPLITS, Data
from llmimg.fidelity import fidelity_metrics
from llmimg.measured import data_metrics, peak_memory_mb
from llmimg.models.adaptation import adapted, merged
from llmimg.models.language import context_limit, make_model
from llmimg.models.loading import origin
from llmimg.models.quantised import parameter_counts
from llmimg.preparation import common_boxes, make_encoder, make_prompts, prepare_split, prepare_text
from llmimg.provenance import identify, load_data, save_trained_on
from llmimg.ranks import is_first_process
from llmimg.readouts.base import READOUTS
from llmimg.recogniser import Recogniser
from llmimg.reloaded import check_recogniser
from llmimg.report.archive import save_predictions, save_record
from llmimg.report.examples import evenly, make_examples, surest_mistakes
from llmimg.report.page import render
from llmimg.report.record import RunRecord
from llmimg.run_folder import RunFolder, write_text
from llmimg.tasks.base import TASKS, Task
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import Layout
from llmimg.tokens.store import ImageIds
from llmimg.training.arguments import make_arguments
from llmimg.training.dataset import AugmentedImageTexts, ImageTexts
from llmimg.training.fit import make_trainer, stop_early, train
from llmimg.training.mixture import PlainText, mixed
from llmimg.training.resume import Start, where_to_begin
from llmimg.training.weights import notes_of_weights

log = logging.getLogger("llmimg")


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
    kind = READOUTS[settings.readout_name]
    limit = context_limit(settings.model, kind.causal)  # a model that is not there shows before data are read

    # Data: images and labels in three splits.
    started = time.perf_counter()
    data = load_data(settings, notes)
    task = TASKS[settings.task_name].of(data.label_names, **settings.task_settings)

    # Tokens: every image as the ids of its text, prepared once and read from the cache.
    encoder = make_encoder(settings, data, notes)
    ids = {split: prepare_split(settings, data, split, encoder, notes) for split in SPLITS}
    identity = identify(settings, data, {split: ids[split].pixels for split in SPLITS}, folder, notes)
    lengths = text_lengths(settings, data, ids, encoder)
    prompt, encoder = make_prompts(settings, data, task, kind, encoder, ids["train"], lengths, notes)
    layout = make_layout(settings, limit, encoder, ids, lengths, prompt)
    plain_text = prepare_text(settings, task, encoder, layout, notes)
    boxes = common_boxes(settings, data, task, encoder, lengths)
    readout = kind(task, layout, encoder.vocabulary, boxes, **settings.readout_settings)
    prepare_seconds = time.perf_counter() - started

    # Model: from here on devices and the process group are in use.
    if is_first_process():
        folder.begin(plain, settings.force, identity.plain())
        log.info("\n".join(notes))
    arguments = make_arguments(trainer_settings(settings), folder.path, settings.seed)
    learns = arguments.do_train and settings.adaptation.name != "none"
    texts_read = [text.fingerprint for text in plain_text["train"]]
    began_from = origin(settings.model)
    # Weights that do not learn are held against the checkpoint by themselves.
    weights = began_from["base"]["weights"] if "base" in began_from and settings.adaptation.name == "full" else None
    about = (identity.fingerprint, encoder.vocabulary.fingerprint, *texts_read, *([weights] if weights else []))
    start = begin(folder, arguments, learns, notes, *about)
    (enable_full_determinism if arguments.full_determinism else set_seed)(settings.seed)
    said = len(notes)
    model = make_model(
        settings.model,
        encoder.vocabulary,
        layout.context,
        kind.auto_class,
        readout.head(),
        learns=learns,
        notes=notes,
    )
    if notes[said:]:
        log.info("\n".join(notes[said:]))
    model = adapted(model, settings.adaptation, encoder.vocabulary.has_new_tokens)

    # Train: what the Trainer reads are image ids, or images written afresh where they are augmented or made anew.
    texts = {split: _image_texts(settings, data, split, ids, encoder, layout, task) for split in SPLITS}
    trainer = make_trainer(
        model,
        arguments,
        readout.training_batch,
        task,
        mixed(texts["train"], plain_text["train"], task, settings.seed),
        texts["validation"],
        readout=readout,
        layer_decay=settings.layer_decay,
        patience=settings.early_stopping.patience,
        profile=settings.profile,
    )
    trained = train(trainer, start, settings.ema) if learns else {}
    notes.extend(texts["train"].notes)

    # Evaluate: the test split is looked at once, here.
    outputs = {split: trainer.predict(texts[split]) for split in ("validation", "test")}
    notes.extend(notes_of_weights(trainer, outputs["validation"].metrics))
    tested = scores("test", task, outputs["test"].predictions, outputs["test"].label_ids)
    metrics = {
        **tested,
        **scores("val", task, outputs["validation"].predictions, outputs["validation"].label_ids),
        **data_metrics(ids, texts, layout),
        **fidelity_metrics(
            encoder, data, texts, layout, settings.data.split_seed, tested.get("test/bits_per_image"), notes
        ),
        **_text_scores(trainer, task, plain_text),
        **trained,
        "time/prepare_seconds": prepare_seconds,
        **dict(zip(("model/parameters", "model/trainable_parameters"), parameter_counts(model), strict=True)),
        "memory/peak_mb": peak_memory_mb(),
    }

    # Report: what others can load, see and compare.
    if is_first_process():
        learned = merged(model, settings.adaptation)
        Recogniser(learned, encoder, readout, began_from, identity.plain()).save(folder.model)
        save_trained_on(settings, ids["train"].pixels if learns else (), folder.model)
        notes.extend(check_recogniser(folder.model, texts["test"], outputs["test"].predictions, arguments))
        table = _predictions(task, data.test, texts["test"], outputs["test"])
        save_predictions(table, data.label_names, folder)
        record = RunRecord(
            title=f"{settings.data.name} · {settings.textify['name']} · {settings.model.name}",
            config=folder.config(),
            environment=folder.environment(),
            metrics=metrics,
            history=trainer.state.log_history,
            label_names=data.label_names,
            labels=outputs["test"].label_ids,
            probabilities=np.array(table.get("probabilities", [])),
            lengths=np.array(table["tokens"]),
            context=layout.context,
            examples=make_examples(evenly(len(table["id"])), texts["test"].rows, data.test, table, encoder, layout),
            mistakes=make_examples(surest_mistakes(table), texts["test"].rows, data.test, table, encoder, layout),
            notes=notes,
        )
        save_record(record, folder)
        write_text(folder.path / "report.html", render(record))
        folder.finish(metrics)
    return metrics


def trainer_settings(settings: Configuration) -> dict[str, Any]:
    """What TrainingArguments are made from."""
    if settings.early_stopping.patience is None:
        return dict(settings.trainer)
    return stop_early(dict(settings.trainer), settings.early_stopping.metric)


def begin(folder: RunFolder, arguments: TrainingArguments, learns: bool, notes: list[str], *data: str) -> Start:
    """Where training begins, for a run that learns at all; what is to be said of that, said and added to `notes`.

    Args:
        data: fingerprints of the data to train on, and of what they are read by.
    """
    start = where_to_begin(folder.checkpoints, arguments, " ".join(data)) if learns else Start()
    for note in start.notes:
        log.info(note)
    notes.extend(start.notes)
    return start


def _image_texts(
    settings: Configuration,
    data: Data,
    split: str,
    ids: Mapping[str, ImageIds],
    encoder: Encoder,
    layout: Layout,
    task: Task,
) -> ImageTexts:
    images = getattr(data, split)
    annotations = {name: images.select_columns([name]).with_format("numpy")[:][name] for name in task.columns}
    if split == "train" and settings.live:
        return AugmentedImageTexts(
            ids[split],
            annotations,
            ids[split].whole,
            images=images,
            encoder=encoder,
            settings=settings.augment,
            seed=settings.seed,
            room=layout.room,
            fresh=data.fresh,
        )
    # What is hidden from it differs from seed to seed; what it is tested on does not.
    return ImageTexts(ids[split], annotations, ids[split].whole, seed=settings.seed if split == "train" else 0)


def scores(name: str, task: Task, output: np.ndarray, references: np.ndarray) -> dict[str, float]:
    """A task's metrics of one split, by the names of metrics.json."""
    return {f"{name}/{key}": value for key, value in task.metrics(output, references).items()}


def _text_scores(trainer: Trainer, task: Task, plain_text: Mapping[str, list[PlainText]]) -> dict[str, float]:
    """How well the model foretells the plain text that was held out, where there is some."""
    metrics = {}
    for name, split in (("test", "test"), ("val", "validation")):
        if plain_text[split]:
            outcome = trainer.predict(torch.utils.data.ConcatDataset(plain_text[split]))
            found = task.metrics(outcome.predictions, outcome.label_ids)
            metrics |= {f"{name}/text_{key}": found[key] for key in ("loss", "perplexity")}
    return metrics


def _predictions(task: Task, test: datasets.Dataset, texts: ImageTexts, outcome: PredictionOutput) -> dict[str, Any]:
    """The columns of predictions.parquet."""
    return {
        "id": test.select_columns(["id"])[texts.rows]["id"],
        "pixels": [texts.ids.pixels[row] for row in texts.rows],
        **task.table(outcome.predictions, outcome.label_ids),
        "tokens": texts.ids.lengths[texts.rows],
    }
