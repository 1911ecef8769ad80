"""The path of a run without text: pixels → fit → evaluate → report. What the same images give without a language model,
from the same command, splits and metrics."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import datasets
import numpy as np
from transformers import enable_full_determinism, set_seed

from llmimg.baselines import BASELINES, Baseline
from llmimg.configuration import Configuration
from llmimg.data import SPLITS, Decoding
from llmimg.data.broken import broken_notes, refuse_broken
from llmimg.errors import UserError
from llmimg.models.image import PixelCollator, Pixels, make_image_model
from llmimg.provenance import identify, load_data
from llmimg.ranks import is_first_process
from llmimg.reloaded import check_image_model
from llmimg.report.results import save_results
from llmimg.run_folder import RunFolder
from llmimg.settings import build
from llmimg.tasks.base import TASKS, Task, scores
from llmimg.training.arguments import make_arguments
from llmimg.training.fit import make_trainer, train
from llmimg.training.resume import starting_point
from llmimg.training.weights import notes_of_weights

log = logging.getLogger("llmimg")


def run_control(
    settings: Configuration, plain: Mapping[str, Any], folder: RunFolder, notes: list[str]
) -> dict[str, float]:
    """Carry out a configuration whose model sees pixels; arguments and result as of `run_experiment`.

    Raises:
        UserError: a user's mistake, wherever it shows.
    """
    baseline = None
    if settings.model.kind == "baseline":
        baseline = build(BASELINES[settings.model.architecture], settings.model.options, "model.options")

    # Data: images and labels in three splits, all in memory.
    started = time.perf_counter()
    data = load_data(settings, notes)
    task = TASKS[settings.task_name].of(data.label_names, **settings.task_settings)
    pixels, hashes = {}, {}
    for split in SPLITS:
        pixels[split], hashes[split] = _pixels(getattr(data, split), split, data.decoding, task, settings, notes)
    identity = identify(settings, data, hashes, folder, notes)
    prepare_seconds = time.perf_counter() - started
    if is_first_process():
        folder.begin(plain, settings.force, identity.plain())
        log.info("\n".join(notes))

    # Fit and evaluate: the test split is looked at once, here.
    if baseline:
        outputs, trained = _fit_baseline(baseline, pixels, task, settings, notes)
        history = []
    else:
        outputs, trained, history = _fit_image_model(pixels, task, settings, folder, notes, identity.fingerprint)

    labels = {split: pixels[split].annotations["label"] for split in SPLITS}
    metrics = {
        **scores("test", task, outputs["test"], labels["test"]),
        **scores("val", task, outputs["validation"], labels["validation"]),
        "data/train_images": len(pixels["train"]),
        "data/val_images": len(pixels["validation"]),
        "data/test_images": len(pixels["test"]),
        **trained,
        "time/prepare_seconds": prepare_seconds,
    }

    # Report: what others can see and compare.
    if is_first_process():
        known = [each for each in hashes["test"] if each is not None]
        save_results(
            folder,
            title=f"{settings.data.name} · {settings.model.name}",
            label_names=data.label_names,
            metrics=metrics,
            table={"id": pixels["test"].ids, "pixels": known, **task.table(outputs["test"], labels["test"])},
            notes=notes,
            history=history,
        )
    return metrics


def _pixels(
    images: datasets.Dataset, split: str, decoding: Decoding, task: Task, settings: Configuration, notes: list[str]
) -> tuple[Pixels, list[str | None]]:
    """The images of a split that are not broken, and the hash of every row's image."""
    decoded, problems, hashes = decoding.hashed(images["image"], images["id"])
    if settings.data.broken != "skip":
        refuse_broken(problems)
    notes.extend(broken_notes(problems, split))
    whole = [place for place, image in enumerate(decoded) if image is not None]
    shapes = {decoded[place].shape for place in whole}
    if len({shape[:2] for shape in shapes}) > 1:
        raise UserError("The images have different sizes, which a model of pixels does not take: set data.size.")
    channels = max(shape[2] for shape in shapes)
    stacked = np.stack([np.repeat(decoded[place], channels // decoded[place].shape[2], axis=2) for place in whole])
    annotations = {name: images.with_format("numpy")[name][whole] for name in task.columns}
    active = split == "train" and settings.augment.active
    ids = [images["id"][place] for place in whole]
    return Pixels(ids, stacked, annotations, settings.augment if active else None, settings.seed), hashes


def _fit_baseline(
    baseline: Baseline, pixels: Mapping[str, Pixels], task: Task, settings: Configuration, notes: list[str]
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Log-probabilities of the validation and test images, and what fitting took."""
    training, started = pixels["train"], time.perf_counter()
    labels = training.annotations["label"]
    fitted = baseline.fit(training.images, labels, task.head()["num_labels"], settings.seed)
    seconds = time.perf_counter() - started
    used = min(baseline.train_images or len(training), len(training))
    if used < len(training):
        notes.append(f"Fitted to {used:,} of {len(training):,} training images (model.options.train_images).")
    if settings.augment.active:
        notes.append("Fitted to the training images as they are: augment is not used.")
    notes.append("The fitted estimator of scikit-learn is not kept: loading one would run code.")
    outputs = {split: fitted.log_probabilities(pixels[split].images) for split in ("validation", "test")}
    return outputs, {"time/train_seconds": seconds, "train/images_per_second": used / seconds}


def _fit_image_model(
    pixels: Mapping[str, Pixels], task: Task, settings: Configuration, folder: RunFolder, notes: list[str], data: str
) -> tuple[dict[str, np.ndarray], dict[str, float], list[dict[str, float]]]:
    """Outputs for the validation and test images, what training took, and the Trainer's history; the model is saved.

    Args:
        data: fingerprint of the data to train on.
    """
    arguments = make_arguments(settings.training_arguments, folder.path, settings.seed)
    start = starting_point(folder.checkpoints, arguments, arguments.do_train, notes, data)
    (enable_full_determinism if arguments.full_determinism else set_seed)(settings.seed)
    model = make_image_model(settings.model, pixels["train"].images.shape[1:], task.head())
    collator = PixelCollator(model.config, task)
    trainer = make_trainer(
        model,
        arguments,
        collator,
        task,
        pixels["train"],
        pixels["validation"],
        layer_decay=settings.layer_decay,
        patience=settings.early_stopping.patience,
        profile=settings.profile,
    )
    trained = train(trainer, start, settings.ema) if arguments.do_train else {}
    trained["model/parameters"] = model.num_parameters()
    trained["model/trainable_parameters"] = model.num_parameters(only_trainable=True)
    predicted = {split: trainer.predict(pixels[split]) for split in ("validation", "test")}
    notes.extend(notes_of_weights(trainer, predicted["validation"].metrics))
    outputs = {split: each.predictions for split, each in predicted.items()}
    if is_first_process():
        model.save_pretrained(folder.model)
        notes.extend(check_image_model(folder.model, collator, pixels["test"], outputs["test"], arguments))
    return outputs, trained, trainer.state.log_history
