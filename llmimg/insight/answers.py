"""How right finished runs answered each test image, and which images of two runs are the same."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet

from llmimg.errors import UserError
from llmimg.insight.seeds import distinct_seeds, is_deterministic
from llmimg.run_folder import RunFolder, distinguishing


@dataclass(frozen=True)
class Answers:
    """How right a run, or the runs of several seeds, answered each test image.

    Attributes:
        pixels: hashes of the images.
        labels: what is right.
        ids: names of the images, which tell apart those alone that have the same pixels and label.
        right: float `[S, N]`, 1 where run s answered image n rightly.
        seeds: how many seeds there are: more than S where each of them gives the same answers.
        left_out: sentences about runs that were not counted.
    """

    pixels: tuple[str, ...]
    labels: tuple[str, ...]
    ids: tuple[str, ...]
    right: np.ndarray
    seeds: int = 1
    left_out: tuple[str, ...] = ()

    @property
    def accuracies(self) -> np.ndarray:
        """Of each run, float `[S]`."""
        return self.right.mean(axis=1)

    @property
    def is_deterministic(self) -> bool:
        """Whether several seeds gave the same answers."""
        return self.seeds > len(self.right)

    def ordered(self) -> "Answers":
        """The same, sorted by pixels, labels and ids."""
        keys = list(zip(self.pixels, self.labels, self.ids, strict=True))
        order = sorted(range(len(keys)), key=keys.__getitem__)
        pixels, labels, ids = (tuple(each[row] for row in order) for each in (self.pixels, self.labels, self.ids))
        return replace(self, pixels=pixels, labels=labels, ids=ids, right=self.right[:, order])


def paired(one: Answers, other: Answers) -> tuple[np.ndarray, np.ndarray]:
    """`right` of both, float `[S, N]` each, the same image at the same place.

    Raises:
        UserError: where they were not tested on the same images: the same pixels under the same labels.
    """
    one, other = one.ordered(), other.ordered()
    here, there = (list(zip(each.pixels, each.labels, strict=True)) for each in (one, other))
    if here != there:
        same = sum((Counter(here) & Counter(there)).values())
        raise UserError(
            f"The two were not tested on the same images: of {len(here):,} and {len(there):,}, {same:,} have the same "
            "pixels and label. Compare runs of the same data, data.split_seed and data.test_samples."
        )
    return one.right, other.right


def answers_of(path: str | Path) -> Answers:
    """Of a finished run's folder, or of all finished runs in the folders `seed=…` of one.

    Raises:
        UserError: where there is none, or they answered nothing, or not the same images; or where more than the seed
            tells them apart.
    """
    folders = [RunFolder(path)] if RunFolder(path).is_finished else []
    folders = folders or [RunFolder(each) for each in sorted(Path(path).glob("seed=*"))]
    folders = [folder for folder in folders if folder.is_finished]
    if not folders:
        raise UserError(f"'{path}' is no finished run, and holds none of several seeds: give the folder of one.")
    configs = [distinguishing(folder.config()) for folder in folders]
    if any(config != configs[0] for config in configs):
        raise UserError(f"The runs in '{path}' differ in more than their seed: give one of them.")
    folders, left_out = distinct_seeds(folders)
    runs = [_answers(folder).ordered() for folder in folders]
    if any((run.pixels, run.labels) != (runs[0].pixels, runs[0].labels) for run in runs):
        raise UserError(f"The runs in '{path}' were tested on different images: give one of them.")
    kept = runs[:1] if is_deterministic(folders) else runs
    right = np.concatenate([run.right for run in kept])
    return replace(runs[0], right=right, seeds=len(runs), left_out=tuple(left_out))


def _answers(folder: RunFolder) -> Answers:
    table = pyarrow.parquet.read_table(folder.path / "predictions.parquet")
    if "prediction" not in table.column_names:
        raise UserError(f"'{folder.path}' is a run that answers nothing (pretraining): compare ones that do.")
    if "pixels" not in table.column_names:
        raise UserError(
            f"'{folder.path}' does not say which images it was tested on (its predictions.parquet has no column "
            "pixels, as of earlier versions): carry it out again with force=true."
        )
    pixels, labels, ids, predictions = (table[name].to_pylist() for name in ("pixels", "label", "id", "prediction"))
    right = [float(label == prediction) for label, prediction in zip(labels, predictions, strict=True)]
    return Answers(tuple(pixels), tuple(labels), tuple(map(str, ids)), np.array([right]))
