"""A baseline that needs no Trainer, fitted to pixels."""

import time

from llmimg.baselines import BASELINES
from llmimg.data.identity import DataIdentity
from llmimg.run_folder import RunFolder
from llmimg.settings import build
from llmimg.solvers.base import Outcome
from llmimg.solvers.pixels import PixelSolver


class BaselineSolver(PixelSolver):
    def fit(self, folder: RunFolder, identity: DataIdentity) -> dict[str, float]:
        settings, training = self.settings, self.pixels["train"]
        baseline = build(BASELINES[settings.model.architecture], settings.model.options)
        started = time.perf_counter()
        self.fitted = baseline.fit(training.given, training.known.seen(training.numbers), self.task, settings.seed)
        seconds, count = time.perf_counter() - started, len(training.numbers)
        used = min(baseline.train_images or count, count)
        if used < count:
            self.notes.append(f"Fitted to {used:,} of {count:,} training images (model.options.train_images).")
        if settings.augment.active:
            self.notes.append("Fitted to the training images as they are: augment is not used.")
        self.notes.append("The fitted estimator of scikit-learn is not kept: loading one would run code.")
        return {"time/train_seconds": seconds, "train/images_per_second": used / seconds}

    def predict(self, split: str) -> Outcome:
        pixels = self.pixels[split]
        rows = pixels.known.scored(pixels.numbers)
        answers = self.fitted.answers(pixels.given)
        predictions = [self.task.read(answer, row) for answer, row in zip(answers, rows, strict=True)]
        return Outcome(pixels.numbers, rows, predictions, {})


SOLVER = BaselineSolver
