"""A task's figures as the page shows them: matrices and curves as SVG; bars and galleries are tables and images."""

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from llmimg.report.numbers import count, four_digits, percent
from llmimg.report.svg import LINES, MUTED, SECOND, legend, new_axes, short, svg
from llmimg.tasks.figures import Bars, Curve, Figure, Matrix

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

CELL = (0.22, 0.49, 0.66)  # a matrix's cells are a raster: one hue, seen through, does for light and dark
NUMBERED, NAMED = 20, 40  # rows or columns up to which cells hold their number, and each of them its name
CONFUSIONS = 10
_WRITE = {"share": percent, "count": lambda value: f"{value:,.0f}"}


class Cell(NamedTuple):
    """A number of a table: as it is written, and how much of its bar is filled, 0 to 1; None draws no bar."""

    text: str
    filled: float | None = None


class Drawn(NamedTuple):
    """A figure as the page needs it. What its kind has not is empty."""

    figure: Figure
    kind: str  # "Matrix", …
    svg: str = ""
    confusions: list[tuple[str, str, str]] = []  # noqa: RUF012 - nothing changes it
    rows: list[tuple[str, list[Cell], list[str]]] = []  # noqa: RUF012
    many: bool = False


def drawn(figure: Figure) -> Drawn:
    """A figure ready for the page: a function of it alone."""
    kind = type(figure).__name__
    if isinstance(figure, Matrix):
        return Drawn(figure, kind, matrix(figure), confusions(figure), many=max(figure.values.shape) > 10)
    if isinstance(figure, Curve):
        return Drawn(figure, kind, curve(figure))
    if isinstance(figure, Bars):
        return Drawn(figure, kind, rows=_rows(figure))
    return Drawn(figure, kind)


def matrix(figure: Matrix) -> str:
    """Colour is the share of a row, numbers are the cells' own.

    Past 20 rows or columns the numbers go, past 40 only some are named.
    """
    values, most = figure.values, max(figure.values.shape)
    share = values / np.maximum(values.sum(axis=1, keepdims=True), 1e-12)
    named = [(names[:: -(-len(names) // NAMED)], -(-len(names) // NAMED)) for names in (figure.rows, figure.columns)]
    (rows, down), (columns, across) = [([short(name) for name in names], step) for names, step in named]
    width, height = (
        2.6 + 0.2 * min(many, 10) + 0.06 * max(0, min(many, NAMED) - 10) for many in reversed(values.shape)
    )
    whole = bool((values == np.round(values)).all())

    def draw(canvas: "Canvas") -> None:
        axes = canvas.subplots()
        # The square root lifts rare cells out of the ground; 0.6 keeps the numbers readable on the fullest one.
        axes.imshow(np.dstack([np.broadcast_to(CELL, (*values.shape, 3)), 0.6 * np.sqrt(share)]), interpolation="none")
        size = 9 if most <= 10 else 6.5
        flat = most <= 10 and max(map(len, columns)) <= 3
        axes.set_xticks(range(0, len(figure.columns), across), columns, rotation=0 if flat else 90, fontsize=size)
        axes.set_yticks(range(0, len(figure.rows), down), rows, fontsize=size)
        axes.tick_params(length=0)
        axes.xaxis.set_label_position("top")
        axes.set(xlabel=figure.column_title, ylabel=figure.row_title)
        axes.spines[:].set_visible(True)
        if most <= NUMBERED:
            for row, column in np.argwhere(values):
                value = count(values[row, column]) if whole else f"{values[row, column]:.2f}"
                axes.text(column, row, value.replace(",", ""), ha="center", va="center", fontsize=size)

    alt = f"{figure.title}: {figure.row_title} by {figure.column_title}, {len(values)} × {values.shape[1]}."
    if figure.rows == figure.columns:
        alt += f" {four_digits(np.trace(values))} of {four_digits(values.sum())} lie on the diagonal."
    return svg(_name(figure), alt, (width, height), draw)


def confusions(figure: Matrix) -> list[tuple[str, str, str]]:
    """The fullest cells besides those of a name with itself, row, column and number of each; none where rows and
    columns share no name."""
    same = np.array(figure.rows)[:, None] == np.array(figure.columns)[None]
    if not same.any():
        return []
    others = np.where(same, 0, figure.values)
    order = np.argsort(-others, axis=None, kind="stable")[:CONFUSIONS]
    pairs = zip(*np.unravel_index(order, others.shape), strict=True)
    return [(figure.rows[a], figure.columns[b], four_digits(others[a, b])) for a, b in pairs if others[a, b] > 0]


def curve(figure: Curve) -> str:
    """Lines, told apart by colour and style as far as these go; further ones are thin and without a name."""

    def draw(canvas: "Canvas") -> None:
        axes = new_axes(canvas, figure.x_title, figure.y_title)
        if figure.diagonal:
            axes.axline((0, 0), slope=1, color=SECOND, linewidth=1.2, linestyle=(0, (4, 3)))
        for index, (name, (x, y)) in enumerate(figure.lines.items()):
            if index >= len(LINES):
                axes.plot(x, y, color=MUTED, linewidth=0.5, alpha=0.6)
                continue
            color, style = LINES[index]
            marker = "." if len(x) <= 20 else None
            axes.plot(x, y, color=color, linestyle=style, linewidth=1.4, marker=marker, label=short(name))
        if len(figure.lines) > 1:
            legend(axes)
        if figure.diagonal and all(
            np.nanmax(each) <= 1 for line in figure.lines.values() for each in line if len(each)
        ):
            axes.set(xlim=(0, 1.02), ylim=(0, 1.02))  # of shares all there is, lest a corner pass for the whole

    return svg(_name(figure), f"{figure.title}: {figure.y_title} over {figure.x_title}.", (4.4, 3.4), draw)


def _rows(figure: Bars) -> list[tuple[str, list[Cell], list[str]]]:
    """Name, numbers and words of each row. The first shares have a bar; a number that is not finite is left empty."""
    barred = next((title for title in figure.columns if figure.units.get(title) == "share"), None)
    return [
        (
            name,
            [
                _cell(float(values[index]), figure.units.get(title), title == barred)
                for title, values in figure.columns.items()
            ],
            [texts[index] for texts in figure.words.values()],
        )
        for index, name in enumerate(figure.names)
    ]


def _cell(value: float, unit: str | None, bar: bool) -> Cell:
    if not np.isfinite(value):
        return Cell("–")
    return Cell(_WRITE.get(unit or "", four_digits)(value), min(max(value, 0.0), 1.0) if bar else None)


def _name(figure: Figure) -> str:
    """Of a plot's ids: letters of its title."""
    return re.sub(r"[^a-z]+", "-", figure.title.lower())
