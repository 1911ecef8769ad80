"""The Trainer, put together for a task."""

import contextlib
import gc
import itertools
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from accelerate.utils import send_to_device
from transformers import EarlyStoppingCallback, PreTrainedModel, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import EvalLoopOutput, EvalPrediction

from llmimg.errors import UserError
from llmimg.readouts.base import Learning, Readout
from llmimg.readouts.loss import counts
from llmimg.tasks.measure import Measure
from llmimg.tokens.sample import Example
from llmimg.training.callbacks import BeginEpoch, Clock, Profile, RestoreProgress, SaveWhenEvaluated, StopOnNaN
from llmimg.training.ema import EMA
from llmimg.training.examples import Examples
from llmimg.training.interruptible import Interruptible
from llmimg.training.layers import by_layer
from llmimg.training.mixture import Mixture, PlainText
from llmimg.training.progress import Losses, Progress
from llmimg.training.resume import Start
from llmimg.training.weights import frozen_fingerprint, own_precision, share_statistics, unchanged

log = logging.getLogger("llmimg")

# Evaluation's own: every row counts, in its order, whatever training takes.
_EVALUATION = {"dataloader_drop_last": False, "train_sampling_strategy": "random"}


class ReadoutTrainer(Interruptible):
    """One whose evaluations take the answer by a readout, from the weights and in the precision that others will load,
    and leave training's random numbers as they were.

    Attributes:
        learning: what is learned.
        readout: how the answer is taken.
        apart: readouts and examples of tasks that are evaluated one by one, by their names; empty for one alone.
        layer_decay: the learning rate's factor for each layer further down.
    """

    learning: Learning
    readout: Readout
    apart: Mapping[str, tuple[Readout, Examples]] = {}
    loss_is_scaled_for_ga = True  # the Trainer need not divide by the number of accumulated batches
    layer_decay: float = 1.0

    def create_optimizer(self, model=None):
        optimizer = super().create_optimizer(model)
        if self.layer_decay < 1:
            optimizer.param_groups = by_layer(optimizer.param_groups, model or self.model, self.layer_decay)
        return optimizer

    def _get_learning_rate(self) -> float:
        """That of the highest layer, where each has its own."""
        if self.layer_decay == 1:
            return super()._get_learning_rate()
        return float(max(group["lr"] for group in self.optimizer.param_groups))

    def evaluation_loop(self, *args, **kwargs) -> EvalLoopOutput:
        with contextlib.ExitStack() as meanwhile:
            meanwhile.enter_context(torch.random.fork_rng(devices=[]))  # data loaders draw on the CPU
            if self.ema:
                meanwhile.enter_context(self.ema.applied(self.model))
            if self.args.bf16_full_eval or self.args.fp16_full_eval:
                meanwhile.enter_context(unchanged(self.model))
            meanwhile.enter_context(own_precision(self))
            share_statistics(self)
            return super().evaluation_loop(*args, **kwargs)

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):
        """By the metrics of the one task, or of each, and what a mixture makes of these."""
        if not self.apart:
            return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
        found = {}
        for name, (readout, examples) in self.apart.items():
            outputs, numbers = self.answer(examples, readout)
            found[name] = readout.metrics(outputs, examples.rows(numbers))
        combined = self.learning.task.combined(found)
        metrics = {f"{metric_key_prefix}_{key}": value for key, value in combined.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def get_eval_dataloader(self, eval_dataset=None):
        with self._evaluating():
            return super().get_eval_dataloader(eval_dataset)

    def get_test_dataloader(self, test_dataset):
        with self._evaluating():
            return super().get_test_dataloader(test_dataset)

    @contextlib.contextmanager
    def _evaluating(self):
        """What is put before the model for an answer may differ from what it learns from."""
        learning = self.data_collator
        given = {name: getattr(self.args, name) for name in _EVALUATION}
        self.data_collator = self._evaluation_batch
        vars(self.args).update(_EVALUATION)
        try:
            yield
        finally:
            self.data_collator = learning
            vars(self.args).update(given)

    def _evaluation_batch(self, examples):
        """What the readout reads, and as labels the rows' numbers: what is known of rows is looked up by these, so that
        it may have any shape, and nothing large is gathered."""
        numbers = torch.tensor([example.number for example in examples])
        return {**self.readout.batch(examples), "labels": numbers}

    def answer(
        self, examples: Examples | PlainText | Sequence[Example], readout: Readout | None = None
    ) -> tuple[Any, np.ndarray]:
        """The outputs of a readout (None: of the one that training evaluates by) for all examples, arrays `[N, …]`, and
        the numbers of their rows, int64 `[N]`."""
        kept = self.compute_metrics, self.readout
        self.compute_metrics, self.readout = None, readout or self.readout
        dataset: Any = examples  # a sequence is one to the Trainer
        try:
            found = self.predict(dataset)
        finally:
            self.compute_metrics, self.readout = kept
        return found.predictions, np.asarray(found.label_ids)

    # What a readout gives may be several arrays, which the Trainer's own type does not say.
    # pyrefly: ignore[bad-override]
    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        """Answers and their rows; the loss is the metrics' own, as a mean over batches would weigh rows unevenly."""
        inputs = self._prepare_inputs(inputs)
        numbers = inputs.pop("labels")
        with torch.no_grad(), self.compute_loss_context_manager():
            outputs = self.readout.outputs(self.accelerator.unwrap_model(model), inputs)
        return None, send_to_device(outputs, self.args.device), numbers

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """The batches of one step, and how many labels each term of the loss has in them, those of all processes
        counted."""
        batches = list(itertools.islice(epoch_iterator, num_batches))
        if not batches:
            return batches, None
        if self.accelerator.gradient_state.end_of_dataloader:
            batches[-1] = self._once(batches[-1])
        return batches, self.accelerator.reduce(counts(self.learning.terms, batches).to(device), reduction="sum")

    def _once(self, batch):
        """An epoch's last batch, without the examples that are there a second time, so that each process has as many:
        one process would not see them again."""
        each, processes = self.args.train_batch_size, self.args.world_size
        if getattr(self.args.accelerator_config, "split_batches", False):
            each //= processes
        left = len(self.train_dataset) % (each * processes)
        if processes == 1 or not left or self.args.dataloader_drop_last:
            return batch
        count = min(max(left - self.args.process_index * each, 0), each)
        return self.learning.first(batch, count)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch: Any = None):
        """This batch's share of the step's mean cost; `num_items_in_batch` is as `get_batch_samples` counts it."""
        known = {term.labels: inputs[term.labels] for term in self.learning.terms}
        given = {name: each for name, each in inputs.items() if name not in known}
        with own_precision(self):
            given = self.learning.given(self.accelerator.unwrap_model(model), given)
        outputs = model(**given)
        loss = sum(
            term.cost(outputs.logits, known[term.labels], count, self.args.label_smoothing_factor)
            for term, count in zip(self.learning.terms, num_items_in_batch, strict=True)
        )
        loss = loss * self.accelerator.num_processes  # which average their gradients
        return (loss, outputs) if return_outputs else loss


def make_trainer(
    model: PreTrainedModel,
    arguments: TrainingArguments,
    readout: Readout,
    train: Examples | Mixture,
    validation: Examples,
    *,
    together: Learning | None = None,
    apart: Mapping[str, tuple[Readout, Examples]] | None = None,
    headline: Measure | None = None,
    layer_decay: float = 1.0,
    patience: int | None = None,
    profile: int = 0,
) -> ReadoutTrainer:
    """A Trainer that reads examples, scores by the task, stops on NaN, and shows one bar.

    Args:
        readout: makes what the model learns from, and takes its answers.
        together, apart: of a mixture what the model learns of `train` instead, and of each of its tasks the readout and
            the validation examples.
        headline: what is shown of evaluations; None is that of the readout's task.
        layer_decay: the learning rate's factor for each layer further down, above 0 to 1.
        patience: evaluations without a better one before it stops; None never stops early.
        profile: steps to trace.
    """

    headline = headline or readout.task.measures[0]

    def metrics(outcome: EvalPrediction) -> dict[str, float]:
        rows = validation.known.scored(np.asarray(outcome.label_ids))
        return readout.metrics(outcome.predictions, rows)

    with _evaluated_alone(model):
        trainer = ReadoutTrainer(
            model=model,
            args=arguments,
            data_collator=(together or readout).training_batch,
            train_dataset=train,
            eval_dataset=validation,
            compute_metrics=metrics,
            callbacks=[BeginEpoch(), StopOnNaN(), Losses(headline), Clock(), SaveWhenEvaluated()],
        )
    trainer.learning, trainer.readout, trainer.apart = together or readout, readout, apart or {}
    trainer.layer_decay = layer_decay
    trainer.remove_callback(PrinterCallback)
    if trainer.pop_callback(ProgressCallback):
        trainer.add_callback(Progress(headline))
    if patience is not None:
        trainer.add_callback(EarlyStoppingCallback(patience))
    if profile:
        trainer.add_callback(Profile(profile))
    gc.freeze()  # what was imported stays: collections during training need not look through it
    return trainer


@contextlib.contextmanager
def _evaluated_alone(model: PreTrainedModel) -> Iterator[None]:
    """A Trainer refuses a model in few bits that has no adapters, even where nothing of it is to learn: while it is
    made, the model passes for one that has. And it warns that it would not smooth labels of which several hold, which
    is done here (`llmimg.readouts.loss`)."""
    passes = getattr(model, "is_quantized", False) and not any(weight.requires_grad for weight in model.parameters())
    if passes:
        model._hf_peft_config_loaded = True
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Label smoothing is not compatible with multi-label")
        yield
    if passes:
        model._hf_peft_config_loaded = False


def train(trainer: ReadoutTrainer, start: Start, ema: float = 0.0) -> dict[str, float]:
    """Train from the start or from a checkpoint; what that took, by the names of metrics.json.

    Args:
        ema: how much of the weights' moving average stays at each step; 0 keeps none.

    Raises:
        UserError: where the weights that do not learn are others than the checkpoint belongs to; or nothing trained.
    """
    trainer.start, trainer.base = start, frozen_fingerprint(trainer.model)
    if start.manifest and start.checkpoint:
        log.info("Going on from %s%s.", start.checkpoint, ", where training had ended" if start.ended else "")
        if start.manifest.base != trainer.base:
            raise UserError(
                f"The weights that {start.checkpoint} adds to have changed since (model.path): put them back, or start "
                "over with force=true."
            )
        trainer.add_callback(RestoreProgress(trainer, start.checkpoint, start.manifest))
    if ema:
        trainer.ema = EMA(ema, start.checkpoint)
        trainer.add_callback(trainer.ema)
    trainer.train(resume_from_checkpoint=str(start.checkpoint) if start.checkpoint else None)
    if not trainer.state.global_step:
        raise UserError(
            f"Not one step was trained on {trainer.train_dataset.image_count:,} images: a batch is larger "
            "(trainer.dataloader_drop_last leaves out what does not fill one), or trainer.num_train_epochs is 0."
        )
    losses = [logged["loss"] for logged in trainer.state.log_history if "loss" in logged]
    images = trainer.train_dataset.image_count * trainer.state.epoch
    return {
        **({"train/loss": losses[-1]} if losses else {}),
        "time/train_seconds": trainer.clock.seconds,
        "train/images_per_second": images / max(trainer.clock.stepping, 1e-9),
    }
