"""The main path of an experiment: data → tokens → model → train → evaluate → report."""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet
from transformers import PreTrainedTokenizerFast, enable_full_determinism, set_seed
from transformers.trainer_utils import PredictionOutput

from llmimg.configuration import Configuration
from llmimg.data import Data, Decoding, load
from llmimg.metrics.image import psnr_db, ssim
from llmimg.models.language import context_limit, make_model
from llmimg.ranks import is_first_process
from llmimg.readouts import READOUTS
from llmimg.recogniser import Recogniser
from llmimg.report.archive import save_record
from llmimg.report.examples import evenly, make_examples, surest_mistakes
from llmimg.report.page import render
from llmimg.report.record import RunRecord
from llmimg.run_folder import RunFolder, write_text
from llmimg.tasks import TASKS, Task
from llmimg.textify import Textifier
from llmimg.tokens.cache import cache_folder, prepare
from llmimg.tokens.encoder import Encoder, write_all
from llmimg.tokens.layout import Layout, token_budget
from llmimg.tokens.learned import learned_textifier, learned_tokenizer
from llmimg.tokens.store import ImageIds
from llmimg.tokens.vocabulary import load_tokenizer, make_vocabulary
from llmimg.training.arguments import make_arguments
from llmimg.training.dataset import AugmentedImageTexts, Collator, ImageTexts
from llmimg.training.fit import make_trainer, stop_early, train
from llmimg.training.resume import newest_checkpoint

log = logging.getLogger("llmimg")

SPLITS = ("train", "validation", "test")
_SAMPLE = 16  # training images on which looked-up tokens are held against the tokenizer once more
_WAY_BACK_SAMPLE = 500  # test images from which the way back is measured


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
    limit = context_limit(settings.model)  # a model that is not there shows before data are read

    # Data: images and labels in three splits.
    started = time.perf_counter()
    data = load(settings.data)
    notes.extend(data.notes)
    task, readout = TASKS[settings.task.name].of(data.label_names), READOUTS[settings.readout.name]

    # Tokens: every image as the ids of its text, prepared once and read from the cache.
    encoder = make_encoder(settings, data)
    notes.append(encoder.vocabulary.note)
    ids = {split: _prepare(settings, data, split, encoder, notes) for split in SPLITS}
    layout = make_layout(settings, limit, encoder, ids)
    prepare_seconds = time.perf_counter() - started

    # Model: from here on devices and the process group are in use.
    if is_first_process():
        folder.begin(plain, settings.force)
        log.info("\n".join(notes))
    arguments = make_arguments(trainer_settings(settings), folder.path, settings.seed)
    (enable_full_determinism if arguments.full_determinism else set_seed)(settings.seed)
    model = make_model(settings.model, encoder.vocabulary, layout.context, readout.auto_class, task.head())

    # Train: what the Trainer reads are image ids, or images written afresh where they are augmented.
    texts = {split: _image_texts(settings, data, split, ids, encoder, task) for split in SPLITS}
    trainer = make_trainer(
        model,
        arguments,
        Collator(layout, task),
        task,
        texts["train"],
        texts["validation"],
        patience=settings.early_stopping.patience,
        profile=settings.profile,
    )
    trained = train(trainer, newest_checkpoint(folder.checkpoints)) if arguments.do_train else {}

    # Evaluate: the test split is looked at once, here.
    outputs = {split: trainer.predict(texts[split]) for split in ("validation", "test")}
    metrics = {
        **scores("test", task, outputs["test"].predictions, outputs["test"].label_ids),
        **scores("val", task, outputs["validation"].predictions, outputs["validation"].label_ids),
        **_data_metrics(ids, texts, layout),
        **_way_back(encoder, data.test, texts["test"]),
        **trained,
        "time/prepare_seconds": prepare_seconds,
        "model/parameters": model.num_parameters(),
        "model/trainable_parameters": model.num_parameters(only_trainable=True),
    }

    # Report: what others can load, see and compare.
    if is_first_process():
        recogniser = Recogniser(model, encoder, layout, task, readout)
        recogniser.save(folder.model)
        table = _predictions(task, data.test, texts["test"], outputs["test"])
        pyarrow.parquet.write_table(pa.table(table), folder.path / "predictions.parquet")
        record = RunRecord(
            title=f"{settings.data.name} · {settings.textify['name']} · {settings.model.name}",
            config=folder.config(),
            environment=folder.environment(),
            metrics=metrics,
            history=trainer.state.log_history,
            label_names=data.label_names,
            labels=outputs["test"].label_ids,
            probabilities=np.array(table["probabilities"]),
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


def make_encoder(settings: Configuration, data: Data) -> Encoder:
    """The one encoder of a run: what is to be learned is learned from training images, and its look-up held against the
    tokenizer on some of them."""
    decoding = Decoding(settings.data.size, settings.data.fit)
    textifier = settings.textifier()
    textifier = learned_textifier(textifier, data.train, decoding, **_kept(settings))
    vocabulary = make_vocabulary(settings.vocabulary_name, textifier, _tokenizer(settings, textifier, data, decoding))
    images, _ = decoding(data.train[:_SAMPLE]["image"])
    pieces = write_all(textifier, [image for image in images if image is not None])
    return Encoder(decoding, textifier, vocabulary.checked(textifier, pieces))


def _tokenizer(
    settings: Configuration, textifier: Textifier, data: Data, decoding: Decoding
) -> PreTrainedTokenizerFast | None:
    if settings.vocabulary_name == "own":
        return None
    if settings.vocabulary_name == "learn":
        return learned_tokenizer(settings.vocabulary, textifier, data.train, decoding, **_kept(settings))
    if settings.vocabulary.path:
        return load_tokenizer(settings.vocabulary.path)
    path, gguf_file = settings.model.location
    if path:
        return load_tokenizer(path, gguf_file, settings.model.revision)
    return load_tokenizer(settings.model.tokenizer)


def _kept(settings: Configuration) -> dict[str, Any]:
    """Where what is learned or prepared is kept, what it is, and what becomes of broken images."""
    return {
        "folder": cache_folder(settings.tokens.cache_dir),
        "about": {
            "data": settings.data.name,
            "textify": settings.textify["name"],
            "vocabulary": settings.vocabulary_name,
        },
        "skip_broken": settings.data.broken == "skip",
    }


def _prepare(settings: Configuration, data: Data, split: str, encoder: Encoder, notes: list[str]) -> ImageIds:
    ids = prepare(
        getattr(data, split),
        encoder,
        split,
        num_proc=settings.tokens.num_proc,
        **_kept(settings),
    )
    if ids.problems:
        first = next(iter(ids.problems.values()))
        notes.append(f"{len(ids.problems):,} broken images of the {split} split were skipped. The first: {first}")
    return ids


def make_layout(settings: Configuration, limit: int | None, encoder: Encoder, ids: Mapping[str, ImageIds]) -> Layout:
    """How sequences are laid out, in the context of a pretrained model (`limit`), or in as much as the data need.

    Raises:
        UserError: where text does not fit, and was not to be cut.
    """
    tokens = settings.tokens
    longest = max(int(each.lengths.max(initial=0)) for each in ids.values())
    limits = [each for each in (limit, tokens.max_length) if each is not None]
    framing = Layout.of(encoder.vocabulary, 0, tokens.overflow).framing
    layout = Layout.of(encoder.vocabulary, min(limits, default=longest + framing), tokens.overflow)
    for each in ids.values():
        layout.check(each.lengths)
    return layout


def trainer_settings(settings: Configuration) -> dict[str, Any]:
    """What TrainingArguments are made from."""
    if settings.early_stopping.patience is None:
        return dict(settings.trainer)
    return stop_early(dict(settings.trainer), settings.early_stopping.metric)


def _image_texts(
    settings: Configuration, data: Data, split: str, ids: Mapping[str, ImageIds], encoder: Encoder, task: Task
) -> ImageTexts:
    images = getattr(data, split)
    annotations = {name: images.select_columns([name]).with_format("numpy")[:][name] for name in task.columns}
    whole = np.setdiff1d(np.arange(len(images)), list(ids[split].problems))
    if split == "train" and settings.augment.active:
        return AugmentedImageTexts(
            ids[split],
            annotations,
            whole,
            images=images,
            encoder=encoder,
            settings=settings.augment,
            seed=settings.seed,
        )
    return ImageTexts(ids[split], annotations, whole)


def scores(name: str, task: Task, output: np.ndarray, references: np.ndarray) -> dict[str, float]:
    """A task's metrics of one split, by the names of metrics.json."""
    return {f"{name}/{key}": value for key, value in task.metrics(output, references).items()}


def _data_metrics(ids: Mapping[str, ImageIds], texts: Mapping[str, ImageTexts], layout: Layout) -> dict[str, float]:
    """What the images of all splits cost in tokens, and what of them was cut off."""
    budget = token_budget(np.concatenate([ids[split].lengths[texts[split].rows] for split in SPLITS]), layout.room)
    counts = {"train_images": texts["train"], "val_images": texts["validation"], "test_images": texts["test"]}
    bits = ids["train"].entropy()
    price = {
        "bits_per_token": bits,
        "bits_per_image": bits * float(ids["train"].lengths.mean()),
        "prepare_images_per_second": len(ids["train"]) / max(ids["train"].seconds, 1e-3),
    }
    numbers = asdict(budget) | price | {name: len(split) for name, split in counts.items()}
    return {f"data/{name}": value for name, value in numbers.items()}


def _way_back(encoder: Encoder, test: datasets.Dataset, texts: ImageTexts) -> dict[str, float]:
    """How much of the test images their text holds, where it has a way back."""
    images, _ = encoder.decoding(test[texts.rows[:_WAY_BACK_SAMPLE]]["image"])
    back = encoder.way_back(images)
    if not back:
        return {}
    similarity = ssim(images, back)
    return {"data/psnr_db": psnr_db(images, back), **({} if similarity is None else {"data/ssim": similarity})}


def _predictions(task: Task, test: datasets.Dataset, texts: ImageTexts, outcome: PredictionOutput) -> dict[str, Any]:
    """The columns of predictions.parquet."""
    return {
        "id": test.select_columns(["id"])[texts.rows]["id"],
        **task.table(outcome.predictions, outcome.label_ids),
        "tokens": texts.ids.lengths[texts.rows],
    }
