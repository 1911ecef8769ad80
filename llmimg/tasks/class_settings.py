"""What `task=classify` can be set to, of one class an image or several."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from llmimg.errors import UserError
from llmimg.settings import settings_of
from llmimg.tasks.settings import AnswerSettings
from llmimg.tasks.templates import ANSWER, Prompts


@settings_of("task")
class ClassifySettings(AnswerSettings):
    """conf/task/classify.yaml.

    Attributes:
        multiple: whether an image may be of several classes, or of none (`llmimg.tasks.multiple`).
        class_weights: how much a head learns from each class: `none`, all rows alike; or `balanced`, more from those
            that are rare in training, so that each class weighs as much as another, or a class's yes as its no.
        prompts: as of `AnswerSettings`, for `readout=score` and `generate`; `{classes}` in front of the image lists
            all classes, and what stands behind `{answer}` ends an answer.
    """

    constants = ("classes",)
    ends = True

    prompts: Prompts = ("{image}\nclass: {answer}\n",)
    multiple: bool = False
    class_weights: Literal["none", "balanced"] = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        for prompt in self.prompts if self.multiple else ():
            if prompt.partition(f"{{{ANSWER}}}")[2].strip():
                raise UserError(
                    f"task.prompts={prompt!r} has words behind {{answer}}, where the names of several classes "
                    "(task.multiple=true) end by themselves: leave them out."
                )


def balanced_weights(counts: Sequence[int]) -> np.ndarray:
    """What each row of a class weighs so that all classes weigh alike, and all rows 1 on average: n / (K · n_k),
    float32 `[K]`; 1 of a class that has none, of which there is nothing to weigh."""
    rows = np.array(counts, np.float64)
    return np.divide(rows.sum() / max((rows > 0).sum(), 1), rows, where=rows > 0, out=np.ones(len(rows))).astype(
        np.float32
    )


def yes_weights(counts: Sequence[int], rows: int) -> np.ndarray:
    """What each yes to a class weighs so that all of them weigh as much as all noes: (n − n_k) / n_k, float32 `[K]`; 1
    of a class that has no yes or no no."""
    yes = np.array(counts, np.float64)
    both = (yes > 0) & (yes < rows)
    return np.divide(rows - yes, yes, where=both, out=np.ones(len(yes))).astype(np.float32)
