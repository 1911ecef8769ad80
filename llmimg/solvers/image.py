"""An image model under the Trainer: a ResNet or a ViT from scratch, with a head for classes."""

from collections.abc import Mapping

from transformers import enable_full_determinism, set_seed

from llmimg.data.identity import DataIdentity
from llmimg.models.image import make_image_model
from llmimg.ranks import is_first_process
from llmimg.readouts.head import label_config
from llmimg.readouts.pixel_head import PixelHead
from llmimg.reloaded import check_image_model
from llmimg.run_folder import RunFolder
from llmimg.solvers.base import Outcome
from llmimg.solvers.pixels import PixelSolver
from llmimg.training.arguments import make_arguments
from llmimg.training.examples import LiveExamples
from llmimg.training.fit import make_trainer, train
from llmimg.training.resume import starting_point
from llmimg.training.weights import notes_of_weights


class ImageSolver(PixelSolver):
    """What it learns from is changed afresh in every epoch where `augment` is active."""

    def _examples(self, split: str) -> LiveExamples:
        settings, pixels = self.settings, self.pixels[split]
        changed = settings.augment if split == "train" else type(settings.augment)("none")
        return LiveExamples(
            pixels.held,
            pixels.known,
            pixels.numbers,
            settings=changed,
            seed=settings.seed,
            shown=pixels.shown,
            balance=settings.data.balance and split == "train",
        )

    def fit(self, folder: RunFolder, identity: DataIdentity) -> dict[str, float]:
        settings = self.settings
        self.arguments = make_arguments(settings.training_arguments, folder.path, settings.seed)
        learns = settings.learns
        start = starting_point(folder.checkpoints, self.arguments, learns, self.notes, identity.fingerprint)
        (enable_full_determinism if self.arguments.full_determinism else set_seed)(settings.seed)
        shape = self.pixels["train"].images.shape[1:]
        self.model = make_image_model(settings.model, shape, label_config(self.task))
        self.readout = PixelHead(self.task, self.model.config)
        self.examples = {split: self._examples(split) for split in self.pixels}
        self.trainer = make_trainer(
            self.model,
            self.arguments,
            self.readout,
            self.examples["train"],
            self.examples["validation"],
            layer_decay=settings.layer_decay,
            patience=settings.early_stopping.patience,
            profile=settings.profile,
        )
        trained = train(self.trainer, start, settings.ema) if learns else {}
        self.history = self.trainer.state.log_history
        return trained

    def predict(self, split: str) -> Outcome:
        outputs, numbers = self.trainer.answer(self.examples[split])
        rows = self.pixels[split].known.scored(numbers)
        predictions = self.readout.predictions(outputs, rows)
        if split == "validation":
            self.notes.extend(notes_of_weights(self.trainer, self.readout.metrics(outputs, rows)))
        if split == "test":
            self.outputs = outputs
        return Outcome(numbers, rows, predictions, {})

    def metrics(self, outcomes: Mapping[str, Outcome], scores: Mapping[str, float]) -> dict[str, float]:
        return {
            **super().metrics(outcomes, scores),
            "model/parameters": self.model.num_parameters(),
            "model/trainable_parameters": self.model.num_parameters(only_trainable=True),
        }

    def save(self, folder: RunFolder) -> None:
        if is_first_process():
            self.model.save_pretrained(folder.model)
            examples = self.examples["test"]
            self.notes.extend(check_image_model(folder.model, self.readout, examples, self.outputs, self.arguments))


SOLVER = ImageSolver
