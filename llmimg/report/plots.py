"""The page's plots, as inline SVG without scripts, ids that clash, or colours of their own.

Matplotlib draws; its colours are then replaced by the page's CSS variables, so that the plots follow dark mode. Each
function returns the SVG's markup, a function of its arguments alone: the same run gives the same bytes.
"""

import html
import io
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from llmimg.metrics.classification import Bins

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that nobody else uses, each standing for a CSS variable of the page.
INK, MUTED, LINE, ACCENT, SECOND = "#010203", "#010204", "#010205", "#010206", "#010207"
VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent", SECOND: "second"}
CELL = (0.22, 0.49, 0.66)  # confusion cells are a raster: one hue, seen through, does for light and dark
NUMBERED, NAMED = 20, 40  # classes up to which cells hold their count, and every class its name
STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a class may be called "$5"
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "grid.color": LINE,
    "legend.frameon": False,
}


def loss_curve(history: Sequence[dict[str, float]]) -> str:
    """Training and validation loss over epochs; nothing where there are not two points to compare."""
    train, held_out = _series(history, "loss"), _series(history, "eval_loss")
    if len(train) + len(held_out) < 2:
        return ""

    def draw(figure: "Figure") -> None:
        axes = _axes(figure, "epoch", "loss (nats)")
        axes.plot(*train.T, color=ACCENT, linewidth=1.4, label="training", marker="." if len(train) < 3 else None)
        axes.plot(*held_out.T, color=SECOND, linewidth=1.4, label="validation", marker=".")
        if len(train) and len(held_out):
            _legend(axes)

    return _svg("loss", "Loss over the epochs of training.", (4.4, 2.7), draw)


def accuracy_curve(history: Sequence[dict[str, float]]) -> str:
    """Validation accuracy over epochs; nothing where there are not two points to compare."""
    held_out = _series(history, "eval_accuracy")
    if len(held_out) < 2:
        return ""

    def draw(figure: "Figure") -> None:
        axes = _axes(figure, "epoch", "validation accuracy")
        axes.plot(*held_out.T, color=SECOND, linewidth=1.4, marker=".")
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")

    return _svg("accuracy", f"Validation accuracy over the epochs; at the end {held_out[-1, 1]:.1%}.", (4.4, 2.7), draw)


def price(points: Sequence[tuple[str, float, float, float, bool]], others: Sequence[tuple[str, float]]) -> str:
    """Accuracy against tokens an image, one point a textifier; those on the Pareto front are joined.

    Args:
        points: name, tokens an image, accuracy, its standard deviation, whether it is on the front.
        others: name and accuracy of what needs no text, as lines across.
    """
    if not points:
        return ""

    def draw(figure: "Figure") -> None:
        axes = _axes(figure, "tokens an image", "test accuracy")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        fewest, most = (edge(tokens for _, tokens, *_ in points) for edge in (min, max))
        axes.set_xlim(fewest / 1.25, most * 1.5)  # names stand on the right of their points
        front = sorted((tokens, accuracy) for _, tokens, accuracy, _, best in points if best)
        axes.plot(*zip(*front, strict=True), color=ACCENT, linewidth=1.2)
        for name, tokens, accuracy, deviation, best in points:
            color = ACCENT if best else SECOND
            axes.errorbar(tokens, accuracy, yerr=deviation, color=color, marker="o", markersize=4, linewidth=1)
            axes.annotate(name, (tokens, accuracy), xytext=(5, 3), textcoords="offset points", fontsize=7, color=INK)
        low, high = axes.get_ylim()
        high = max([high, *(accuracy for _, accuracy in others)])
        axes.set_ylim(low, high)
        for _, accuracy in others:
            axes.axhline(accuracy, color=MUTED, linewidth=0.6, linestyle=":")
        _in_margin(axes, [(f"{name} {accuracy:.1%}", accuracy, MUTED) for name, accuracy in others])
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")

    return _svg("price", "Test accuracy against tokens an image, one point a way of writing images.", (9, 4.6), draw)


def learning_curves(curves: Sequence[tuple[str, Sequence[tuple[float, float, float]]]]) -> str:
    """Accuracy against the number of training images, one line a way; nothing where there is none.

    Args:
        curves: name, and (training images, accuracy, its standard deviation) of each point.
    """
    if not curves:
        return ""

    def draw(figure: "Figure") -> None:
        axes = _axes(figure, "training images", "test accuracy")
        axes.set_xscale("log")
        sizes = sorted({size for _, points in curves for size, *_ in points})
        axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
        axes.set_xticks([], minor=True)
        names = []
        for place, (name, points) in enumerate(curves):
            color, style = (ACCENT, SECOND, MUTED)[place % 3], ("-", "--", ":")[place // 3 % 3]
            across, up, spread = zip(*points, strict=True)
            axes.errorbar(
                across, up, yerr=spread, color=color, linestyle=style, marker="o", markersize=3, linewidth=1.2
            )
            names.append((name, up[-1], color))
        _in_margin(axes, names)
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")

    return _svg("learning", "Test accuracy against the number of training images.", (9, 4.2), draw)


def confusion(matrix: np.ndarray, names: Sequence[str]) -> str:
    """Confusion matrix, int [K, K] with the truth in rows: colour is the share of a row, numbers are images.

    Past 20 classes the numbers go, past 40 only some classes are named: the page lists the commonest confusions.
    """
    classes = len(matrix)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    step = -(-classes // NAMED)
    shown = [_short(name) for name in names[::step]]
    side = 2.6 + 0.2 * min(classes, 10) + 0.06 * max(0, min(classes, NAMED) - 10)

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        # The square root lifts rare confusions out of the ground; 0.6 keeps the numbers readable on the fullest cell.
        cells = np.dstack([np.broadcast_to(CELL, (*matrix.shape, 3)), 0.6 * np.sqrt(share)])
        axes.imshow(cells, interpolation="none")
        size = 9 if classes <= 10 else 6.5
        flat = classes <= 10 and max(map(len, shown)) <= 3
        axes.set_xticks(range(0, classes, step), shown, rotation=0 if flat else 90, fontsize=size)
        axes.set_yticks(range(0, classes, step), shown, fontsize=size)
        axes.tick_params(length=0)
        axes.xaxis.set_label_position("top")
        axes.set(xlabel="predicted", ylabel="truth")
        axes.spines[:].set_visible(True)
        if classes <= NUMBERED:
            for row, column in np.argwhere(matrix):
                axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", fontsize=size)

    alt = f"Confusion matrix of {classes} classes: {np.trace(matrix)} of {matrix.sum()} test images on the diagonal."
    return _svg("confusion", alt, (side, side), draw)


def reliability(bins: Bins) -> str:
    """Reliability diagram: the accuracy of the predictions over how sure the model was of them, and their number."""

    def draw(figure: "Figure") -> None:
        top, bottom = figure.subplots(2, sharex=True, height_ratios=(4, 1))
        edges = np.linspace(0, 1, len(bins.count) + 1)
        full, width = bins.count > 0, 0.9 / len(bins.count)
        centres = (edges[:-1] + edges[1:]) / 2
        top.bar(centres[full], bins.accuracy[full], width, color=ACCENT, alpha=0.75)
        top.plot([0, 1], [0, 1], color=SECOND, linewidth=1.2, linestyle=(0, (4, 3)))
        top.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
        bottom.bar(centres, bins.count, width, color=MUTED, alpha=0.6)
        bottom.set(xlabel="probability of the prediction", ylabel="images")
        for axes in (top, bottom):
            axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
            axes.locator_params(axis="y", nbins=5 if axes is top else 2)
        top.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")

    return _svg(
        "reliability", "Reliability diagram: accuracy over the probability of the prediction.", (4.4, 3.7), draw
    )


def token_budget(lengths: np.ndarray, context: int) -> str:
    """Histogram of the tokens an image, int [N]; nothing where all images are equally long.

    The model's context length is marked where it is near.
    """
    least, most = int(lengths.min()), int(lengths.max())
    if least == most:
        return ""

    def draw(figure: "Figure") -> None:
        axes = _axes(figure, "tokens an image", "images")
        bins = np.linspace(least, most + 1, min(30, most + 1 - least) + 1)
        axes.hist(lengths, bins, color=ACCENT, alpha=0.75, rwidth=0.92)
        if context <= 1.3 * most:
            axes.axvline(context, color=SECOND, linestyle=(0, (4, 3)), label=f"context: {context:,}")
            _legend(axes)
        axes.locator_params(integer=True, nbins=6)

    return _svg("tokens", f"Histogram of the tokens an image, from {least:,} to {most:,}.", (4.4, 2.7), draw)


def _axes(figure: "Figure", xlabel: str, ylabel: str) -> "Axes":
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(axis="y", linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def _in_margin(axes: "Axes", names: Sequence[tuple[str, float, str]]) -> None:
    """Names with their colours on the right of the axes, at their heights or below, none over another."""
    low, high = axes.get_ylim()
    place = high + 1
    for name, height, color in sorted(names, key=lambda each: -each[1]):
        place = min(height, place - 0.035 * (high - low))
        axes.text(1.01, place, name, transform=axes.get_yaxis_transform(), fontsize=7, color=color, va="center")


def _legend(axes: "Axes") -> None:
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2, ncols=2)  # above: nothing is covered


def _series(history: Sequence[dict[str, float]], key: str) -> np.ndarray:
    """Float [points, 2]: epoch and value of the rows that hold a finite one."""
    points = [(row["epoch"], row[key]) for row in history if key in row and "epoch" in row]
    series = np.array(points, np.float64).reshape(-1, 2)
    return series[np.isfinite(series).all(axis=1)]


def _short(name: str, most: int = 16) -> str:
    name = name.encode("utf-8", "replace").decode()  # a folder's name may hold what UTF-8 cannot
    name = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", name).split())  # XML knows no control characters
    return name if len(name) <= most else name[: most - 1] + "…"


def _svg(name: str, alt: str, inches: tuple[float, float], draw: Any) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    written = io.StringIO()
    # Figure, not pyplot, and settings that end with the block: a program that plots for itself notices nothing.
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": f"llmimg-{name}"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # text stays text: the reader's fonts have it
        figure = Figure(inches, layout="constrained", facecolor="none")
        draw(figure)
        for axes in figure.axes:
            axes.set_facecolor("none")
        figure.savefig(written, format="svg", metadata={"Date": None})
    markup = written.getvalue()
    box = re.search(r'viewBox="[^"]*"', markup)[0]
    body = markup[markup.index(">", markup.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body).replace("xlink:href", "href")
    body = re.sub("|".join(VARIABLES), lambda colour: f"var(--{VARIABLES[colour[0]]})", body)
    alt = html.escape(alt)
    return f'<svg class="plot" role="img" aria-label="{alt}" {box}><title>{alt}</title>{body.strip()}'
