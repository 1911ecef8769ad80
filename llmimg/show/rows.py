"""Rows of a data set before training: what the model will get of them, and what of that the loss is over."""

from collections.abc import Sequence
from pathlib import Path

from llmimg.bound import bound
from llmimg.configuration import Configuration
from llmimg.data.png import write_png
from llmimg.errors import UserError
from llmimg.paths import file_name, output_folder
from llmimg.provenance import load_data
from llmimg.readouts.base import TextReadout
from llmimg.settings import Positive, settings_of
from llmimg.show.learned import learned_rows
from llmimg.show.lines import BESIDES, LEARNED, Style, Token
from llmimg.solvers.language import LanguageSolver
from llmimg.solvers.parts import TaskPart
from llmimg.tokens.layout import PADDING, WORDS
from llmimg.tokens.sample import Example


@settings_of()
class RowsSettings:
    """Which rows are shown, and how.

    Attributes:
        rows: so many of the first training rows.
        out: a folder for their images as the model gets them, with what is right drawn on them; null draws none.
        full: whether tokens in the middle of many are shown too.
    """

    rows: Positive = 3
    out: str | None = None
    full: bool = False


def show_rows(settings: Configuration, shown: RowsSettings) -> str:
    """The first training rows as a language model learns from them in the first epoch, as lines for a terminal.

    Raises:
        UserError: what training would refuse; a model that gets no text, or is not here; `out` where no folder can be.
    """
    if settings.model.kind != "language":
        why = "is asked over the network" if settings.model.kind == "endpoint" else "sees pixels, and reads no text"
        raise UserError(f"The model '{settings.model.name}' {why}: show takes a language model that learns.")
    out = None if shown.out is None else output_folder(shown.out)
    LanguageSolver.check(settings)
    notes: list[str] = []
    data = load_data(settings, notes)
    solver = LanguageSolver(settings, data, bound(settings, data), notes)
    lines = []
    for name, part in solver.parts.items():
        lines += [f"Task {name}:", ""] if name else []
        lines += [*_task_lines(part, shown, out if out is None else out / name), ""]
    return "\n".join([*lines, *notes])


def _task_lines(part: TaskPart, shown: RowsSettings, out: Path | None) -> list[str]:
    """The first training rows as they are learned by one task."""
    train, style = part.examples["train"], Style.of_terminal(shown.full)
    chosen = range(min(shown.rows, len(train)))
    lines = _row_lines(part.readout, train.__getitems__(chosen), style)
    lines.append(f"The first {len(chosen):,} of {len(train):,} training rows, as they are in the first epoch.")
    lines += _legend(part.readout, part.settings.learns)
    if out is not None:
        written = _draw(part, chosen, out)
        lines.append(f"Images: {', '.join(map(str, written))}." if written else "There are no images to draw.")
    return lines


def _row_lines(readout: TextReadout, examples: Sequence[Example], style: Style) -> list[str]:
    lines, rows = [], learned_rows(readout, examples)
    for number, row in enumerate(rows):
        several = len(rows) < len(examples)  # which share a row
        name = f"Row {number + 1} of the batch" if several else f"Row {examples[number % len(examples)].row['id']}"
        lines.append(f"{name}: {_counted(row.tokens)}")
        for index, part in enumerate(row.parts, 1 - row.shared):
            if index and len(row.parts) > 1 and part[0].role != PADDING:
                lines.append(f"Sequence {index}: {_counted(part)}")
            lines += style.role_lines(part)
        if row.target is not None:
            lines += style.listed("learned", [Token(row.target, WORDS, LEARNED)])
        lines.append("")
    return lines


def _counted(tokens: Sequence[Token]) -> str:
    """`81 tokens, 14 ▸`."""
    found = [f"{sum(token.role != PADDING for token in tokens):,} tokens"]
    marks = [token.mark for token in tokens]
    return ", ".join([*found, *(f"{marks.count(mark):,} {mark}" for mark in (LEARNED, BESIDES) if mark in marks)])


def _legend(readout: TextReadout, learns: bool) -> list[str]:
    """What the marks mean."""
    besides = [
        f"{BESIDES} marks the image's own text, whose loss counts {each.weight:g}." for each in readout.terms[1:]
    ]
    what = "what is learned" if learns else "what is right: nothing is learned of it, as this model is only asked"
    return [f"{LEARNED} marks {what}.", *besides]


def _draw(part: TaskPart, chosen: Sequence[int], out: Path) -> list[Path]:
    """Write the images of training rows as the model gets them, with what is right drawn on them where a task draws."""
    files, task = [], part.task
    for example in part.live(part.known["train"], encoder=None).__getitems__(chosen):
        if example.image.ndim < 3:  # there is none
            continue
        out.mkdir(parents=True, exist_ok=True)
        drawn = task.draw(example.image, task.truth(example.row))
        files.append(out / f"{file_name(example.row['id'])}.png")
        write_png(files[-1], example.image if drawn is None else drawn)
    return files
