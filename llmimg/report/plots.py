"""Plots of a run, and of runs side by side, as inline SVG."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from llmimg.report.svg import ACCENT, INK, LINES, MUTED, SECOND, legend, new_axes, svg
from llmimg.tasks.measure import Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def loss_curve(history: Sequence[dict[str, float]]) -> str:
    """Training and validation loss over epochs; nothing where there are not two points to compare."""
    train, held_out = _series(history, "loss"), _series(history, "eval_loss")
    if len(train) + len(held_out) < 2:
        return ""

    def draw(figure: "Figure") -> None:
        axes = new_axes(figure, "epoch", "loss (nats)")
        axes.plot(*train.T, color=ACCENT, linewidth=1.4, label="training", marker="." if len(train) < 3 else None)
        axes.plot(*held_out.T, color=SECOND, linewidth=1.4, label="validation", marker=".")
        if len(train) and len(held_out):
            legend(axes)

    return svg("loss", "Loss over the epochs of training.", (4.4, 2.7), draw)


def score_curve(history: Sequence[dict[str, float]], measure: Measure) -> str:
    """A measure on the validation split over epochs; nothing where there are not two points to compare, or where it is
    the loss, which has a curve of its own."""
    held_out = _series(history, f"eval_{measure.key}")
    if len(held_out) < 2 or measure.key == "loss":
        return ""

    def draw(figure: "Figure") -> None:
        axes = new_axes(figure, "epoch", f"validation {measure.phrase}")
        axes.plot(*held_out.T, color=SECOND, linewidth=1.4, marker=".")
        _scale(axes, measure)

    last = measure.written(held_out[-1, 1])
    return svg("score", f"Validation {measure.phrase} over the epochs; at the end {last}.", (4.4, 2.7), draw)


def token_budget(lengths: np.ndarray, context: int) -> str:
    """Histogram of the tokens an image, int [N]; nothing where all images are equally long.

    The model's context length is marked where it is near.
    """
    least, most = int(lengths.min()), int(lengths.max())
    if least == most:
        return ""

    def draw(figure: "Figure") -> None:
        axes = new_axes(figure, "tokens an image", "images")
        bins = np.linspace(least, most + 1, min(30, most + 1 - least) + 1)
        axes.hist(lengths, bins.tolist(), color=ACCENT, alpha=0.75, rwidth=0.92)
        if context <= 1.3 * most:
            axes.axvline(context, color=SECOND, linestyle=(0, (4, 3)), label=f"context: {context:,}")
            legend(axes)
        axes.locator_params(integer=True, nbins=6)

    return svg("tokens", f"Histogram of the tokens an image, from {least:,} to {most:,}.", (4.4, 2.7), draw)


def price(
    points: Sequence[tuple[str, float, float, float, bool]], others: Sequence[tuple[str, float]], measure: Measure
) -> str:
    """A measure against tokens an image, one point a textifier; those on the Pareto front are joined.

    Args:
        points: name, tokens an image, value, its standard deviation, whether it is on the front.
        others: name and value of what needs no text, as lines across.
    """
    if not points:
        return ""

    def draw(figure: "Figure") -> None:
        axes = new_axes(figure, "tokens an image", f"test {measure.phrase}")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        fewest, most = (edge(tokens for _, tokens, *_ in points) for edge in (min, max))
        axes.set_xlim(fewest / 1.25, most * 1.5)  # names stand on the right of their points
        front = sorted((tokens, value) for _, tokens, value, _, best in points if best)
        axes.plot(*zip(*front, strict=True), color=ACCENT, linewidth=1.2)
        for name, tokens, value, deviation, best in points:
            color = ACCENT if best else SECOND
            axes.errorbar(tokens, value, yerr=deviation, color=color, marker="o", markersize=4, linewidth=1)
            axes.annotate(name, (tokens, value), xytext=(5, 3), textcoords="offset points", fontsize=7, color=INK)
        low, high = axes.get_ylim()
        axes.set_ylim(*((edge([end, *(value for _, value in others)])) for edge, end in ((min, low), (max, high))))
        for _, value in others:
            axes.axhline(value, color=MUTED, linewidth=0.6, linestyle=":")
        _in_margin(axes, [(f"{name} {measure.written(value)}", value, MUTED) for name, value in others])
        _scale(axes, measure)

    alt = f"Test {measure.phrase} against tokens an image, one point a way of writing images."
    return svg("price", alt, (9, 4.6), draw)


def learning_curves(curves: Sequence[tuple[str, Sequence[tuple[float, float, float]]]], measure: Measure) -> str:
    """A measure against the number of training images, one line a way; nothing where there is none.

    Args:
        curves: name, and (training images, value, its standard deviation) of each point.
    """
    if not curves:
        return ""

    def draw(figure: "Figure") -> None:
        axes = new_axes(figure, "training images", f"test {measure.phrase}")
        axes.set_xscale("log")
        sizes = sorted({size for _, points in curves for size, *_ in points})
        axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
        axes.set_xticks([], minor=True)
        names = []
        for index, (name, points) in enumerate(curves):
            color, style = LINES[index % len(LINES)]
            across, up, spread = zip(*points, strict=True)
            axes.errorbar(
                across, up, yerr=spread, color=color, linestyle=style, marker="o", markersize=3, linewidth=1.2
            )
            names.append((name, up[-1], color))
        _in_margin(axes, names)
        _scale(axes, measure)

    return svg("learning", f"Test {measure.phrase} against the number of training images.", (9, 4.2), draw)


def _scale(axes: "Axes", measure: Measure) -> None:
    """The numbers on the left, in the measure's unit; those of shares alone need it."""
    if measure.unit == "share":
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")


def _in_margin(axes: "Axes", names: Sequence[tuple[str, float, str]]) -> None:
    """Names with their colours on the right of the axes, at their heights or below, none over another."""
    low, high = axes.get_ylim()
    y = high + 1
    for name, height, color in sorted(names, key=lambda each: -each[1]):
        y = min(height, y - 0.035 * (high - low))
        axes.text(1.01, y, name, transform=axes.get_yaxis_transform(), fontsize=7, color=color, va="center")


def _series(history: Sequence[dict[str, float]], key: str) -> np.ndarray:
    """Float [points, 2]: epoch and value of the rows that hold a finite one."""
    points = [(row["epoch"], row[key]) for row in history if key in row and "epoch" in row]
    series = np.array(points, np.float64).reshape(-1, 2)
    return series[np.isfinite(series).all(axis=1)]
