"""Plain text as one task of a mixture: rows as long as an image's text may be, in three splits."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from llmimg.configuration import Configuration
from llmimg.data import SPLITS
from llmimg.errors import UserError
from llmimg.readouts.base import READOUTS, TextReadout
from llmimg.solvers.context import framed
from llmimg.tasks.base import Task
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.layout import Layout
from llmimg.tokens.plain_text import held_out, rows_of, text_stream
from llmimg.tokens.script import Script
from llmimg.training.fit import ReadoutTrainer
from llmimg.training.mixture import PlainText


class TextPart:
    """Plain text, prepared for a language model. Each text's end is held out, as much as `data.test_fraction` and
    `data.val_fraction` say.

    Args:
        settings: of this task alone.
        encoder: whose vocabulary reads it.
        layout: that of an image's text.
        notes: what a reader must know is added.

    Raises:
        UserError: no such file, or one of which nothing would be left to learn from.
    """

    def __init__(self, settings: Configuration, task: Task, encoder: Encoder, layout: Layout, notes: list[str]):
        self.settings, self.task = settings, task
        kind: type[TextReadout] = READOUTS[settings.readout_name]
        frame = framed(encoder.vocabulary, kind.causal, np.empty(0, np.int64))
        layout = replace(layout, frame=frame, beside=0, answer=0, permute="none")
        self.readout = kind(task, layout, Script(encoder.vocabulary))
        rows: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
        for source in settings.task_settings.files:
            for split, each in _stream(source, settings, encoder, notes).items():
                rows[split] += rows_of(each, layout.room)
        self.examples: Mapping[str, PlainText] = {split: PlainText(each) for split, each in rows.items()}

    def of_split(self, split: str) -> TextReadout:
        """The readout for a split."""
        return self.readout

    def scores(self, trainer: ReadoutTrainer, split: str) -> dict[str, float]:
        """The task's metrics of what was held out for a split."""
        outputs, numbers = trainer.answer(self.examples[split], self.readout)
        return self.readout.metrics(outputs, self.examples[split].rows(numbers))


def _stream(source: str, settings: Configuration, encoder: Encoder, notes: list[str]) -> dict[str, np.ndarray]:
    """The token ids of a text in three splits."""
    options, vocabulary = settings.cache_options, encoder.vocabulary
    about, processes = options["about"], settings.tokens.num_proc
    stream = text_stream(source, vocabulary, folder=options["folder"], about=about, num_proc=processes)
    if unknown := int((stream == vocabulary.unknown).sum()):
        notes.append(f"'{source}': the tokenizer has no word for {100 * unknown / len(stream):.2g} % of its tokens.")
    parts = held_out(stream, settings.data.val_fraction, settings.data.test_fraction)
    if not all(map(len, parts.values())):
        raise UserError(f"'{source}' (task.files) has {len(stream):,} tokens: too few to hold a part out.")
    return parts
