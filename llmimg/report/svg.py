"""Inline SVG for the page: without scripts, ids that clash, or colours of its own.

Matplotlib draws; its colours are then replaced by the page's CSS variables, so that the plots follow dark mode. The
markup is a function of the arguments alone: the same run gives the same bytes.
"""

import html
import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that nobody else uses, each standing for a CSS variable of the page.
INK, MUTED, LINE, ACCENT, SECOND = "#010203", "#010204", "#010205", "#010206", "#010207"
VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent", SECOND: "second"}
LINES = [(color, style) for style in ("-", "--", ":") for color in (ACCENT, SECOND, MUTED)]  # to tell lines apart
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


def new_axes(figure: "Figure", xlabel: str, ylabel: str) -> "Axes":
    """Axes with a fine grid across."""
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(axis="y", linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def legend(axes: "Axes") -> None:
    """What the lines are, above the axes: nothing is covered."""
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2, ncols=2)


def short(name: str, most: int = 16) -> str:
    """A name as it fits beside a plot, without what SVG cannot hold."""
    name = name.encode("utf-8", "replace").decode()  # a folder's name may hold what UTF-8 cannot
    name = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", name).split())  # XML knows no control characters
    return name if len(name) <= most else name[: most - 1] + "…"


def svg(name: str, alt: str, inches: tuple[float, float], draw: Callable[["Figure"], None]) -> str:
    """A drawing as `<svg>`.

    Args:
        name: tells the ids of this plot from those of others on the page.
        alt: what is to be seen, in a sentence.
        inches: width and height.
        draw: fills a Figure.
    """
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
    box = markup[(start := markup.index('viewBox="')) : markup.index('"', start + len('viewBox="')) + 1]
    body = markup[markup.index(">", markup.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body).replace("xlink:href", "href")
    body = re.sub("|".join(VARIABLES), lambda colour: f"var(--{VARIABLES[colour[0]]})", body)
    alt = html.escape(alt)
    return f'<svg class="plot" role="img" aria-label="{alt}" {box}><title>{alt}</title>{body.strip()}'
