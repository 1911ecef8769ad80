"""A baseline that needs no Trainer, fitted to pixels."""

import time

from llmimg.data.identity import DataIdentity
from llmimg.run_folder import RunFolder
from llmimg.solvers.base import Outcome
from llmimg.solvers.pixels import PixelSolver


class BaselineSolver(PixelSolver):
    def fit(self, folder: RunFolder, identity: DataIdentity) -> dict[str, float]:
        settings, training = self.settings, self.pixels["train"]
        baseline, count = settings.baseline, len(training.numbers)
        chosen = baseline.chosen(count, settings.seed)
        rows = training.known.seen(training.numbers[chosen])
        started, used = time.perf_counter(), len(chosen)
        self.fitted = baseline.fit(training.given[chosen], rows, self.task, settings.seed)
        seconds = time.perf_counter() - started
        if used < count:
            self.notes.append(f"Fitted to {used:,} of {count:,} training images (model.options.train_images).")
        if settings.data.fresh:
            self.notes.append("Fitted to the training images of the first epoch: data.fresh makes no others.")
        if settings.augment.active:
            self.notes.append("Fitted to the training images as they are: augment is not used.")
        self.notes.append(baseline.note)
        return {"time/train_seconds": seconds, "train/images_per_second": used / seconds}

    def predict(self, split: str) -> Outcome:
        pixels = self.pixels[split]
        rows = pixels.known.scored(pixels.numbers)
        return Outcome(pixels.numbers, rows, self.fitted.predictions(pixels.given, rows), {})


SOLVER = BaselineSolver
