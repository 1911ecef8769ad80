"""How results hang on the words in which a task asks: the test split, asked with each of several prompts."""

from collections.abc import Mapping, Sequence

import numpy as np

from llmimg.readouts.base import TextReadout
from llmimg.tasks.base import Row
from llmimg.training.examples import Examples
from llmimg.training.fit import ReadoutTrainer


def spread(
    trainer: ReadoutTrainer,
    readout: TextReadout,
    examples: Examples,
    rows: Sequence[Row],
    scores: Mapping[str, float],
    notes: list[str],
) -> dict[str, float]:
    """The headline asked with each prompt: the mean and the worst of them, by the names of metrics.json.

    Args:
        readout: of the test split, asking with the first prompt.
        examples, rows: of the test split, those of whole images.
        scores: metrics.json's, as the first prompt gave them.
        notes: what each prompt gave is added.
    """
    headline = readout.task.measures[0]
    found = [scores[f"test/{headline.key}"]]
    for task in readout.task.in_every_wording()[1:]:
        worded = readout.of_task(task)
        outputs, _ = trainer.answer(examples, worded)
        found.append(worded.metrics(outputs, rows)[headline.key])
    worst = (min if headline.higher_is_better else max)(found)
    notes.append(
        f"Asked with {len(found)} prompts (task.prompts), the test {headline.phrase} is "
        f"{', '.join(map(headline.written, found))}; where nothing else is said, the first was asked."
    )
    return {f"test/{headline.key}_prompts_mean": float(np.mean(found)), f"test/{headline.key}_prompts_worst": worst}
